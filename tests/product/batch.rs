//! `/api/v1/batch` over the wire: an answer for each command, in order, in few group commits.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server};

fn batch(client: &Client, commands: &[Value]) -> Vec<Value> {
    let answer = client.post("/api/v1/batch", &json!({ "commands": commands })).expect(200);
    answer.body["answers"].as_array().unwrap().clone()
}

fn acquire(name: &str, owner: &str) -> Value {
    json!({ "op": "locks.acquire", "name": name, "body": { "owner": owner, "ttl_ms": 60_000 } })
}

fn create(subject: &str) -> Value {
    json!({ "op": "sessions.create", "body": { "subject": subject, "ttl_ms": 60_000 } })
}

fn statuses(answers: &[Value]) -> Vec<u64> {
    answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect()
}

#[test]
fn each_command_is_answered_in_order_as_its_own_route_answers() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    client.put("/api/v1/dependencies/db", &json!({})).expect(200);
    let session = client.post("/api/v1/sessions", &json!({ "subject": "s", "ttl_ms": 60_000 }));
    let id = session.expect(201).text("id");
    let answers = batch(
        &client,
        &[
            create("customer-7"),
            json!({ "op": "sessions.patch", "id": id, "if_match": "\"1\"", "body": { "attributes": { "a": 1 } } }),
            json!({ "op": "sessions.patch", "id": id, "if_match": "\"1\"", "body": { "attributes": { "a": 2 } } }),
            json!({ "op": "sessions.touch", "id": id }),
            acquire("pool", "anna"),
            acquire("pool", "ben"),
            json!({ "op": "locks.check", "name": "pool", "body": { "token": 1 } }),
            json!({ "op": "locks.release", "name": "pool", "body": { "token": 1, "owner": "anna" } }),
            json!({ "op": "dependencies.state", "name": "db", "body": { "to": "forced_open", "reason": "drill" } }),
            json!({ "op": "dependencies.outcomes", "name": "db", "body": [{ "outcome": "success", "duration_ms": 1 }] }),
            json!({ "op": "sessions.end", "id": id }),
            json!({ "op": "sessions.touch", "id": id }),
        ],
    );
    assert_eq!(statuses(&answers), [201, 200, 412, 200, 200, 409, 200, 409, 200, 202, 200, 404]);
    assert_eq!(answers[0]["body"]["subject"], "customer-7");
    assert_eq!(answers[1]["body"]["revision"], 2);
    assert_eq!(answers[2]["problem"]["type"], "/problems/session-stale");
    assert_eq!(answers[5]["problem"]["holders"][0]["owner"], "anna");
    assert!(answers[5]["problem"]["retry_after_ms"].as_u64().unwrap() > 50_000);
    assert_eq!(answers[6]["body"]["valid"], false);
    assert_eq!(answers[7]["problem"]["type"], "/problems/lock-not-held");
    assert_eq!(answers[8]["body"]["state"], "forced_open");
    assert_eq!(answers[11]["problem"]["type"], "/problems/not-found");
    // What is answered is what is there.
    let held = client.get("/api/v1/locks/pool").expect(200);
    assert_eq!(held.body["holders"][0]["token"], answers[4]["body"]["token"]);
}

#[test]
fn a_key_is_the_same_request_in_a_batch_and_alone() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let alone = client.post_as("k1", "/api/v1/locks/pool/acquire", &body).expect(200);
    let session = json!({ "subject": "s", "ttl_ms": 60_000 });
    let created = client.post_as("k2", "/api/v1/sessions", &session).expect(201);
    let again = |key: &str| {
        let mut command = acquire("pool", "anna");
        command["key"] = key.into();
        command
    };
    let mut other = acquire("pool", "ben");
    other["key"] = "k1".into();
    let commands = vec![
        again("k1"),
        json!({ "op": "sessions.create", "key": "k2", "body": session }),
        again("k3"),
        other,
        again("not visible"),
    ];
    let answers = batch(&client, &commands);
    assert_eq!(statuses(&answers), [200, 201, 409, 422, 400]);
    assert_eq!(answers[0]["body"]["token"], alone.body["token"]);
    assert_eq!(answers[1]["body"]["id"], created.body["id"]);
    // A batch that is sent again changes nothing, also after a kill.
    server.kill();
    let server = Server::start(data.path());
    let retried = batch(&server.client(), &commands);
    assert_eq!(retried[0]["body"]["token"], alone.body["token"]);
    let granted =
        server.client().get("/api/v1/events?type=LeaseGranted,SessionCreated").expect(200);
    assert_eq!(granted.body["events"].as_array().unwrap().len(), 2);
}

