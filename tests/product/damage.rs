//! A flipped byte in either copy is found, named and healed from the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mainstay::journal::{
    Append, Draft, Envelope, EventLog as _, LocalLog, Options, Outcome, ReadLog as _, StreamId,
    Tags,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Ended, Server, run, run_unread, until};

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

fn serve(data: &Path) -> Ended {
    run(["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()])
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
    let ended = serve(data.path());
    assert_eq!(ended.code, 4, "{}", ended.stderr);
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

/// Seals the segment: the next event begins another one.
fn seal(data: &Path) {
    let options = Options { segment_bytes: 1, store: false, ..Options::default() };
    let log = LocalLog::open(data, &options, |_: u32, _: Vec<Outcome>| {}).unwrap();
    let head = log.head().position;
    let draft = Draft { type_id: 1, schema: 1, tags: Tags::new(), payload: vec![] };
    let append = Append {
        activation: 1,
        stream: StreamId::new("system", "seal").unwrap(),
        expected_version: 0,
        seen: None,
        envelope: Envelope {
            at_us: 0,
            principal: Arc::from("test"),
            request: None,
            correlation: None,
            causation: None,
        },
        drafts: vec![draft],
    };
    assert!(log.submit(append).is_ok());
    let sealed = log.wait_beyond(head, Duration::from_secs(30));
    assert_eq!(sealed.position, head + 1);
    log.close();
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_with_no_store_is_refused_by_recovery() {
    let (data, _before) = stopped();
    let first = segment(data.path());
    seal(data.path());
    fs::remove_dir_all(data.path().join("store")).unwrap();
    flip(&first);
    let ended = serve(data.path());
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("mainstay verify"), "{}", ended.stderr);
}
