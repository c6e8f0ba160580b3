//! No secret and no personal value in whatever a server or a verb says: canaries are planted, and
//! looked for in all output.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Client, Server, run, run_under};

/// A personal value, put where it belongs and where it does not.
const CANARY: &str = "canary-4711-sings";
/// What a made-up key ends with.
const GUESS: &str = "feedbeeffeedbeeffeedbeeffeedbeeffeedbeeffeedbeeffeedbeeffeedbeef";

/// Everything that was said.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn hear(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.0.push((what.into(), text.into()));
    }

    #[track_caller]
    fn has_none_of(&self, secrets: &[&str]) {
        assert!(self.0.len() > 40, "little was said: {}", self.0.len());
        for (what, text) in &self.0 {
            for secret in secrets {
                assert!(!text.contains(secret), "{what} tells {secret}: {text}");
            }
        }
    }
}

/// A value where it belongs; then the same where a program gone wrong would put it.
fn plant(client: &Client, said: &mut Said) -> String {
    let session =
        json!({ "subject": "subject-1", "ttl_ms": 600_000, "attributes": { "mail": CANARY } });
    let id = client.post("/api/v1/sessions", &session).expect(201).text("id");
    let patch = json!({ "attributes": { "mail": CANARY, "other": [CANARY] } });
    client.patch(&format!("/api/v1/sessions/{id}"), &patch).expect(200);
    let wrong = [
        json!({ "subject": "s", "ttl_ms": CANARY }),
        json!({ "subject": "s", "ttl_ms": 600_000, "attributes": CANARY }),
        json!({ "subject": [CANARY], "ttl_ms": 600_000 }),
        json!({ "subject": format!("{CANARY}@example.com"), "ttl_ms": 600_000 }),
        json!({ "subject": "s", "ttl_ms": 1, "attributes": { "a": CANARY } }),
        json!([CANARY]),
        json!(CANARY),
    ];
    for body in &wrong {
        let answer = client.post("/api/v1/sessions", body);
        assert_eq!(answer.status, 400, "{}", answer.body);
        said.hear(format!("POST {body}"), answer.body.to_string());
    }
    for body in [
        json!({ "owner": "o", "ttl_ms": 600_000, "mode": CANARY }),
        json!({ "owner": "o", "ttl_ms": CANARY }),
    ] {
        let answer = client.post("/api/v1/locks/room/acquire", &body);
        said.hear(format!("acquire {body}"), answer.expect(400).body.to_string());
    }
    let broken = format!("{{\"subject\": \"{CANARY}");
    let json = [("content-type", "application/json")];
    let answer =
        client.try_send("POST", "/api/v1/sessions", &json, Some(broken.as_bytes())).unwrap();
    said.hear("broken JSON", answer.expect(400).body.to_string());
    let other = json!({ "attributes": { "mail": CANARY } });
    for path in ["/api/v1/sessions/unknown", &format!("/api/v1/sessions/{id}?tenant=unknown")] {
        said.hear(path, client.patch(path, &other).expect(404).body.to_string());
    }
    id
}

fn ask(client: &Client, id: &str, said: &mut Said) {
    let events = client.get("/api/v1/events?limit=1000").expect(200);
    for event in events.body["events"].as_array().unwrap() {
        let path = format!("/api/v1/events/{}/why", event["position"]);
        said.hear(&path, client.get(&path).expect(200).body.to_string());
    }
    for path in [
        "/api/v1/events?limit=1000",
        "/api/v1/state",
        "/api/v1/diff?from=0",
        &format!("/api/v1/streams/session/default/{id}"),
        "/api/v1/keys",
        "/api/v1/health",
        "/readyz?verbose",
    ] {
        said.hear(path, client.get(path).expect(200).body.to_string());
    }
    for path in ["/metrics", "/api/v1/checkpoint"] {
        said.hear(path, String::from_utf8(client.get_bytes(path)).unwrap());
    }
}

/// Keys that nobody knows, in every place where one could be put.
fn guess(client: &Client, said: &mut Said) {
    let key = format!("mainstay_root_{GUESS}");
    for guessing in [
        client.with("x-api-key", &key),
        client.with("authorization", &format!("Bearer {key}")),
        client.with("authorization", &format!("Basic {key}")),
    ] {
        said.hear("a guess", guessing.get("/api/v1/health").expect(401).body.to_string());
    }
}

fn verbs(data: &Path, said: &mut Said) {
    let data = data.to_str().unwrap();
    for arguments in [
        &["audit", "--data", data][..],
        &["audit", "--data", data, "--json"],
        &["audit", "--data", data, "--why", "4"],
        &["replay", "--data", data, "--json"],
        &["replay", "--data", data, "--stream", "key/root"],
        &["diff", "--data", data, "--from", "0", "--json"],
        &["diff", "--data", data, "--from", "0"],
        &["verify", "--data", data, "--json"],
        &["keys", "list", "--data", data, "--json"],
        &["keys", "list", "--data", data],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        said.hear(arguments.join(" "), ended.stdout + &ended.stderr);
    }
}

#[test]
fn no_key_and_no_value_is_in_any_output() {
    let (data, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let place = data.path().to_str().unwrap();
    let made = run(["keys", "create", "root", "--role", "admin", "--data", place]);
    let root = made.stdout.trim().to_owned();
    let mut said = Said::default();
    said.hear("keys create, beside the key", made.stderr);
    let server = Server::start_under(data.path(), &[("MAINSTAY__ACCESS__KEYS", "required")]);
    let client = server.client().with("x-api-key", &root);
    let id = plant(&client, &mut said);
    let viewer = json!({ "name": "viewer", "role": "viewer" });
    let viewer = client.post("/api/v1/keys", &viewer).expect(201).text("key");
    ask(&client, &id, &mut said);
    guess(&server.client(), &mut said);
    let weak = server.client().with("x-api-key", &viewer);
    let refused = weak.post("/api/v1/sessions", &json!({ "subject": CANARY, "ttl_ms": 60_000 }));
    said.hear("too weak", refused.expect(403).body.to_string());

    // The command line, with a key in its file.
    let file = folder.path().join("root.key");
    fs::write(&file, &root).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("http://{}", server.address());
    for verb in [&["status", "--json"][..], &["status"], &["keys", "list"]] {
        let all = [verb, &["--server", &url]].concat();
        let ended = run_under(("MAINSTAY_KEY_FILE", file.as_os_str()), &all);
        assert_eq!(ended.code, 0, "{verb:?}: {}", ended.stderr);
        said.hear(verb.join(" "), ended.stdout + &ended.stderr);
    }
    // What every user of the machine sees of a process.
    let line = fs::read(format!("/proc/{}/cmdline", server.id())).unwrap();
    said.hear("the process list", String::from_utf8_lossy(&line));
    said.hear("the log", server.kill());
    verbs(data.path(), &mut said);
    let secret = |key: &str| key.rsplit_once('_').unwrap().1.to_owned();
    said.has_none_of(&[CANARY, GUESS, &secret(&root), &secret(&viewer)]);
}
