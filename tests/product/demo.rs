//! The demo, killed in mid-traffic: a replay gives back what the journal held at that moment.

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Server, run, until};

fn replay(data: &str, more: &[&str]) -> Value {
    let replayed = run(["replay", "--json", "--data", data].iter().chain(more));
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    serde_json::from_str(&replayed.stdout).unwrap()
}

#[test]
fn a_replay_to_the_last_position_before_a_kill_equals_the_fold_before_it() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start_with(directory.path(), &["--demo"]);
    let client = server.client();
    let position =
        || client.get("/readyz?verbose").expect(200).body["journal"]["position"].as_u64();
    until(60, "traffic", || position().filter(|position| *position > 300));
    let health = client.get("/api/v1/health").expect(200);
    assert_eq!(health.body["dependencies"].as_array().unwrap().len(), 4);
    let said = server.kill();
    assert!(!said.contains("panicked"), "{said}");

    let before = replay(data, &[]);
    let last = before["position"].as_u64().unwrap().to_string();
    let verified = run(["verify", "--data", data]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);

    let server = Server::start_with(directory.path(), &["--demo"]);
    let client = server.client();
    until(60, "traffic after the restart", || {
        let now = client.get("/readyz?verbose").expect(200).body["journal"]["position"].as_u64();
        now.filter(|now| *now > last.parse::<u64>().unwrap() + 50)
    });
    // Beside the running server, from its segments.
    assert_eq!(replay(data, &["--at", &last]), before);
    let verified = run(["verify", "--data", data]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    assert!(server.stop().success());
    let verified = run(["verify", "--data", data]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    assert_eq!(replay(data, &["--at", &last]), before);
}
