//! What the framework answers by itself has the shape of a problem too.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;
use tempfile::tempdir;

use crate::support::Server;

#[test]
fn unknown_routes_and_things_are_404_problems() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/health",
        "/api/v1/lock/pool",
        "/api/v1/locks/pool/aquire",
        "/api/v1/dependencies/none",
        "/api/v1/sessions/00000000-0000-7000-8000-000000000000",
        "/api/v1/streams/nonsense/x",
        "/%00",
        "/..%2f..%2fetc/passwd",
    ] {
        client.get(path).problem(404, "/problems/not-found");
    }
    let outcome = json!({ "outcome": "success", "duration_ms": 1 });
    for (path, body) in [
        ("/api/v1/dependencies/none/permits", json!({})),
        ("/api/v1/dependencies/none/outcomes", outcome),
        ("/api/v1/dependencies/none/state", json!({ "to": "open", "reason": "x" })),
        ("/api/v1/sessions/none/touch", json!({})),
    ] {
        client.post(path, &body).problem(404, "/problems/not-found");
    }
    client.get("/livez").expect(200);
}

#[test]
fn a_wrong_method_is_a_405_problem_that_says_which_are_right() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/health", "GET"),
        ("POST", "/api/v1/events", "GET"),
        ("GET", "/api/v1/locks/pool/acquire", "POST"),
        ("PUT", "/api/v1/sessions", "GET, POST"),
        ("POST", "/api/v1/sessions/x", "GET, PATCH, DELETE"),
        ("PATCH", "/api/v1/dependencies/db", "GET, PUT"),
        ("PUT", "/api/v1/streams/lock/pool", "GET"),
        ("DELETE", "/livez", "GET"),
        ("POST", "/readyz", "GET"),
    ] {
        let answer = client.try_send(method, path, &[], None).unwrap();
        let allow = answer.header("allow").unwrap_or_default().to_owned();
        let mut methods: Vec<&str> = allow.split(',').map(str::trim).collect();
        let mut wanted: Vec<&str> = allowed.split(", ").collect();
        methods.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(methods, wanted, "{method} {path}");
        answer.problem(405, "/problems/method-not-allowed");
    }
}

#[test]
fn a_page_of_another_host_or_origin_is_refused() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let ask = |header: &str| {
        client.raw(format!("GET /api/v1/health HTTP/1.1\r\n{header}\r\nconnection: close\r\n\r\n"))
    };
    for header in [
        "host: evil.example",
        "host: localhost.evil.example",
        "host: 127.0.0.1.evil.example:7070",
        "host: localhost\r\norigin: https://evil.example",
        "host: localhost\r\norigin: null",
    ] {
        let answer = ask(header);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{header}: {answer}");
        assert!(answer.contains("/problems/foreign-host"), "{header}: {answer}");
    }
    for header in [
        "host: localhost",
        "host: 127.0.0.1:7070",
        "host: [::1]:7070",
        "host: localhost\r\norigin: http://localhost:3000",
    ] {
        let answer = ask(header);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{header}: {answer}");
    }
}

#[test]
fn noise_on_the_socket_harms_nobody() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for noise in ["\r\n\r\n", "GET\r\n\r\n", "\u{1}\u{2}\u{3}\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(noise.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // An error or an empty answer: either is fine, a hang is not.
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let ended = stream.read_to_end(&mut Vec::new());
        let hung = ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!hung, "{noise:?}");
    }
    client.get("/livez").expect(200);
}
