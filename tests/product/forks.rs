//! A journal that was restored, behind a server and beside it: which places are of it, what is over.

use std::path::Path;

use mainstay::actors::host::{Restore, record_restore};
use mainstay::actors::time::Timestamp;
use mainstay_journal::disk::RealDisk;
use mainstay_journal::{Cursor, Identity, LocalLog, Options, Outcome, ReadLog as _, Reader};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Feed, Server, now, run, until};

/// Sessions and locks; returns the lease of `a`.
fn load(client: &Client) -> u64 {
    for guest in ["guest-1", "guest-2"] {
        let body = json!({ "subject": guest, "ttl_ms": 600_000 });
        client.post("/api/v1/sessions", &body).expect(201);
    }
    acquire(client, "b");
    acquire(client, "a")
}

fn acquire(client: &Client, room: &str) -> u64 {
    let body = json!({ "owner": "ann", "ttl_ms": 600_000 });
    client.post(&format!("/api/v1/locks/{room}/acquire"), &body).expect(200).number("token")
}

/// Makes a closed journal the next epoch of its history, as a restore does; returns the record's place.
pub(crate) fn restore(data: &Path, at: Timestamp) -> Cursor {
    let reader = Reader::open(data).unwrap();
    let Identity { journal, epoch } = reader.identity();
    let fork = reader.head();
    drop(reader);
    Identity { journal, epoch: epoch + 1 }.plant(&RealDisk, data).unwrap();
    let sink = |_: u32, _: Vec<Outcome>| {};
    let log = LocalLog::open(data, &Options::default(), sink).unwrap();
    let restore = Restore { fork, source: "the backup of a test".to_owned(), floor: at };
    let place = record_restore(&log, restore, at).unwrap();
    log.close();
    place
}

