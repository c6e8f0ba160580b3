//! Bad input: each a clear 4xx problem, nothing recorded, and the server still answers.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server};

const ACQUIRE: &str = "/api/v1/locks/pool/acquire";

/// Sends every case to one server; each must be this problem and leave no event.
fn refused(kind: &str, status: u16, cases: &[(&str, &str, Value)]) {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let head = head(&client);
    for (method, path, body) in cases {
        let answer = client.try_json(method, path, &[], body);
        let answer = answer.unwrap_or_else(|| panic!("{method} {path} {body}: no answer"));
        let (at, got) = (format!("{method} {path} {body}"), answer.status);
        assert_eq!(got, status, "{at}: {}", answer.body);
        let problem = answer.expect_problem();
        assert_eq!(problem["type"], kind, "{at}: {problem}");
    }
    client.get("/livez").expect(200);
    assert_eq!(self::head(&client), head, "something was recorded");
    client.post(ACQUIRE, &json!({ "owner": "anna", "ttl_ms": 60_000 })).expect(200);
}

fn head(client: &Client) -> Value {
    client.get("/readyz?verbose").expect(200).body["journal"]["position"].clone()
}

fn bad(cases: &[(&str, &str, Value)]) {
    refused("/problems/bad-request", 400, cases);
}

#[test]
fn wrong_types_and_missing_or_unknown_fields_are_refused() {
    let acquire = |body: Value| ("POST", ACQUIRE, body);
    let outcomes = |body: Value| ("POST", "/api/v1/dependencies/db/outcomes", body);
    bad(&[
        acquire(json!("text")),
        acquire(json!([])),
        acquire(json!(null)),
        acquire(json!({})),
        acquire(json!({ "owner": 1, "ttl_ms": 1_000 })),
        acquire(json!({ "owner": "anna", "ttl_ms": "1s" })),
        acquire(json!({ "owner": "anna", "ttl_ms": 1.5 })),
        acquire(json!({ "owner": "anna", "ttl_ms": 1_000, "tll_ms": 1 })),
        acquire(json!({ "owner": "anna", "ttl_ms": 1_000, "mode": "both" })),
        acquire(json!({ "owner": "anna", "ttl_ms": 1_000, "range": { "from": 1 } })),
        acquire(json!({ "owner": "anna", "ttl_ms": 1_000, "range": { "from": 1, "to": "x" } })),
        acquire(json!({ "owner": "anna", "ttl_ms": 1_000, "range": { "from": 2, "to": 2 } })),
        ("POST", "/api/v1/locks/pool/renew", json!({ "owner": "anna" })),
        ("POST", "/api/v1/locks/pool/release", json!({ "token": -1, "owner": "anna" })),
        ("POST", "/api/v1/locks/pool/release", json!({ "token": 1, "owner": "anna", "x": 1 })),
        ("POST", "/api/v1/locks/pool/check", json!({ "token": "1" })),
        ("POST", "/api/v1/locks/pool/force-release", json!({})),
        ("POST", "/api/v1/locks/pool/force-release", json!({ "reason": "" })),
        ("POST", "/api/v1/sessions", json!({ "ttl_ms": 60_000 })),
        ("POST", "/api/v1/sessions", json!({ "subject": [], "ttl_ms": 60_000 })),
        ("POST", "/api/v1/sessions", json!({ "subject": "s", "ttl_ms": 60_000, "attributes": 1 })),
        ("POST", "/api/v1/sessions", json!({ "subject": "s", "ttl_ms": 60_000, "sbject": "" })),
        ("PATCH", "/api/v1/sessions/some-id", json!({ "attributes": [] })),
        ("PUT", "/api/v1/dependencies/db", json!({ "weight": -1 })),
        ("PUT", "/api/v1/dependencies/db", json!({ "wieght": 1 })),
        ("PUT", "/api/v1/dependencies/db", json!({ "breaker": { "failure_rate": 2.0 } })),
        ("PUT", "/api/v1/dependencies/db", json!({ "breaker": { "minimum_calls": 0 } })),
        ("PUT", "/api/v1/dependencies/db", json!({ "cap": "OPTIMAL" })),
        ("POST", "/api/v1/dependencies/db/state", json!({ "to": "ajar", "reason": "x" })),
        ("POST", "/api/v1/dependencies/db/state", json!({ "to": "open" })),
        outcomes(json!({ "outcome": "maybe", "duration_ms": 1 })),
        outcomes(json!({ "outcome": "success", "duration_ms": -1 })),
        outcomes(json!({ "outcome": "success", "duration_ms": 1e300 })),
        outcomes(json!({ "outcome": "success", "duration_ms": 1, "permit": "one" })),
        outcomes(json!([{ "outcome": "success" }])),
        outcomes(json!(vec![json!({ "outcome": "success", "duration_ms": 1 }); 1_001])),
    ]);
}

