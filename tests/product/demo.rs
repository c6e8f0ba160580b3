//! The demo, killed in mid-traffic: a replay gives back what the journal held at that moment, and
//! the server that starts again has it, entity by entity.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, now, run, until};

fn replay(data: &str, more: &[&str]) -> Value {
    let replayed = run(["replay", "--json", "--data", data].iter().chain(more));
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    serde_json::from_str(&replayed.stdout).unwrap()
}

/// Runs the demo until there is something to lose, and kills it.
fn run_and_kill(directory: &Path, more: &[&str]) {
    let server = Server::start_with(directory, &[&["--demo"], more].concat());
    let client = server.client();
    until(60, "traffic", || position(&client).filter(|position| *position > 300));
    let health = client.get("/api/v1/health").expect(200);
    assert_eq!(health.body["dependencies"].as_array().unwrap().len(), 4);
    let said = server.kill();
    assert!(!said.contains("panicked"), "{said}");
}

fn position(client: &Client) -> Option<u64> {
    client.get("/readyz?verbose").expect(200).body["journal"]["position"].as_u64()
}

#[test]
fn a_replay_to_the_last_position_before_a_kill_equals_the_fold_before_it() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    run_and_kill(directory.path(), &[]);
    let before = replay(data, &[]);
    let last = before["position"].as_u64().unwrap().to_string();
    let verified = run(["verify", "--data", data]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);

    let server = Server::start_with(directory.path(), &["--demo"]);
    let client = server.client();
    until(60, "traffic after the restart", || {
        position(&client).filter(|now| *now > last.parse::<u64>().unwrap() + 50)
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

/// The demo's dependencies in a file, so that the server that starts again has them without traffic.
const DEPENDENCIES: [(&str, u32, &str); 4] = [
    ("llm-api", 50, "open_for = \"4s\"\nslow_call = \"400ms\""),
    ("database", 30, "open_for = \"3s\"\nslow_call = \"100ms\""),
    ("redis", 15, "open_for = \"2s\""),
    ("s3", 5, "open_for = \"2s\""),
];

fn write_configuration(file: &Path) {
    let tables = DEPENDENCIES.map(|(name, weight, breaker)| {
        format!(
            "[[dependency]]\nname = \"{name}\"\nweight = {weight}\n[dependency.breaker]\n\
             window = \"10s\"\nminimum_calls = 5\n{breaker}\n"
        )
    });
    std::fs::write(file, tables.concat()).unwrap();
}

#[test]
fn every_entity_is_after_a_kill_what_a_replay_of_the_moment_before_says() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    let file = directory.path().join("mainstay.toml");
    write_configuration(&file);
    let config = ["--config", file.to_str().unwrap()];
    run_and_kill(&data, &config);
    let data_path = data.to_str().unwrap();
    let before = replay(data_path, &[]);
    let last = before["position"].as_u64().unwrap();
    let (all, at) = (last.to_string(), last.to_string());
    let events = run(["audit", "--json", "--limit", &all, "--data", data_path]);
    let streams: BTreeSet<String> = events
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| event["stream"].as_str().unwrap().to_owned())
        .collect();
    assert!(streams.len() > 30, "hardly any entities: {}", streams.len());

    let server = Server::start_with(&data, &config);
    let client = server.client();
    let state = client.get(&format!("/api/v1/state?limit=1000&at={at}")).expect(200).body;
    assert_eq!(state, replay(data_path, &["--at", &at]));
    for stream in &streams {
        let folded = replay(data_path, &["--stream", stream, "--at", &at]);
        let online = client.get(&format!("/api/v1/streams/{stream}?at={at}")).expect(200).body;
        assert_eq!(folded, online, "{stream}");
        let kind = stream.split_once('/').unwrap();
        match kind {
            ("session", id) => same_session(&client, id, &folded["state"]),
            ("lock", name) => same_lock(&client, name, last, &folded["state"]),
            ("dependency", name) => same_dependency(&client, name, last, &folded["state"]),
            ("system", _) => {},
            other => panic!("an unknown kind: {other:?}"),
        }
    }
    if events_since(&client, "system/health", last).is_empty() {
        let level = client.get("/api/v1/health").expect(200).text("level");
        assert_eq!(before["health"]["level"], level);
    }
}

/// Types of the events that a stream has had since.
fn events_since(client: &Client, stream: &str, last: u64) -> Vec<String> {
    let page = client.get(&format!("/api/v1/events?stream={stream}&after={last}")).expect(200);
    let events = page.body["events"].as_array().unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// A session lives as it did, or time has ended it; one that had ended is gone.
fn same_session(client: &Client, id: &str, state: &Value) {
    let (tenant, id) = id.split_once('/').unwrap();
    let live = client.get(&format!("/api/v1/sessions/{id}?tenant={tenant}"));
    let over = live.status == 404;
    if state["status"] == "ended" {
        assert!(over, "{id} lives again: {}", live.body);
        return;
    }
    let end = state["idle_until"].as_str().unwrap();
    let end = state["ends_at"].as_str().map_or(end, |other| end.min(other));
    if over {
        assert!(end <= now().to_string().as_str(), "{id} is gone before its end, {end}");
        return;
    }
    let live = live.expect(200).body;
    for (shown, folded) in [
        ("subject", "subject"),
        ("revision", "revision"),
        ("created_at", "created_at"),
        ("active_at", "active_at"),
    ] {
        assert_eq!(live[shown], state[folded], "{shown} of {id}");
    }
    assert_eq!(live["expires_at"], end, "{id}");
    let names = |attributes: &Value| -> BTreeSet<String> {
        attributes.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&live["attributes"]), names(&state["attributes"]), "{id}");
}

/// Tokens only rise; without events of its own a lock is held as it was, its leases perhaps longer.
fn same_lock(client: &Client, name: &str, last: u64, state: &Value) {
    let live = client.get(&format!("/api/v1/locks/{name}")).expect(200).body;
    let since = events_since(client, &format!("lock/{name}"), last);
    if since.iter().any(|event| event == "LeaseGranted") {
        assert!(live["last_token"].as_u64() > state["last_token"].as_u64(), "{name}");
        return;
    }
    assert_eq!(live["last_token"], state["last_token"], "{name}");
    if since.iter().all(|event| event == "LeaseExtended") {
        let pairs = |list: &Value, owner: &dyn Fn(&Value) -> Value| -> Vec<Value> {
            let all = list.as_array().unwrap().iter();
            all.map(|it| json!([it["token"], owner(it)])).collect()
        };
        let shown = pairs(&live["holders"], &|it| it["owner"].clone());
        let folded = pairs(&state["grants"], &|it| it["claim"]["owner"].clone());
        let ran_out = shown.is_empty() && since.is_empty();
        assert!(shown == folded || ran_out, "{name}: {live} {state}");
    }
}

/// Its breaker and what was observed, unless its own timer has moved it since.
fn same_dependency(client: &Client, name: &str, last: u64, state: &Value) {
    let live = client.get(&format!("/api/v1/dependencies/{name}")).expect(200).body;
    assert_eq!(live["settings"], state["settings"], "{name}");
    if events_since(client, &format!("dependency/{name}"), last).is_empty() {
        assert_eq!(live["breaker"], state["breaker"], "{name}");
        assert_eq!(live["observed"], state["observed"], "{name}");
    }
}
