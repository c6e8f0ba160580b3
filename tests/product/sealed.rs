//! A journal at rest under a key, on the built program: over kills, rotations and lost keys.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Server, files, run};

const CANARY: &str = "canary-of-the-mine";

struct Sealed {
    data: TempDir,
    keys: TempDir,
}

impl Sealed {
    fn new() -> Self {
        let sealed = Self { data: tempdir().unwrap(), keys: tempdir().unwrap() };
        let made = run(["journal-key", "create", &sealed.key()]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        sealed
    }

    fn key(&self) -> String {
        self.keys.path().join("journal.key").to_str().unwrap().to_owned()
    }

    fn data(&self) -> &str {
        self.data.path().to_str().unwrap()
    }

    fn serve(&self) -> Server {
        Server::start_under(self.data.path(), &[("MAINSTAY__JOURNAL__KEY_FILE", &self.key())])
    }

    fn verify(&self) -> Value {
        let verified =
            run(["verify", "--json", "--data", self.data(), "--journal-key", &self.key()]);
        assert_eq!(verified.code, 0, "{}", verified.stderr);
        serde_json::from_str(&verified.stdout).unwrap()
    }
}

fn holding(data: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    };
    files(data).into_iter().filter(holds).collect()
}

#[test]
fn nothing_of_an_event_lies_in_a_byte_and_a_kill_loses_none() {
    let sealed = Sealed::new();
    let body = json!({ "owner": CANARY, "ttl_ms": 60_000 });
    for round in 0..3 {
        let server = sealed.serve();
        let client = server.client();
        for lock in 0..50 {
            let path = format!("/api/v1/locks/{CANARY}-{round}-{lock}/acquire");
            client.post(&path, &body).expect(200);
        }
        let held = client.get(&format!("/api/v1/locks?active=true&prefix={CANARY}&limit=500"));
        assert_eq!(held.expect(200).body["locks"].as_array().unwrap().len(), 50 * (round + 1));
        server.kill();
        let turned = run(["journal-key", "rotate", &sealed.key()]);
        assert_eq!(turned.code, 0, "{}", turned.stderr);
    }
    // A clean stop writes the checkpoint, too.
    let server = sealed.serve();
    server.client().get("/api/v1/health").expect(200);
    assert!(server.stop().success());
    assert_eq!(holding(sealed.data.path(), CANARY), Vec::<PathBuf>::new());
    let verified = sealed.verify();
    assert_eq!(verified["findings"], json!([]));
    assert!(verified["records"].as_u64().unwrap() >= 150);
    let at = ["replay", "--at", "20", "--json", "--data", sealed.data()];
    let shown = run([&at[..], &["--journal-key", &sealed.key()]].concat());
    assert!(shown.stdout.contains(CANARY), "{}", shown.stderr);
}

#[test]
fn a_missing_or_wrong_key_is_told_with_code_2_and_nothing_is_written() {
    let sealed = Sealed::new();
    let server = sealed.serve();
    server
        .client()
        .post("/api/v1/locks/a/acquire", &json!({ "owner": "ann", "ttl_ms": 60_000 }))
        .expect(200);
    assert!(server.stop().success());
    let state = || {
        let files = files(sealed.data.path());
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = state();
    let other = Sealed::new();
    let verbs: [&[&str]; 6] = [
        &["verify"],
        &["verify", "--repair"],
        &["replay", "--at", "1"],
        &["audit"],
        &["keys", "list"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    for verb in verbs {
        let without = run([verb, &["--data", sealed.data()]].concat());
        assert_eq!(without.code, 2, "{verb:?}: {}", without.stderr);
        assert!(without.stderr.contains("no key is at hand"), "{}", without.stderr);
        assert!(without.stderr.contains("journal.key_file"), "{}", without.stderr);
        if verb[0] != "serve" {
            let wrong =
                run([verb, &["--data", sealed.data(), "--journal-key", &other.key()]].concat());
            assert_eq!(wrong.code, 2, "{verb:?}: {}", wrong.stderr);
            assert!(wrong.stderr.contains("the keys at hand are"), "{}", wrong.stderr);
        }
    }
    assert_eq!(state(), before, "a refusal has written something");
    let absent = run(["audit", "--data", sealed.data(), "--journal-key", "/nowhere/journal.key"]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    sealed.verify();
}

#[test]
fn a_file_of_keys_is_made_once_rotated_and_listed_without_a_key() {
    let sealed = Sealed::new();
    let again = run(["journal-key", "create", &sealed.key()]);
    assert_eq!(again.code, 2, "{}", again.stderr);
    let before = fs::read_to_string(sealed.key()).unwrap();
    let dry = run(["journal-key", "rotate", &sealed.key(), "--dry-run"]);
    assert_eq!((dry.code, fs::read_to_string(sealed.key()).unwrap()), (0, before.clone()));
    assert!(dry.stderr.contains("nothing was changed"), "{}", dry.stderr);
    assert_eq!(run(["journal-key", "rotate", &sealed.key()]).code, 0);
    let after = fs::read_to_string(sealed.key()).unwrap();
    assert!(after.starts_with(&before) && after.lines().count() == 2);
    let listed = run(["journal-key", "list", &sealed.key(), "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["ids"].as_array().unwrap().len(), 2);
    let digits = &before.trim()[before.trim().len() - 20..];
    assert!(!listed.to_string().contains(digits));
}
