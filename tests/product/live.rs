//! `/api/v1/events/live` over the wire: what comes, where it goes on, how it ends.

mod slow;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Client, Feed, Server, Told};

fn acquire(client: &Client, lock: &str) {
    let body = json!({ "owner": "worker-1", "ttl_ms": 60_000, "mode": "shared" });
    client.post(&format!("/api/v1/locks/{lock}/acquire"), &body).expect(200);
}

#[test]
fn an_event_comes_as_the_journal_shows_it_under_its_cursor() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    acquire(&client, "before");
    let mut feed = Feed::open(server.address(), "", None);
    assert!(feed.status.contains("200"), "{}", feed.status);
    acquire(&client, "a");
    let told = feed.expect();
    let listed = client.get("/api/v1/events?stream=lock/a").expect(200);
    assert_eq!(told.data, listed.body["events"][0]);
    assert_eq!(told.id, format!("{}-{}", told.data["epoch"], told.data["position"]));
}

#[test]
fn a_reader_gets_only_what_it_asked_for() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let filters = [
        "stream=lock/b",
        "type=LeaseReleased",
        "correlation=order-7",
        "principal=nobody",
        "after=0",
    ];
    let mut feeds = filters.map(|filter| Feed::open(server.address(), filter, None));
    acquire(&client, "a");
    acquire(&client, "b");
    let path = "/api/v1/locks/c/acquire";
    let body = json!({ "owner": "worker-1", "ttl_ms": 60_000 });
    let token = client.try_json("POST", path, &[("x-request-id", "order-7")], &body).unwrap();
    let release = json!({ "owner": "worker-1", "token": token.number("token") });
    client.post("/api/v1/locks/c/release", &release).expect(200);
    assert_eq!(feeds[0].expect().data["stream"], "lock/b");
    assert_eq!(feeds[1].expect().data["type"], "LeaseReleased");
    assert_eq!(feeds[2].expect().data["stream"], "lock/c");
    assert_eq!(feeds[4].expect().data["position"], 1);
    // The one that wants nothing of this gets nothing but its end.
    let stopped = std::thread::spawn(move || server.stop());
    let rest: Vec<Told> = std::iter::from_fn(|| feeds[3].next()).collect();
    let events: Vec<&str> = rest.iter().map(|told| told.event.as_str()).collect();
    assert_eq!(events, ["hello", "closing"]);
    assert!(stopped.join().unwrap().success());
}

#[test]
fn a_reader_that_comes_back_loses_nothing_and_gets_nothing_twice_under_load() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let stop = AtomicBool::new(false);
    let (first, told) = std::thread::scope(|scope| {
        for worker in 0..4 {
            let (client, stop) = (server.client(), &stop);
            scope.spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    acquire(&client, &format!("lock-{worker}-{}", round % 7));
                }
            });
        }
        let mut told: Vec<Told> = Vec::new();
        let mut last: Option<String> = None;
        for connection in 0..40 {
            let mut feed = Feed::open(server.address(), "", last.as_deref());
            for _ in 0..=connection % 13 {
                told.push(feed.expect());
            }
            last = told.last().map(|told| told.id.clone());
        }
        stop.store(true, Ordering::Relaxed);
        (told[0].data["position"].as_u64().unwrap(), told)
    });
    let positions: Vec<u64> = told.iter().map(|it| it.data["position"].as_u64().unwrap()).collect();
    let wanted: Vec<u64> = (first..first + told.len() as u64).collect();
    assert_eq!(positions, wanted);
}

#[test]
fn a_reader_goes_on_after_a_kill_where_it_was() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mut feed = Feed::open(server.address(), "type=LeaseGranted", None);
    acquire(&client, "a");
    acquire(&client, "b");
    let seen = feed.expect();
    assert_eq!(seen.data["stream"], "lock/a");
    server.kill();
    while feed.next().is_some() {}
    let server = Server::start(data.path());
    acquire(&server.client(), "c");
    let mut feed = Feed::open(server.address(), "type=LeaseGranted", Some(&seen.id));
    let streams: BTreeSet<String> =
        (0..2).map(|_| feed.expect().data["stream"].as_str().unwrap().to_owned()).collect();
    assert_eq!(streams.into_iter().collect::<Vec<_>>(), ["lock/b", "lock/c"]);
}

#[test]
fn a_cursor_that_cannot_be_is_refused_before_the_stream_begins() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let live = "/api/v1/events/live";
    for (header, status, kind) in [
        ("2-1", 410, "/problems/other-epoch"),
        ("0-1", 410, "/problems/other-epoch"),
        ("1-999999", 400, "/problems/bad-request"),
        ("soon", 400, "/problems/bad-request"),
    ] {
        let answer = client.try_send("GET", live, &[("last-event-id", header)], None).unwrap();
        answer.problem(status, kind);
    }
    for query in ["after=soon", "stream=lock", "type=LeaseGrantd", "limit=5", "after=9-1"] {
        let answer = client.get(&format!("{live}?{query}"));
        let status = if query == "after=9-1" { 410 } else { 400 };
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        answer.expect_problem();
    }
}

/// Begins the next epoch of a journal that is closed, as a restore does: docs/format.md.
fn begin_epoch(data: &Path, epoch: u32) {
    let file = data.join("JOURNAL");
    let identity = std::fs::read_to_string(&file).unwrap();
    let kept: String = identity.split_inclusive('\n').take(3).collect();
    let kept = format!("{kept}epoch {epoch}\n");
    std::fs::write(&file, &kept).unwrap();
    let summed = Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    let sum = String::from_utf8(summed).unwrap();
    std::fs::write(&file, format!("{kept}sha256 {}\n", &sum[..64])).unwrap();
}

#[test]
fn a_cursor_of_an_earlier_epoch_is_good_up_to_the_fork_and_gone_behind_it() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    acquire(&server.client(), "a");
    let fork = server.client().get("/api/v1/locks/a").expect(200).number("position");
    assert!(server.stop().success());
    begin_epoch(data.path(), 2);
    let server = Server::start(data.path());
    acquire(&server.client(), "b");
    let mut feed = Feed::open(server.address(), "type=LeaseGranted", Some(&format!("1-{fork}")));
    let told = feed.expect();
    assert_eq!((&told.data["stream"], &told.data["epoch"]), (&json!("lock/b"), &json!(2)));
    let lost = format!("1-{}", fork + 1);
    let live = "/api/v1/events/live";
    let answer = server.client().try_send("GET", live, &[("last-event-id", &lost)], None).unwrap();
    answer.problem(410, "/problems/other-epoch");
}

#[test]
fn a_server_that_stops_tells_its_readers_and_does_not_wait_for_them() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let mut feeds: Vec<Feed> = (0..20).map(|_| Feed::open(server.address(), "", None)).collect();
    #[expect(clippy::disallowed_methods, reason = "how long the end takes is what is tested")]
    let started = std::time::Instant::now();
    assert!(server.stop().success());
    // Requests under way get 5 s; a stream must not use them up.
    assert!(started.elapsed().as_secs() < 4, "the end took {:?}", started.elapsed());
    for feed in &mut feeds {
        let last = std::iter::from_fn(|| feed.next()).last().unwrap();
        assert_eq!(
            (last.event.as_str(), &last.data["reason"]),
            ("closing", &json!("the server stops"))
        );
    }
}
