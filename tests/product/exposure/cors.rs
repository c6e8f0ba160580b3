//! Which pages may ask in a browser.

use tempfile::tempdir;

use super::value;
use crate::support::{Client, Server};

const APP: &str = "https://app.example";

fn preflight(client: &Client, origin: &str, method: &str, headers: &str) -> String {
    let client = client.with("origin", origin).with("access-control-request-method", method);
    client.with("access-control-request-headers", headers).head_of("OPTIONS", "/api/v1/batch")
}

#[test]
fn without_origins_no_page_of_another_may_ask_or_read() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for head in [
        preflight(&client, APP, "POST", "x-api-key"),
        client.with("origin", APP).head_of("GET", "/api/v1/health"),
    ] {
        assert!(head.starts_with("http/1.1 403"), "{head}");
        assert!(!head.contains("access-control"), "{head}");
    }
    let own = client.with("origin", "http://localhost:1").head_of("GET", "/api/v1/health");
    assert!(own.starts_with("http/1.1 200") && !own.contains("access-control"), "{own}");
}

#[test]
fn a_listed_origin_may_ask_with_a_key_and_read_and_no_other_may() {
    let data = tempdir().unwrap();
    let admin = super::first_key(data.path());
    let variables = [("MAINSTAY__SERVER__ORIGINS", APP), ("MAINSTAY__ACCESS__KEYS", "required")];
    let server = Server::start_under(data.path(), &variables);
    let client = server.client();
    // A browser sends no key with this question.
    let headers =
        "x-api-key, content-type, idempotency-key, if-match, last-event-id, authorization";
    let answer = preflight(&client, APP, "POST", headers);
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert_eq!(value(&answer, "access-control-allow-origin"), Some(APP));
    assert_eq!(value(&answer, "access-control-allow-credentials"), None);
    assert_eq!(value(&answer, "x-frame-options"), Some("deny"));
    let allowed = value(&answer, "access-control-allow-headers").unwrap();
    for header in headers.split(", ") {
        assert!(allowed.contains(header), "{header}: {allowed}");
    }
    let app = client.with("origin", APP);
    for (client, status) in [(app.clone(), "401"), (app.with("x-api-key", &admin), "200")] {
        let head = client.head_of("GET", "/api/v1/health");
        assert_eq!(&head[9..12], status);
        assert_eq!(value(&head, "access-control-allow-origin"), Some(APP), "{head}");
        assert!(value(&head, "vary").unwrap().contains("origin"), "{head}");
        let exposed = value(&head, "access-control-expose-headers").unwrap();
        for header in ["etag", "retry-after", "ratelimit", "ratelimit-policy"] {
            assert!(exposed.split(", ").any(|it| it == header), "{exposed}");
        }
    }
    // An error that the framework makes can be read, too.
    let missing = app.head_of("GET", "/api/v1/nowhere");
    assert_eq!(value(&missing, "access-control-allow-origin"), Some(APP), "{missing}");
    for head in [
        preflight(&client, "https://evil.example", "POST", "x-api-key"),
        client.with("origin", "https://evil.example").head_of("GET", "/api/v1/health"),
        client.with("origin", "null").head_of("GET", "/api/v1/health"),
        client.with("origin", "https://app.example.evil").head_of("GET", "/api/v1/health"),
    ] {
        assert!(head.starts_with("http/1.1 403"), "{head}");
        assert!(!head.contains("access-control-allow"), "{head}");
    }
    for (method, headers) in [("TRACE", "x-api-key"), ("POST", "x-other")] {
        let head = preflight(&client, APP, method, headers);
        assert!(head.starts_with("http/1.1 400"), "{head}");
        assert!(head.contains("application/problem+json"), "{head}");
    }
}