#[test]
fn negative_tiny_and_enormous_times_are_refused() {
    let mut cases = Vec::new();
    for ttl in [json!(-1), json!(0), json!(99), json!(604_800_001), json!(u64::MAX), json!(1e30)] {
        cases.push(("POST", ACQUIRE, json!({ "owner": "anna", "ttl_ms": ttl })));
        cases.push(("POST", "/api/v1/sessions", json!({ "subject": "s", "ttl_ms": ttl })));
    }
    // A session may be longer than a lease.
    cases.retain(|(_, path, body)| {
        !(path.ends_with("sessions") && body["ttl_ms"] == json!(604_800_001))
    });
    for age in [json!(-1), json!(0), json!(999), json!(u64::MAX)] {
        let body = json!({ "subject": "s", "ttl_ms": 60_000, "max_age_ms": age });
        cases.push(("POST", "/api/v1/sessions", body));
    }
    for (field, value) in [("wait_ms", json!(-1)), ("lock_delay_ms", json!(60_001))] {
        let mut body = json!({ "owner": "anna", "ttl_ms": 1_000 });
        body[field] = value;
        cases.push(("POST", ACQUIRE, body));
    }
    bad(&cases);
}

#[test]
fn names_over_200_bytes_or_of_other_letters_are_refused() {
    let long = "n".repeat(201);
    let lock = format!("/api/v1/locks/{long}/acquire");
    let dependency = format!("/api/v1/dependencies/{long}");
    let session = format!("/api/v1/sessions/{long}");
    let tenant = format!("/api/v1/sessions/id?tenant={long}");
    let mine = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let attributes = json!({ "attributes": { (&*long): 1 } });
    bad(&[
        ("POST", &lock, mine.clone()),
        ("POST", "/api/v1/locks/a%20b/acquire", mine.clone()),
        ("POST", "/api/v1/locks/%C3%BC/acquire", mine.clone()),
        ("POST", "/api/v1/locks/a%2Fb/acquire", mine),
        ("POST", ACQUIRE, json!({ "owner": "", "ttl_ms": 60_000 })),
        ("POST", ACQUIRE, json!({ "owner": long, "ttl_ms": 60_000 })),
        ("PUT", &dependency, json!({})),
        ("PATCH", &session, json!({ "attributes": {} })),
        ("PATCH", &tenant, json!({ "attributes": {} })),
        ("POST", "/api/v1/sessions", json!({ "subject": long, "ttl_ms": 60_000 })),
        ("POST", "/api/v1/sessions", json!({ "subject": "", "ttl_ms": 60_000 })),
        ("POST", "/api/v1/sessions", json!({ "subject": "s", "ttl_ms": 60_000, "tenant": "a/b" })),
        ("POST", "/api/v1/sessions", json!({ "subject": "a@example.com", "ttl_ms": 60_000 })),
        ("POST", "/api/v1/sessions", json!({ "subject": "+49 30 1234567", "ttl_ms": 60_000 })),
        ("POST", "/api/v1/sessions", {
            let mut body = json!({ "subject": "s", "ttl_ms": 60_000 });
            body["attributes"] = attributes["attributes"].clone();
            body
        }),
        ("POST", "/api/v1/sessions", {
            let many: serde_json::Map<_, _> =
                (0..65).map(|n| (format!("a{n}"), json!(n))).collect();
            json!({ "subject": "s", "ttl_ms": 60_000, "attributes": many })
        }),
        ("POST", "/api/v1/sessions", {
            let big = "x".repeat(16 * 1024);
            json!({ "subject": "s", "ttl_ms": 60_000, "attributes": { "big": big } })
        }),
    ]);
}

#[test]
fn a_wait_without_a_key_is_refused() {
    bad(&[("POST", ACQUIRE, json!({ "owner": "anna", "ttl_ms": 1_000, "wait_ms": 10 }))]);
}

#[test]
fn text_that_is_no_json_is_refused() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let deep = "[".repeat(100_000);
    let json = [("content-type", "application/json")];
    for body in ["", "{", "{\"owner\":}", "owner=anna", "\u{0}", "{} {}", &deep] {
        for path in [ACQUIRE, "/api/v1/sessions", "/api/v1/dependencies/db/outcomes"] {
            let answer = client.try_send("POST", path, &json, Some(body.as_bytes())).unwrap();
            answer.problem(400, "/problems/bad-request");
        }
    }
    let answer = client.try_send("POST", ACQUIRE, &json, Some(b"\xff\xfe{}")).unwrap();
    answer.problem(400, "/problems/bad-request");
    client.get("/livez").expect(200);
}

