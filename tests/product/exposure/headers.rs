//! The headers of every answer.

use serde_json::json;
use tempfile::tempdir;

use super::{Place, value};
use crate::access::{filled, matrix};
use crate::support::{Client, Server};

/// Asserts that an answer to a path has them all.
#[track_caller]
fn guarded(path: &str, head: &str, tls: bool) {
    for (name, expected) in [
        ("x-frame-options", "deny"),
        ("x-content-type-options", "nosniff"),
        ("x-xss-protection", "0"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(value(head, name), Some(expected), "{path}: {head}");
    }
    let permissions = value(head, "permissions-policy").unwrap_or_default();
    for part in permissions.split(", ") {
        assert!(part.ends_with("=()"), "{path}: {part}");
    }
    assert!(permissions.contains("camera=()"), "{path}: {head}");
    let policy = value(head, "content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    let hsts = value(head, "strict-transport-security");
    assert_eq!(hsts, tls.then_some("max-age=31536000"), "{path}: {head}");
    if path.starts_with("/api") {
        assert_eq!(value(head, "cache-control"), Some("no-store"), "{path}: {head}");
    }
    for name in ["server", "x-powered-by", "access-control-allow-origin"] {
        assert_eq!(value(head, name), None, "{path}: {head}");
    }
}

#[test]
fn every_route_has_them_with_a_key_and_without_and_so_has_every_error() {
    let place = Place::new();
    let server = Server::start_under(&place.data(), &[("MAINSTAY__ACCESS__KEYS", "required")]);
    let nobody = server.client();
    let admin = nobody.with("x-api-key", &place.admin);
    let mut statuses = std::collections::BTreeSet::new();
    let mut ask = |client: &Client, method: &str, path: &str| {
        let head = client.head_of(method, path);
        guarded(path, &head, false);
        statuses.insert(head[9..12].to_owned());
    };
    let rows = matrix();
    assert!(rows.len() > 30, "the table has moved");
    for (method, path, _) in rows {
        let path = filled(&path);
        ask(&nobody, &method, &path);
        ask(&admin, &method, &path);
    }
    let long = "x".repeat(60_000);
    for (method, path) in [
        ("GET", "/nowhere"),
        ("GET", "/api/v1/nowhere"),
        ("DELETE", "/api/v1/health"),
        ("OPTIONS", "/api/v1/health"),
        ("BREW", "/livez"),
        ("GET", "/api/v1/events?limit=none"),
        ("GET", "/api/v1/events/x/why"),
        ("GET", &format!("/{long}")),
    ] {
        ask(&admin, method, path);
    }
    ask(&nobody.with("host", "evil.example"), "GET", "/api/v1/health");
    ask(&nobody.with("origin", "https://evil.example"), "GET", "/api/v1/health");
    for status in ["200", "308", "400", "401", "403", "404", "405"] {
        assert!(statuses.contains(status), "{statuses:?}");
    }
}

#[test]
fn a_body_that_is_too_large_or_no_json_and_a_failure_of_the_server_have_them_too() {
    let place = Place::new();
    let server = Server::start_under(&place.data(), &[("MAINSTAY__ACCESS__KEYS", "required")]);
    let admin = server.client().with("x-api-key", &place.admin);
    let batch = "/api/v1/batch";
    let shown = |answer: &crate::support::Answer| {
        let lines = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()).to_lowercase());
        guarded(batch, &lines.collect::<String>(), false);
    };
    let large = admin.post(batch, &json!({ "x": "x".repeat(300_000) })).expect(413);
    shown(&large);
    let text = admin.try_send("POST", batch, &[("content-type", "text/plain")], Some(b"x"));
    shown(&text.unwrap().expect(415));
    let body = json!({ "subject": "ann", "ttl_ms": 600_000, "attributes": { "a": 1 } });
    let id = admin.post("/api/v1/sessions", &body).expect(201).text("id");
    assert!(server.stop().success());
    // The values of a subject cannot be opened without its key.
    std::fs::remove_file(place.data().join("keys/subjects")).unwrap();
    let server = Server::start_under(&place.data(), &[("MAINSTAY__ACCESS__KEYS", "required")]);
    let admin = server.client().with("x-api-key", &place.admin);
    shown(&admin.get(&format!("/api/v1/sessions/{id}")).expect(500));
}

#[test]
fn over_tls_a_browser_is_told_to_come_back_over_tls() {
    let place = Place::new();
    let server = Server::start_under(&place.data(), &place.pair.variables());
    let client = place.client(&server);
    for path in ["/livez", "/docs/", "/api/v1/health", "/nowhere"] {
        let answer = client.get(path);
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"), "{path}");
    }
}

#[test]
fn the_page_of_the_api_may_load_from_its_server_and_nothing_inline() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let head = server.client().head_of("GET", "/docs/");
    let policy = value(&head, "content-security-policy").unwrap();
    for part in ["script-src 'self'", "style-src 'self'", "connect-src 'self'"] {
        assert!(policy.split("; ").any(|it| it == part), "{policy}");
    }
    let page = String::from_utf8(server.client().get_bytes("/docs/")).unwrap();
    for inline in ["<style", " style=", "<script>", " onload=", "javascript:"] {
        assert!(!page.contains(inline), "{inline} in {page}");
    }
}
