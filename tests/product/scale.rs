//! More sessions than may be in memory: they come back after a crash, and end on time.

use std::ops::ControlFlow;
use std::path::Path;

use mainstay::actors::codec::Payload as _;
use mainstay::actors::session::SessionEvent;
use mainstay::journal::{ReadLog as _, Reader};
use serde_json::{Value, json};

use super::support::{Client, Server, until};

const SESSIONS: u64 = 2_000;
const RESIDENTS: u64 = 100;
/// Long enough for a debug build on a busy machine to make them all, and to crash in between.
const TTL_MS: u64 = 15_000;

fn create(client: &Client, count: u64) -> Vec<String> {
    let body = json!({ "subject": "someone", "ttl_ms": TTL_MS, "attributes": { "a": 1 } });
    let command = json!({ "op": "sessions.create", "body": body });
    let mut ids = Vec::new();
    for _ in 0..count / 500 {
        let answer = client.post("/api/v1/batch", &json!({ "commands": vec![&command; 500] }));
        for answer in answer.body["answers"].as_array().unwrap() {
            assert_eq!(answer["status"], 201, "{answer}");
            ids.push(answer["body"]["id"].as_str().unwrap().to_owned());
        }
    }
    ids
}

fn occupancy(client: &Client) -> Value {
    client.get("/readyz?verbose").body["occupancy"].clone()
}

/// Latest journaling of an end after its moment, in milliseconds, and how many ends there are.
fn ends(data: &Path) -> (u64, u64) {
    let (mut latest, mut count) = (0, 0);
    let reader = Reader::open(data).unwrap();
    reader
        .scan(1, u64::MAX, &mut |record| {
            let event = SessionEvent::decode(record.type_id, record.schema, record.payload);
            if let Ok(SessionEvent::SessionEnded(ended)) = event {
                latest = latest.max((record.at_us - ended.at.as_micros()) / 1_000);
                count += 1;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    (latest, count)
}

#[test]
fn sessions_beyond_the_memory_bound_survive_a_crash_in_their_midst_and_end_on_time() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("data"), directory.path().join("mainstay.toml"));
    let limits = format!("[limits]\nresidents = {RESIDENTS}\ncheckpoint_events = 700\n");
    std::fs::write(&file, limits).unwrap();
    let start = || Server::start_with(&data, &["--config", file.to_str().unwrap()]);

    let server = start();
    let first = create(&server.client(), SESSIONS / 2);
    until(30, "a checkpoint", || data.join("kept/checkpoint").is_file().then_some(()));
    server.kill();
    let server = start();
    let client = server.client();
    let rest = create(&client, SESSIONS / 2);
    let full = occupancy(&client);
    assert_eq!(full["limits"]["residents"], RESIDENTS);
    assert!(full["residents"].as_u64().unwrap() <= RESIDENTS, "{full}");
    assert_eq!(full["timers"], SESSIONS, "{full}");
    for id in [&first[0], &first[999], &rest[0], &rest[999]] {
        assert_eq!(client.get(&format!("/api/v1/sessions/{id}")).status, 200, "{id}");
    }
    until(60, "every session to end, and its end to be durable", || {
        let left = occupancy(&client);
        ["timers", "sessions", "in_flight"].iter().all(|what| left[what] == 0).then_some(())
    });
    for id in [&first[0], &rest[999]] {
        assert_eq!(client.get(&format!("/api/v1/sessions/{id}")).status, 404, "{id}");
    }
    drop(server);
    let (latest_ms, count) = ends(&data);
    assert_eq!(count, SESSIONS);
    assert!(latest_ms < 5_000, "an end was journaled {latest_ms} ms after its moment");
}
