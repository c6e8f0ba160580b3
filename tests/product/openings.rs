//! Data directories: in use, no directory, no journal, newer, and without their store.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Ended, Server, files, run, until};

fn serve(data: &Path) -> Ended {
    let data = data.to_str().unwrap();
    run(["serve", "--listen", "127.0.0.1:0", "--data", data])
}

#[track_caller]
fn refused(data: &Path, says: &[&str]) {
    let ended = serve(data);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    for text in says {
        assert!(ended.stderr.contains(text), "no {text:?} in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

fn acquire(client: &Client, lock: &str) -> u64 {
    let body = json!({ "owner": "anna", "ttl_ms": 600_000 });
    client.post(&format!("/api/v1/locks/{lock}/acquire"), &body).expect(200).number("token")
}

#[test]
fn a_directory_in_use_is_refused_and_its_server_goes_on() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    refused(data.path(), &["another process", data.path().to_str().unwrap()]);
    acquire(&server.client(), "pool");
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let data = tempdir().unwrap();
    let file = data.path().join("data");
    fs::write(&file, "precious").unwrap();
    refused(&file, &[file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_directory_with_other_things_is_refused_and_left_alone() {
    let data = tempdir().unwrap();
    fs::write(data.path().join("JOURNAL"), "Dear diary\n").unwrap();
    refused(data.path(), &["not a journal"]);
    assert_eq!(fs::read_to_string(data.path().join("JOURNAL")).unwrap(), "Dear diary\n");
}

#[test]
fn a_journal_of_a_newer_format_is_refused() {
    let data = tempdir().unwrap();
    acquire(&Server::start(data.path()).client(), "pool");
    let identity = data.path().join("JOURNAL");
    let text = fs::read_to_string(&identity).unwrap();
    let newer: Vec<&str> = text
        .lines()
        .map(|line| if line.starts_with("format ") { "format 4711" } else { line })
        .collect();
    fs::write(&identity, newer.join("\n") + "\n").unwrap();
    refused(data.path(), &["4711", "newer"]);
    // Nothing was changed: with its identity back it opens.
    fs::write(&identity, text).unwrap();
    let server = Server::start(data.path());
    let held = server.client().get("/api/v1/locks/pool").expect(200);
    assert_eq!(held.body["holders"][0]["owner"], "anna");
}

#[test]
fn a_read_only_directory_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempdir().unwrap();
    acquire(&Server::start(data.path()).client(), "pool");
    let set = |mode| fs::set_permissions(data.path(), fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    let writable = fs::write(data.path().join("probe"), "").is_ok();
    if writable {
        fs::remove_file(data.path().join("probe")).unwrap();
        eprintln!("SKIPPED: this user may write to read-only directories");
    } else {
        refused(data.path(), &["read-only"]);
    }
    set(0o755);
}

/// What a reader sees of the journal and the entities.
fn answers(client: &Client) -> Vec<Value> {
    let page = |query: &str| client.get(&format!("/api/v1/events?{query}")).expect(200).body;
    vec![
        page("type=LeaseGranted&limit=1000"),
        page("stream=lock/l-7"),
        page("principal=local&limit=1000"),
        client.get("/api/v1/sessions?subject=subject-3").expect(200).body,
        client.get("/api/v1/streams/lock/l-7").expect(200).body["state"]["last_token"].clone(),
    ]
}

fn store(client: &Client) -> Value {
    client.get("/readyz?verbose").expect(200).body["journal"].clone()
}

#[test]
fn a_deleted_store_is_rebuilt_while_the_server_answers_the_same() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for n in 0..40 {
        acquire(&client, &format!("l-{n}"));
        let body = json!({ "subject": format!("subject-{}", n % 5), "ttl_ms": 600_000 });
        client.post("/api/v1/sessions", &body).expect(201);
    }
    let before = answers(&client);
    assert!(server.stop().success());
    let path = data.path().join("store");
    assert!(fs::read_dir(&path).unwrap().next().is_some(), "there was no store");
    fs::remove_dir_all(&path).unwrap();

    let server = Server::start(data.path());
    let client = server.client();
    // Recovery extends the leases: restart events come after those compared.
    let after = answers(&client);
    assert_eq!(before[0], after[0]);
    assert_eq!(before[2..], after[2..]);
    let journal = until(30, "the store to reach the head", || {
        let journal = store(&client);
        let reached = journal["store"]["reached"] == journal["position"];
        (reached && journal["store"]["rebuilding"] == false).then_some(journal)
    });
    let trouble = journal["store"]["trouble"].as_str().unwrap();
    assert!(trouble.contains("missing"), "it says what it found: {journal}");
    assert!(fs::read_dir(&path).unwrap().next().is_some(), "the store was not made again");
    assert_eq!(before[0], answers(&client)[0]);
}

#[test]
fn a_broken_store_is_set_aside_and_no_answer_changes() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for n in 0..20 {
        acquire(&client, &format!("l-{n}"));
    }
    let before = answers(&client);
    assert!(server.stop().success());
    let mut broken = 0;
    for path in files(&data.path().join("store")) {
        let mut bytes = fs::read(&path).unwrap();
        for byte in bytes.iter_mut().step_by(97) {
            *byte ^= 0x55;
        }
        broken += usize::from(!bytes.is_empty());
        fs::write(&path, bytes).unwrap();
    }
    assert!(broken > 0, "there was nothing to break");
    let server = Server::start(data.path());
    let client = server.client();
    assert_eq!(before[0], answers(&client)[0]);
    until(60, "the store to be made again", || {
        let journal = store(&client);
        (journal["store"]["reached"] == journal["position"]).then_some(())
    });
    assert_eq!(before[0], answers(&client)[0]);
}