#[track_caller]
fn told(arguments: &[&str]) -> Value {
    let ended = run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_place_before_the_fork_is_good_and_one_behind_it_in_the_left_history_is_not() {
    let data = tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let server = Server::start(data.path());
    load(&server.client());
    assert!(server.stop().success());
    let at = restore(data.path(), now());
    let (fork, behind) = (at.position - 1, at.position);
    let server = Server::start(data.path());
    let client = server.client();
    acquire(&client, "c");

    let ways: [&dyn Fn(&str) -> String; 7] = [
        &|it| format!("events?after={it}"),
        &|it| format!("state?at={it}"),
        &|it| format!("streams/lock/a?at={it}"),
        &|it| format!("diff?from={it}"),
        &|it| format!("events/{it}/why"),
        &|it| format!("proofs/inclusion/{it}"),
        &|it| format!("sessions?subject=guest-1&before={it}"),
    ];
    for way in ways {
        for (place, status) in [
            (format!("1-{fork}"), 200),
            (format!("2-{behind}"), 200),
            (behind.to_string(), 200),
            (format!("1-{behind}"), 410),
            (format!("2-{fork}"), 410),
            (format!("3-{behind}"), 410),
        ] {
            let answer = client.get(&format!("/api/v1/{}", way(&place)));
            assert_eq!(answer.status, status, "{}: {}", way(&place), answer.body);
            if status == 410 {
                answer.problem(410, "/problems/other-epoch");
            }
        }
    }
    for (text, code) in [(format!("1-{fork}"), 0), (format!("1-{behind}"), 2)] {
        for arguments in [
            ["replay", "--data", path, "--at", &text],
            ["diff", "--data", path, "--from", &text],
            ["audit", "--data", path, "--after", &text],
            ["audit", "--data", path, "--why", &text],
        ] {
            assert_eq!(run(arguments).code, code, "{arguments:?}");
        }
    }
    // Each answer carries the epoch of its own event.
    for (position, epoch) in [(fork, 1), (behind, 2)] {
        let state = client.get(&format!("/api/v1/state?at={position}")).expect(200).body;
        assert_eq!((&state["epoch"], &state["position"]), (&json!(epoch), &json!(position)));
        let time = state["at"].as_str().unwrap();
        let by_time = client.get(&format!("/api/v1/state?at={time}")).expect(200).body;
        assert_eq!((&by_time["epoch"], &by_time["position"]), (&json!(epoch), &json!(position)));
        let why = client.get(&format!("/api/v1/events/{position}/why")).expect(200).body;
        assert_eq!(why["event"]["epoch"], json!(epoch));
    }
    let mut feed = Feed::open(server.address(), "type=Restored", Some(&format!("1-{fork}")));
    assert_eq!(feed.expect().id, at.to_string());
    assert!(server.stop().success());
    let verified = run(["verify", "--data", path]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn after_a_restore_nobody_is_shown_what_it_ended_at_any_moment() {
    let data = tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let server = Server::start(data.path());
    let token = load(&server.client());
    assert!(server.stop().success());
    let at = restore(data.path(), now());
    let (fork, restored) = (at.position - 1, at.position.to_string());

    // Before any server has run on it, and so before anything said so itself.
    let alone = told(&["replay", "--json", "--data", path, "--at", &restored]);
    assert_eq!((&alone["live_sessions"], &alone["held_locks"]), (&json!(0), &json!(0)));
    assert_eq!((&alone["locks"], &alone["sessions"]), (&json!([]), &json!([])));
    let lock = told(&["replay", "--json", "--data", path, "--stream", "lock/a", "--at", &restored]);
    assert_eq!(lock["state"]["grants"], json!([]));
    assert_eq!(lock["state"]["last_token"], json!(token));
    let before = told(&["replay", "--json", "--data", path, "--at", &fork.to_string()]);
    assert_eq!((&before["live_sessions"], &before["held_locks"]), (&json!(2), &json!(2)));

    let server = Server::start(data.path());
    let client = server.client();
    assert_eq!(client.get("/api/v1/locks?active=true").expect(200).body["locks"], json!([]));
    let sessions = client.get("/api/v1/sessions?subject=guest-1").expect(200).body;
    assert_eq!(sessions["sessions"], json!([]));
    let body = json!({ "token": token, "owner": "ann" });
    assert_ne!(client.post("/api/v1/locks/a/renew", &body).status, 200);
    assert!(acquire(&client, "a") > token);
    let said = "/api/v1/events?type=LeasesFenced,SessionFenced&limit=10";
    let fenced = until(10, "all four say so", || {
        let events = client.get(said).expect(200).body["events"].as_array().unwrap().clone();
        (events.len() == 4).then_some(events)
    });
    assert!(fenced.iter().all(|event| event["epoch"] == json!(2)), "{fenced:?}");

    let from = fork.to_string();
    let diff = client.get(&format!("/api/v1/diff?from={from}")).expect(200).body;
    assert_eq!(told(&["diff", "--json", "--data", path, "--from", &from])["locks"], diff["locks"]);
    assert_eq!(diff["restores"]["shown"][0]["position"], json!(at.position));
    let sessions = &diff["sessions"];
    let counts = ["live_before", "live_after", "restored"].map(|count| &sessions[count]);
    assert_eq!(counts, [&json!(2), &json!(0), &json!(2)]);
    let one = client.get(&format!("/api/v1/diff?from={from}&stream=lock/a")).expect(200).body;
    let ends = |locks: &Value| {
        let locks = locks["shown"].as_array().unwrap().clone();
        let lock = locks.into_iter().find(|lock| lock["name"] == "a").unwrap();
        (lock["leases"]["shown"][0].clone(), lock["before"].clone(), lock["after"].clone())
    };
    let (lease, before, after) = ends(&diff["locks"]);
    assert_eq!(lease["ended"], json!({ "why": "restored" }));
    assert_eq!((before, after), (json!(["ann"]), json!(["ann"])));
    assert_eq!(ends(&one["locks"]), ends(&diff["locks"]));
    let text = run(["diff", "--data", path, "--from", &from]).stdout;
    assert!(text.contains("lost it, for the journal was restored"), "{text}");
    assert!(text.contains("(2 for the journal was restored)"), "{text}");
}
