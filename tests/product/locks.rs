//! `/api/v1/locks` over the wire.

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Server, until};

#[test]
fn a_lock_is_acquired_checked_renewed_and_released() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mine = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let lease = client.post("/api/v1/locks/room-101/acquire", &mine).expect(200);
    let token = lease.number("token");
    assert!(lease.number("position") > 0);
    assert_eq!(lease.number("epoch"), 1);
    assert!((1..=60_000).contains(&lease.number("expires_in_ms")), "{}", lease.body);

    let checked = client.post("/api/v1/locks/room-101/check", &json!({ "token": token }));
    assert_eq!(checked.expect(200).body["valid"], true);
    let held = json!({ "token": token, "owner": "anna" });
    let renewed = client.post("/api/v1/locks/room-101/renew", &held).expect(200);
    assert_eq!(renewed.number("token"), token);
    assert!(renewed.number("position") > lease.number("position"));

    let shown = client.get("/api/v1/locks/room-101").expect(200);
    assert_eq!(shown.body["name"], "room-101");
    assert_eq!(shown.body["holders"][0]["owner"], "anna");
    let listed = client.get("/api/v1/locks?active=true&prefix=room-").expect(200);
    assert_eq!(listed.body["locks"][0]["name"], "room-101");

    client.post("/api/v1/locks/room-101/release", &held).expect(200);
    let checked = client.post("/api/v1/locks/room-101/check", &json!({ "token": token }));
    assert_eq!(checked.expect(200).body["valid"], false);
    let listed = client.get("/api/v1/locks?active=true").expect(200);
    assert_eq!(listed.body["locks"], json!([]));
}

#[test]
fn a_held_lock_answers_409_with_its_holders_and_a_time_to_retry() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let lease = client
        .post("/api/v1/locks/pool/acquire", &json!({ "owner": "anna", "ttl_ms": 60_000 }))
        .expect(200);
    let refused =
        client.post("/api/v1/locks/pool/acquire", &json!({ "owner": "ben", "ttl_ms": 1_000 }));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let problem = refused.problem(409, "/problems/lock-held");
    assert_eq!(problem["holders"][0]["owner"], "anna");
    assert_eq!(problem["holders"][0]["token"], lease.number("token"));
    assert!((1..=60_000).contains(&problem["retry_after_ms"].as_u64().unwrap()));
}

#[test]
fn an_operator_takes_a_lease_away_and_the_reason_is_recorded() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mine = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let first = client.post("/api/v1/locks/pool/acquire", &mine).expect(200).number("token");
    let why = json!({ "reason": "guest has left" });
    let forced = client.post("/api/v1/locks/pool/force-release", &why).expect(200);
    assert_eq!(forced.number("released"), 1);
    let late = json!({ "token": first, "owner": "anna" });
    client.post("/api/v1/locks/pool/renew", &late).problem(409, "/problems/lock-not-held");
    let second = client.post("/api/v1/locks/pool/acquire", &mine).expect(200).number("token");
    assert!(second > first);
    let events = client.get("/api/v1/events?stream=lock/pool&type=LeaseRevoked").expect(200);
    assert_eq!(events.body["events"][0]["data"]["reason"], "guest has left");
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_released_and_claims_it() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mine = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let first = client.post("/api/v1/locks/pool/acquire", &mine).expect(200).number("token");
    let wait = json!({ "owner": "ben", "ttl_ms": 60_000, "wait_ms": 20_000 });
    let waiting = {
        let (client, wait) = (client.clone(), wait.clone());
        std::thread::spawn(move || client.post_as("ben-1", "/api/v1/locks/pool/acquire", &wait))
    };
    until(10, "the waiter to be queued", || {
        let shown = client.get("/api/v1/locks/pool").expect(200);
        (shown.body["waiters"][0]["owner"] == "ben").then_some(())
    });
    let held = json!({ "token": first, "owner": "anna" });
    client.post("/api/v1/locks/pool/release", &held).expect(200);
    let granted = waiting.join().unwrap().expect(200);
    assert!(granted.number("token") > first);
    // Acquiring again under the same key claims the grant: the same lease.
    let claimed = client.post_as("ben-1", "/api/v1/locks/pool/acquire", &wait).expect(200);
    assert_eq!(claimed.number("token"), granted.number("token"));
    let events = client.get("/api/v1/events?stream=lock/pool&type=LeaseClaimed").expect(200);
    assert_eq!(events.body["events"].as_array().unwrap().len(), 1);
}

#[test]
fn a_wait_in_vain_ends_in_409_with_the_holders() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mine = json!({ "owner": "anna", "ttl_ms": 60_000 });
    client.post("/api/v1/locks/pool/acquire", &mine).expect(200);
    let wait = json!({ "owner": "ben", "ttl_ms": 1_000, "wait_ms": 100 });
    let refused = client.post_as("ben-1", "/api/v1/locks/pool/acquire", &wait);
    let problem = refused.problem(409, "/problems/lock-wait-over");
    assert_eq!(problem["holders"][0]["owner"], "anna");
}

#[test]
fn overlapping_nights_of_one_room_are_never_booked_twice() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let book = |owner: &str, from: &str, to: &str| {
        let range = json!({ "from": from, "to": to });
        let body = json!({ "owner": owner, "ttl_ms": 60_000, "range": range });
        client.post("/api/v1/locks/room-7/acquire", &body)
    };
    book("anna", "2026-12-01", "2026-12-03").expect(200);
    book("ben", "2026-12-02", "2026-12-04").problem(409, "/problems/lock-held");
    // The day anna leaves is the day carl comes.
    book("carl", "2026-12-03", "2026-12-04").expect(200);
    let mixed = json!({ "from": 1, "to": 2 });
    let body = json!({ "owner": "dora", "ttl_ms": 60_000, "range": mixed });
    client.post("/api/v1/locks/room-7/acquire", &body).problem(409, "/problems/lock-other-unit");
}

#[test]
fn readers_share_and_a_waiting_writer_goes_before_later_readers() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let shared = |owner: &str| json!({ "owner": owner, "ttl_ms": 60_000, "mode": "shared" });
    let path = "/api/v1/locks/menu/acquire";
    client.post(path, &shared("anna")).expect(200);
    client.post(path, &shared("ben")).expect(200);
    let writer = {
        let client = client.clone();
        let body = json!({ "owner": "carl", "ttl_ms": 60_000, "wait_ms": 1_000 });
        std::thread::spawn(move || client.post_as("carl-1", path, &body))
    };
    until(10, "the writer to be queued", || {
        let shown = client.get("/api/v1/locks/menu").expect(200);
        (shown.body["waiters"][0]["owner"] == "carl").then_some(())
    });
    client.post(path, &shared("dora")).problem(409, "/problems/lock-held");
    writer.join().unwrap().problem(409, "/problems/lock-wait-over");
    client.post(path, &shared("dora")).expect(200);
}
