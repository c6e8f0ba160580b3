//! `/api/v1/events`, `/api/v1/streams`, `/livez` and `/readyz` over the wire.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, until};

fn events(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/v1/events?{query}")).expect(200);
    page.body["events"].as_array().unwrap().clone()
}

fn load(client: &Client) {
    for (lock, owner) in [("a", "anna"), ("b", "ben"), ("c", "carl")] {
        let body = json!({ "owner": owner, "ttl_ms": 60_000 });
        let headers = [("x-request-id", owner)];
        let path = format!("/api/v1/locks/{lock}/acquire");
        client.try_json("POST", &path, &headers, &body).unwrap().expect(200);
    }
}

#[test]
fn events_are_filtered_by_stream_type_principal_correlation_and_time() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    load(&client);
    let of = |query: &str| -> Vec<String> {
        let streams = events(&client, query);
        streams.iter().map(|event| event["stream"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("stream=lock/b"), ["lock/b"]);
    assert_eq!(of("type=LeaseGranted"), ["lock/a", "lock/b", "lock/c"]);
    assert_eq!(of("type=LeaseGranted,Booted"), ["system/boot", "lock/a", "lock/b", "lock/c"]);
    assert_eq!(of("principal=local"), ["lock/a", "lock/b", "lock/c"]);
    assert_eq!(of("correlation=ben"), ["lock/b"]);
    assert_eq!(of("principal=nobody"), Vec::<String>::new());
    let all = events(&client, "");
    let second = all[2]["at"].as_str().unwrap();
    let after: Vec<_> = events(&client, &format!("since={second}"));
    assert_eq!(after[0]["position"], all[2]["position"]);
    let until = events(&client, &format!("until={second}"));
    assert_eq!(until.last().unwrap()["position"], all[2]["position"]);
}

#[test]
fn pages_of_events_follow_each_other_without_gap_or_overlap() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    load(&client);
    let all = events(&client, "limit=1000");
    let mut paged = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page = client.get(&format!("/api/v1/events?limit=2&after={after}")).expect(200);
        paged.extend(page.body["events"].as_array().unwrap().clone());
        let Some(next) = page.body["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert!(all.len() > 2);
    assert_eq!(all, paged);
    let positions: Vec<u64> = all.iter().map(|it| it["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=all.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_stream_folds_to_the_state_that_the_entity_shows() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    load(&client);
    let shown = client.get("/api/v1/locks/a").expect(200);
    let folded = client.get("/api/v1/streams/lock/a").expect(200);
    assert_eq!(folded.body["stream"], "lock/a");
    assert_eq!(folded.body["version"], 1);
    assert_eq!(folded.body["position"], shown.body["position"]);
    let (token, grant) = (&shown.body["holders"][0]["token"], &folded.body["state"]["grants"][0]);
    assert_eq!(token, &grant["token"]);
    client.get("/api/v1/streams/lock/never").problem(404, "/problems/not-found");
}

#[test]
fn a_server_is_alive_and_ready_and_tells_how_its_journal_stands() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    assert_eq!(client.get("/livez").expect(200).text("status"), "alive");
    assert_eq!(client.get("/readyz").expect(200).body, json!({ "status": "ready" }));
    let verbose = client.get("/readyz?verbose").expect(200).body;
    assert!(verbose["journal"]["position"].as_u64().unwrap() >= 1, "{verbose}");
    assert_eq!(verbose["journal"]["refusing"], Value::Null);
    assert_eq!(verbose["unreadable_events"], 0);
}

#[test]
fn a_drained_server_ends_well_and_its_journal_is_whole() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    load(&server.client());
    assert!(server.stop().success());
    let server = Server::start(data.path());
    assert_eq!(events(&server.client(), "type=LeaseGranted").len(), 3);
}

#[test]
fn a_server_stops_in_time_though_somebody_waits_for_a_lock() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    load(&client);
    let waiting = {
        let client = server.client();
        let body = json!({ "owner": "dora", "ttl_ms": 60_000, "wait_ms": 600_000 });
        std::thread::spawn(move || {
            let key = [("idempotency-key", "k")];
            client.try_json("POST", "/api/v1/locks/a/acquire", &key, &body)
        })
    };
    until(10, "the waiter", || {
        let shown = client.get("/api/v1/locks/a").expect(200);
        (shown.body["waiters"][0]["owner"] == "dora").then_some(())
    });
    // Waits at most 30 s.
    assert!(server.stop().success());
    drop(waiting.join().unwrap());
    // The wait is durable: the same key waits on after the restart.
    let server = Server::start(data.path());
    let shown = server.client().get("/api/v1/locks/a").expect(200);
    assert_eq!(shown.body["waiters"][0]["owner"], "dora");
}
