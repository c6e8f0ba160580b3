//! `Idempotency-Key`: a retry finds its first answer, also after a kill.

use serde_json::json;
use tempfile::tempdir;

use crate::support::Server;

#[test]
fn the_same_key_gives_the_same_lease_also_after_a_kill() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let acquire = "/api/v1/locks/pool/acquire";
    let first = server.client().post_as("k1", acquire, &body).expect(200);
    let again = server.client().post_as("k1", acquire, &body).expect(200);
    assert_eq!(again.number("token"), first.number("token"));
    assert_eq!(again.body["expires_at"], first.body["expires_at"]);
    server.kill();
    let server = Server::start(data.path());
    let after = server.client().post_as("k1", acquire, &body).expect(200);
    assert_eq!(after.number("token"), first.number("token"));
    let grants = server.client().get("/api/v1/events?type=LeaseGranted").expect(200);
    assert_eq!(grants.body["events"].as_array().unwrap().len(), 1);
}

#[test]
fn the_same_key_gives_the_same_session_also_after_a_kill() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let body = json!({ "subject": "subject-1", "ttl_ms": 60_000, "attributes": { "a": 1 } });
    let first = server.client().post_as("k1", "/api/v1/sessions", &body).expect(201);
    server.kill();
    let server = Server::start(data.path());
    let client = server.client();
    let again = client.post_as("k1", "/api/v1/sessions", &body).expect(201);
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(again.body["attributes"], first.body["attributes"]);
    let created = client.get("/api/v1/events?type=SessionCreated").expect(200);
    assert_eq!(created.body["events"].as_array().unwrap().len(), 1);
    // Another journal has another secret: nobody can guess the id from the key.
    let other = tempdir().unwrap();
    let elsewhere = Server::start(other.path());
    let foreign = elsewhere.client().post_as("k1", "/api/v1/sessions", &body).expect(201);
    assert_ne!(foreign.body["id"], first.body["id"]);
}

#[test]
fn a_key_that_was_used_for_another_body_is_refused_also_after_a_kill() {
    let data = tempdir().unwrap();
    let mut server = Server::start(data.path());
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let other = json!({ "owner": "anna", "ttl_ms": 60_001 });
    let session = json!({ "subject": "subject-1", "ttl_ms": 60_000 });
    let another = json!({ "subject": "subject-2", "ttl_ms": 60_000 });
    server.client().post_as("k1", "/api/v1/locks/pool/acquire", &body).expect(200);
    server.client().post_as("k1", "/api/v1/sessions", &session).expect(201);
    for _ in 0..2 {
        let client = server.client();
        let reused = client.post_as("k1", "/api/v1/locks/pool/acquire", &other);
        reused.problem(422, "/problems/idempotency-key-reused");
        let reused = client.post_as("k1", "/api/v1/sessions", &another);
        reused.problem(422, "/problems/idempotency-key-reused");
        server.kill();
        server = Server::start(data.path());
    }
}

#[test]
fn a_key_whose_lease_or_session_has_ended_is_spent() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let acquire = "/api/v1/locks/pool/acquire";
    let token = client.post_as("k1", acquire, &body).expect(200).number("token");
    let held = json!({ "token": token, "owner": "anna" });
    client.post("/api/v1/locks/pool/release", &held).expect(200);
    client.post_as("k1", acquire, &body).problem(409, "/problems/lock-request-spent");

    let session = json!({ "subject": "subject-1", "ttl_ms": 60_000 });
    let id = client.post_as("k1", "/api/v1/sessions", &session).expect(201).text("id");
    client.delete(&format!("/api/v1/sessions/{id}")).expect(200);
    client.post_as("k1", "/api/v1/sessions", &session).problem(409, "/problems/session-exists");
}

#[test]
fn a_retried_patch_and_release_change_nothing_twice() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let session = json!({ "subject": "subject-1", "ttl_ms": 60_000 });
    let id = client.post("/api/v1/sessions", &session).expect(201).text("id");
    let path = format!("/api/v1/sessions/{id}");
    let patch = json!({ "attributes": { "a": 1 } });
    let headers = [("idempotency-key", "p1"), ("if-match", "\"1\"")];
    for _ in 0..2 {
        let patched = client.try_json("PATCH", &path, &headers, &patch).unwrap().expect(200);
        assert_eq!(patched.header("etag"), Some("\"2\""));
    }
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let token = client.post("/api/v1/locks/pool/acquire", &body).expect(200).number("token");
    let held = json!({ "token": token, "owner": "anna" });
    for _ in 0..2 {
        let released = client.post_as("r1", "/api/v1/locks/pool/release", &held).expect(200);
        assert_eq!(released.number("released"), 1);
    }
}
