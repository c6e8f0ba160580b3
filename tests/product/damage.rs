//! A flipped byte in either copy is found, named and healed from the other.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Server, run, run_unread, until};

/// A stopped server's directory whose store has everything, and its events.
fn stopped() -> (TempDir, Vec<Value>) {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for n in 0..60 {
        let body = json!({ "owner": "anna", "ttl_ms": 600_000 });
        client.post(&format!("/api/v1/locks/l-{n}/acquire"), &body).expect(200);
    }
    until(30, "the store to reach the head", || {
        let journal = client.get("/readyz?verbose").expect(200).body["journal"].clone();
        (journal["store"]["reached"] == journal["position"]).then_some(())
    });
    let events = events(&server);
    assert!(server.stop().success());
    (data, events)
}

fn events(server: &Server) -> Vec<Value> {
    let page = server.client().get("/api/v1/events?type=LeaseGranted&limit=1000").expect(200);
    page.body["events"].as_array().unwrap().clone()
}

fn verify(data: &Path, more: &[&str]) -> i32 {
    let data = data.to_str().unwrap();
    let ended = run(["verify", "--data", data].iter().chain(more));
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.code
}

fn segment(data: &Path) -> PathBuf {
    let month = fs::read_dir(data.join("segments")).unwrap().map(|it| it.unwrap().path());
    let months: Vec<PathBuf> = month.filter(|path| path.is_dir()).collect();
    let files = fs::read_dir(&months[0]).unwrap().map(|it| it.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "seg")).min().unwrap()
}

/// Flips one bit at a third of what is written.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 3] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_a_segment_is_found_and_healed_from_the_store() {
    let (data, before) = stopped();
    assert_eq!(verify(data.path(), &[]), 0);
    flip(&segment(data.path()));
    assert_eq!(verify(data.path(), &[]), 4);
    assert_eq!(verify(data.path(), &["--repair"]), 0);
    assert_eq!(verify(data.path(), &[]), 0);
    assert_eq!(events(&Server::start(data.path())), before);
}

#[test]
fn a_server_that_starts_on_a_flipped_bit_loses_nothing() {
    let (data, before) = stopped();
    flip(&segment(data.path()));
    let server = Server::start(data.path());
    assert_eq!(events(&server), before);
    assert!(server.stop().success());
    assert_eq!(verify(data.path(), &[]), 0);
}

#[test]
fn a_flipped_bit_with_no_store_is_refused_and_changes_nothing() {
    let (data, _before) = stopped();
    fs::remove_dir_all(data.path().join("store")).unwrap();
    let path = segment(data.path());
    flip(&path);
    let broken = fs::read(&path).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", data.path().to_str().unwrap()];
    let ended = run(serve);
    assert!(ended.code == 4 || ended.code == 5, "{}: {}", ended.code, ended.stderr);
    assert!(ended.stderr.contains("damaged"), "{}", ended.stderr);
    assert_eq!(fs::read(&path).unwrap(), broken);
    assert_eq!(verify(data.path(), &[]), 4);
}

#[test]
fn findings_that_nobody_reads_keep_their_exit_code() {
    // `mainstay verify | head -1` said 0.
    let (data, _before) = stopped();
    let path = data.path().to_str().unwrap();
    for more in [&[][..], &["--json"]] {
        let verify = [&["verify", "--data", path], more].concat();
        let ended = run_unread(&verify);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    }
    flip(&segment(data.path()));
    for more in [&[][..], &["--json"]] {
        let verify = [&["verify", "--data", path], more].concat();
        let ended = run_unread(&verify);
        assert_eq!(ended.code, 4, "{}", ended.stderr);
    }
}