#[test]
fn another_content_type_is_refused() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 }).to_string();
    for headers in [&[("content-type", "text/plain")][..], &[]] {
        let answer = client.try_send("POST", ACQUIRE, headers, Some(body.as_bytes())).unwrap();
        answer.problem(415, "/problems/unsupported-media-type");
    }
    client.get("/livez").expect(200);
}

#[test]
fn a_body_over_its_limit_is_refused_and_read_by_nobody() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    // Announced and not sent: the answer comes without waiting for it.
    let announced = format!(
        "POST {ACQUIRE} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 300000000\r\n\r\n"
    );
    let answer = client.raw(&announced);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    let body = json!({ "owner": "a".repeat(256 * 1024), "ttl_ms": 60_000 }).to_string();
    let json = [("content-type", "application/json")];
    let answer = client.try_send("POST", ACQUIRE, &json, Some(body.as_bytes())).unwrap();
    answer.problem(413, "/problems/too-large");
    client.get("/livez").expect(200);
}

#[test]
fn keys_and_etags_that_cannot_be_are_refused() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    for key in ["", "with space", &"k".repeat(201)] {
        let headers = [("idempotency-key", key)];
        let answer = client.try_json("POST", ACQUIRE, &headers, &body).unwrap();
        answer.problem(400, "/problems/bad-request");
    }
    let session = json!({ "subject": "s", "ttl_ms": 60_000 });
    let id = client.post("/api/v1/sessions", &session).expect(201).text("id");
    let patch = json!({ "attributes": { "a": 1 } });
    for etag in ["one", "*", "\"-1\"", "W/\"1\""] {
        let path = format!("/api/v1/sessions/{id}");
        let answer = client.try_json("PATCH", &path, &[("if-match", etag)], &patch).unwrap();
        answer.problem(400, "/problems/bad-request");
    }
}

#[test]
fn tokens_of_another_lock_or_owner_do_nothing() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mine = json!({ "owner": "anna", "ttl_ms": 60_000 });
    let a = client.post("/api/v1/locks/a/acquire", &mine).expect(200).number("token");
    let b = client.post("/api/v1/locks/b/acquire", &mine).expect(200).number("token");
    assert_ne!(a, b, "the locks were granted in one microsecond");
    let foreign = json!({ "token": a, "owner": "anna" });
    client.post("/api/v1/locks/b/renew", &foreign).problem(409, "/problems/lock-not-held");
    client.post("/api/v1/locks/b/release", &foreign).problem(409, "/problems/lock-not-held");
    let checked = client.post("/api/v1/locks/b/check", &json!({ "token": a }));
    assert_eq!(checked.expect(200).body["valid"], false);
    let thief = json!({ "token": b, "owner": "ben" });
    client.post("/api/v1/locks/b/release", &thief).problem(409, "/problems/lock-held-by-other");
    let checked = client.post("/api/v1/locks/b/check", &json!({ "token": b }));
    assert_eq!(checked.expect(200).body["valid"], true);
    let recorded = client.get("/api/v1/events?type=RefusalRecorded").expect(200);
    let told = |at: usize| recorded.body["events"][at]["data"].clone();
    assert_eq!((&told(0)["owner"], &told(0)["because"]), (&json!("anna"), &json!("token")));
    assert_eq!((&told(1)["owner"], &told(1)["because"]), (&json!("ben"), &json!("owner")));
}

#[test]
fn queries_that_cannot_be_are_refused() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for query in [
        "after=1000000",
        "after=18446744073709551616",
        "after=-1",
        "after=x",
        "limit=0",
        "limit=1001",
        "limit=all",
        "since=yesterday",
        "until=2026-13-01T00:00:00Z",
        "type=LeaseGrunted",
        "stream=pool",
        "steram=lock/pool",
    ] {
        let answer = client.get(&format!("/api/v1/events?{query}"));
        let problem = answer.problem(400, "/problems/bad-request");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{query}");
    }
    client.get("/api/v1/events?after=2-1").problem(410, "/problems/other-epoch");
    let nearest =
        client.get("/api/v1/events?type=LeaseGrunted").problem(400, "/problems/bad-request");
    assert!(nearest["detail"].as_str().unwrap().contains("LeaseGranted"), "{nearest}");
    for path in ["/api/v1/locks?active=false", "/api/v1/locks?limit=0", "/api/v1/sessions"] {
        client.get(path).problem(400, "/problems/bad-request");
    }
    client.get("/livez").expect(200);
}
