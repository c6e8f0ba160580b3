//! The four that every backup must pass, by their names: it runs, it makes files, they are encrypted, its
//! restore is rehearsed.

use super::{Ground, acquire};
use crate::support::{Server, files};

/// What lies in the journal, and must lie nowhere in the target.
const NAMES: [&str; 3] = ["room-of-ann-4711", "subject-of-ann", "value-of-ann"];

fn backed_up() -> Ground {
    let ground = Ground::new();
    let server = Server::start(&ground.path("data"));
    let client = server.client();
    acquire(&client, NAMES[0]).unwrap();
    let session = serde_json::json!({
        "subject": NAMES[1], "ttl_ms": 600_000, "attributes": { "name": NAMES[2] }
    });
    client.post("/api/v1/sessions", &session).expect(201);
    server.stop();
    let made = ground.backup();
    assert_eq!(made.code, 0, "{}", made.stderr);
    ground
}

#[test]
fn the_backup_runs_and_says_what_it_made() {
    let ground = backed_up();
    let made: serde_json::Value = serde_json::from_str(&ground.backup().stdout).unwrap();
    assert_eq!(made["shipped"], 0, "all of it is there already");
    assert!(made["id"].as_str().unwrap().ends_with(&format!("-1-{}", made["position"])));
}

#[test]
fn its_files_are_created() {
    let ground = backed_up();
    for folder in ["pieces/0000000001", "backups", "keys/subjects", "keys", "epochs"] {
        assert!(!files(&ground.path("target").join(folder)).is_empty(), "{folder}");
    }
}

#[test]
fn they_are_encrypted() {
    let ground = backed_up();
    let holds =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    let journal: Vec<u8> = files(&ground.path("data/segments"))
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(holds(&journal, NAMES[0]) && holds(&journal, NAMES[1]), "they lie in the journal");
    let all = files(&ground.path("target"));
    assert!(all.len() > 5, "{all:?}");
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        for name in NAMES {
            assert!(!holds(&bytes, name), "{name} lies in {}", path.display());
        }
        let is_sealed = path.extension().is_some_and(|it| it == "age");
        assert!(!is_sealed || bytes.starts_with(b"age-encryption.org/v1\n"), "{}", path.display());
    }
}

#[test]
fn its_restore_is_rehearsed() {
    let ground = backed_up();
    let would = ground.restored("new", &["--dry-run"]);
    assert!(!ground.path("new").exists(), "a dry run writes nothing");
    let done = ground.restored("new", &[]);
    for part in ["position", "epoch", "objects", "left_out"] {
        assert_eq!(would[part], done[part], "{part}");
    }
}
