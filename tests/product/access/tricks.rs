//! Paths, headers and texts by which somebody may hope to get past the key.

use serde_json::json;

use super::Guarded;

/// Sends a request as it is written, and gives the status.
fn status(guarded: &Guarded, request: &[u8]) -> String {
    let answer = guarded.server.client().raw(request);
    answer.split(' ').nth(1).unwrap_or("none").to_owned()
}

fn request(line: &str, headers: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

#[test]
fn no_way_of_writing_a_path_leads_around_the_key() {
    let guarded = Guarded::start();
    let paths = [
        "//api/v1/keys",
        "/./api/v1/keys",
        "/livez/../api/v1/keys",
        "/livez/%2e%2e/api/v1/keys",
        "/docs/..%2fapi/v1/keys",
        "/docs/../api/v1/keys",
        "/API/v1/keys",
        "/api/v1/keys/",
        "/api/v1//keys",
        "/api/v1/keys;x=/livez",
        "/api/v1/keys%00",
        "/api/v1/keys?/livez",
        "/api/v1/%6beys",
        "/problems/..%2f..%2fapi%2fv1%2fkeys",
        "/docs/..%2f..%2f..%2f..%2fetc%2fpasswd",
    ];
    for path in paths {
        let status = status(&guarded, &request(&format!("GET {path}"), ""));
        assert!(["400", "401", "404"].contains(&&*status), "{path}: {status}");
    }
    let absolute = status(&guarded, &request("GET http://localhost/api/v1/keys", ""));
    assert_eq!(absolute, "401");
}

#[test]
fn no_header_makes_another_request_of_it() {
    let guarded = Guarded::start();
    let viewer = guarded.key("eve", "viewer", None);
    let key = format!("X-API-Key: {viewer}\r\n");
    let tricks = [
        "X-HTTP-Method-Override: GET\r\n",
        "X-Original-URL: /livez\r\n",
        "X-Rewrite-URL: /livez\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "Forwarded: for=127.0.0.1;proto=https\r\n",
        "X-Forwarded-User: root\r\n",
        "X-Mainstay-Role: admin\r\n",
        "Connection: X-API-Key\r\n",
    ];
    for trick in tricks {
        let without = request("GET /api/v1/keys", trick);
        assert_eq!(status(&guarded, &without), "401", "{trick}");
        let with = request("GET /api/v1/keys", &format!("{key}{trick}"));
        assert_eq!(status(&guarded, &with), "403", "{trick}");
        let written =
            format!("{key}{trick}Content-Type: application/json\r\nContent-Length: 2\r\n");
        let mut write = request("POST /api/v1/locks/a/acquire", &written);
        write.extend(b"{}");
        assert_eq!(status(&guarded, &write), "403", "{trick}");
    }
    // Two lengths, or a length and chunks: where a request ends is not to be argued about.
    let lengths = "Content-Length: 2\r\nContent-Length: 40\r\n";
    let both = "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n";
    for smuggled in [lengths, both] {
        let mut request = request("POST /api/v1/locks/a/acquire", &format!("{key}{smuggled}"));
        request.extend(b"{}GET /api/v1/keys HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = guarded.server.client().raw(&request);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[test]
fn what_is_no_utf_8_is_refused_and_leaves_nothing() {
    let guarded = Guarded::start();
    let key = guarded.key("op", "operator", None);
    let head = |line: &str, more: &[u8]| {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        );
        [request.as_bytes(), more].concat()
    };
    let post = |path: &str, headers: &[u8], body: &[u8]| {
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let rest = [headers, length.as_bytes(), body].concat();
        status(&guarded, &head(&format!("POST {path}"), &rest))
    };
    let acquire = br#"{"owner":"ann","ttl_ms":60000}"#;
    let position = || {
        guarded.as_who(&guarded.admin).get("/api/v1/health").expect(200).body["position"].clone()
    };
    let before = position();
    assert_eq!(
        post("/api/v1/locks/a/acquire", b"", b"{\"owner\":\"\xff\xfe\",\"ttl_ms\":60000}"),
        "400"
    );
    assert_eq!(post("/api/v1/locks/%ff%fe/acquire", b"", acquire), "400");
    assert_eq!(post("/api/v1/locks/a/acquire", b"Idempotency-Key: \xff\xfe\r\n", acquire), "400");
    let session = b"{\"subject\":\"\xc3\x28\",\"ttl_ms\":60000}";
    assert_eq!(post("/api/v1/sessions", b"", session), "400");
    let get = |path: &str| status(&guarded, &head(&format!("GET {path}"), b"\r\n"));
    assert_eq!(get("/api/v1/locks?prefix=%ff"), "400");
    assert_eq!(get("/api/v1/sessions?subject=%ff"), "400");
    let key = [b"X-API-Key: mainstay_\xff\xfe\r\n".as_slice(), b"\r\n"].concat();
    let other = [
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".as_slice(),
        &key,
    ]
    .concat();
    assert_eq!(status(&guarded, &other), "401");
    assert_eq!(position(), before, "nothing of it is in the journal");
}

#[test]
fn another_keys_idempotency_key_tells_and_does_nothing_across_tenants() {
    let guarded = Guarded::start();
    let acme = guarded.key("acme", "operator", Some("acme"));
    let other = guarded.key("other", "operator", Some("other"));
    let body =
        json!({ "subject": "s1", "ttl_ms": 60_000, "attributes": { "mail": "a@example.org" } });
    let (acme, other) = (guarded.as_who(&acme), guarded.as_who(&other));
    let mine = acme.post_as("k1", "/api/v1/sessions", &body).expect(201).text("id");
    let theirs = other.post_as("k1", "/api/v1/sessions", &body).expect(201).text("id");
    assert_ne!(mine, theirs, "a key of one tenant is not a key of another");
    let changed = json!({ "subject": "s2", "ttl_ms": 60_000, "attributes": {} });
    let refused = acme.post_as("k1", "/api/v1/sessions", &changed);
    assert_eq!((refused.status, super::kind(&refused)), (422, "/problems/idempotency-key-reused"));
    assert!(!refused.body.to_string().contains("example.org"));
    other.get(&format!("/api/v1/sessions/{mine}")).expect(404);
    let events =
        guarded.as_who(&guarded.admin).get("/api/v1/events?type=SessionCreated").expect(200);
    assert_eq!(events.body["events"].as_array().unwrap().len(), 2);
}