#[test]
fn commands_on_one_entity_keep_their_order_however_many_they_are() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let session = client.post("/api/v1/sessions", &json!({ "subject": "s", "ttl_ms": 60_000 }));
    let id = session.expect(201).text("id");
    // More than the mailbox of an entity takes.
    let patch = |n: usize| json!({ "op": "sessions.patch", "id": id, "body": { "attributes": { "n": n } } });
    let answers = batch(&client, &(0..1_000).map(patch).collect::<Vec<_>>());
    let revisions: Vec<u64> =
        answers.iter().map(|it| it["body"]["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (2..1_002).collect::<Vec<_>>());
    let shown = client.get(&format!("/api/v1/sessions/{id}")).expect(200);
    assert_eq!(shown.body["attributes"]["n"], 999);
}

#[test]
fn a_lease_with_a_session_is_taken_after_what_came_before_it() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let session = client.post("/api/v1/sessions", &json!({ "subject": "s", "ttl_ms": 60_000 }));
    let id = session.expect(201).text("id");
    let mut owned = acquire("pool", "anna");
    owned["body"]["session"] = id.clone().into();
    let end = json!({ "op": "sessions.end", "id": id });
    let mut late = acquire("other", "anna");
    late["body"]["session"] = id.into();
    let answers = batch(&client, &[owned, end, late, acquire("third", "anna")]);
    assert_eq!(statuses(&answers), [200, 200, 409, 200]);
    assert_eq!(answers[2]["problem"]["type"], "/problems/session-ended");
}

#[test]
fn a_batch_that_cannot_be_read_does_nothing() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let head = || client.get("/readyz?verbose").expect(200).body["journal"]["position"].clone();
    let before = head();
    let mut waits = acquire("pool", "anna");
    waits["body"]["wait_ms"] = 1_000.into();
    for wrong in [
        json!({ "op": "locks.steal", "name": "pool" }),
        json!({ "op": "sessions.touch" }),
        json!({ "op": "sessions.touch", "id": "x", "name": "y" }),
        json!({ "name": "pool" }),
        json!("locks.acquire"),
        waits,
    ] {
        let commands = json!({ "commands": [create("customer-7"), wrong] });
        client.post("/api/v1/batch", &commands).problem(400, "/problems/bad-request");
    }
    let none = json!({ "commands": [] });
    client.post("/api/v1/batch", &none).problem(400, "/problems/bad-request");
    let many = json!({ "commands": vec![json!({ "op": "sessions.touch", "id": "x" }); 1_001] });
    client.post("/api/v1/batch", &many).problem(400, "/problems/bad-request");
    let large = json!({ "commands": [create(&"x".repeat(300_000))] });
    client.post("/api/v1/batch", &large).problem(413, "/problems/too-large");
    let one = json!({ "commands": [create("customer-7")] });
    client.post_as("k", "/api/v1/batch", &one).problem(400, "/problems/bad-request");
    assert_eq!(head(), before);
}

#[test]
fn a_batch_shares_its_group_commits() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let first = client.get("/readyz?verbose").expect(200).body["journal"]["position"].as_u64();
    let locks: Vec<Value> = (0..50).map(|n| acquire(&format!("lock-{n}"), "anna")).collect();
    let answers = batch(&client, &locks);
    assert!(statuses(&answers).iter().all(|status| *status == 200));
    let last = client.get("/readyz?verbose").expect(200).body["journal"]["position"].as_u64();
    let (first, last) = (first.unwrap(), last.unwrap());
    assert!(last >= first + 50);
    server.kill();
    let groups: Vec<u64> =
        groups(data.path()).into_iter().filter(|group| *group > first && *group <= last).collect();
    eprintln!("50 commands in {} groups", groups.len());
    // A group closes when nothing more has come: unoptimised actors beside other tests can be slower
    // than a fast disk. Alone each command would have a group of its own.
    assert!(groups.len() <= 25, "50 commands took {} groups: {groups:?}", groups.len());
}

/// The groups of a journal, from the headers of its blocks: docs/format.md.
fn groups(data: &Path) -> BTreeSet<u64> {
    let mut groups = BTreeSet::new();
    for month in std::fs::read_dir(data.join("segments")).unwrap() {
        let month = month.unwrap().path();
        for segment in std::fs::read_dir(&month).into_iter().flatten() {
            let bytes = std::fs::read(segment.unwrap().path()).unwrap();
            let blocks = bytes.windows(104).filter(|block| block.starts_with(b"MSTB"));
            groups.extend(blocks.map(|it| u64::from_le_bytes(it[48..56].try_into().unwrap())));
        }
    }
    groups
}
