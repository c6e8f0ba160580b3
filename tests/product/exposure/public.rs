//! An address that others can reach: refused without TLS and a key, and with them it leads plain
//! HTTP to https.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tempfile::tempdir;

use super::{Pair, Place};
use crate::support::{Server, run, run_with};

const ANYWHERE: &str = "0.0.0.0:0";

#[test]
fn without_tls_or_without_a_key_it_is_refused_with_the_ways_out() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["serve", "--listen", ANYWHERE, "--data", data.to_str().unwrap()];
    let plain = run(arguments);
    assert_eq!(plain.code, 5, "{}", plain.stderr);
    assert!(plain.stderr.contains("[server.tls]"), "{}", plain.stderr);
    let dry = run([&arguments[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 5, "{}", dry.stderr);
    let pair = Pair::new(folder.path());
    let keyless = run_with(&pair.variables(), &arguments);
    assert_eq!(keyless.code, 5, "{}", keyless.stderr);
    assert!(keyless.stderr.contains("mainstay keys create"), "{}", keyless.stderr);
    assert!(!keyless.stderr.contains("ready on"), "{}", keyless.stderr);
}

/// What plain HTTP answers.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.to_lowercase()
}

#[test]
fn with_both_it_serves_keys_only_by_its_names_and_redirects() {
    let place = Place::new();
    let [cert, key] = place.pair.variables();
    let variables = [
        cert,
        key,
        ("MAINSTAY__SERVER__REDIRECT", "127.0.0.1:0"),
        ("MAINSTAY__SERVER__NAMES", "127.0.0.1,mainstay.example"),
        // Elsewhere this lets in who is on this machine; here nobody is.
        ("MAINSTAY__ACCESS__KEYS", "optional"),
    ];
    let server = Server::start_at(&place.data(), ANYWHERE, &variables);
    let client = place.client(&server);
    client.get("/livez").expect(200);
    client.get("/api/v1/health").expect(401);
    let admin = client.with("x-api-key", &place.admin);
    admin.get("/api/v1/health").expect(200);
    // A page of another origin reaches it, and has no key.
    admin.with("origin", "https://other.example").get("/api/v1/health").expect(200);
    let other = admin.with("host", "other.example").get("/api/v1/health");
    other.problem(403, "/problems/foreign-host");
    admin.with("host", "Mainstay.Example:443").get("/api/v1/health").expect(200);
    // What is shown of readiness without a key is that it is ready.
    assert!(client.get("/readyz?verbose").expect(200).body.get("journal").is_none());
    assert!(admin.get("/readyz?verbose").expect(200).body["journal"]["position"].is_u64());

    let line = server.says("leading http://").unwrap();
    let redirect = line.split("http://").nth(1).unwrap().split(' ').next().unwrap();
    let port = server.address().port();
    let led = ask(redirect, "GET /a/b?c=d HTTP/1.1\r\nhost: mainstay.example:80\r\n\r\n");
    assert!(led.starts_with("http/1.1 308"), "{led}");
    let location = format!("location: https://mainstay.example:{port}/a/b?c=d\r\n");
    assert!(led.contains(&location), "{led}");
    assert!(led.contains("x-content-type-options: nosniff"), "{led}");
    assert!(!led.contains("strict-transport-security"), "{led}");
    let post = "POST /api/v1/batch HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}";
    assert!(ask(redirect, post).starts_with("http/1.1 308"));
    for bad in ["evil.example", "a@mainstay.example", "x\u{1}"] {
        let refused = ask(redirect, &format!("GET / HTTP/1.1\r\nhost: {bad}\r\n\r\n"));
        assert!(refused.starts_with("http/1.1 40"), "{refused}");
        assert!(!refused.contains("\r\nlocation:"), "{refused}");
    }
    assert!(server.stop().success());
}

#[test]
fn a_server_that_asks_for_keys_shows_its_load_to_those_who_have_one() {
    let place = Place::new();
    let server = Server::start_under(&place.data(), &[("MAINSTAY__ACCESS__KEYS", "required")]);
    let client = server.client();
    let short = client.get("/readyz?verbose").expect(200).body;
    assert_eq!(short, serde_json::json!({ "status": "ready" }));
    let unknown = client.with("x-api-key", "mainstay_root_0").get("/readyz?verbose").expect(200);
    assert_eq!(unknown.body, short);
    let known = client.with("x-api-key", &place.admin).get("/readyz?verbose").expect(200).body;
    assert!(known["journal"]["position"].is_u64() && known["occupancy"].is_object(), "{known}");
}
