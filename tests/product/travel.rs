//! Moments over HTTP, at a running server, and beside it from its segments: one answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, Working, now, run, until};

/// Sessions, locks, a waiter, a dependency that is forced: positions of some length.
fn load(client: &Client) {
    client.put("/api/v1/dependencies/db", &json!({ "weight": 30 })).expect(200);
    for guest in ["guest-1", "guest-2", "guest-3"] {
        let body = json!({ "subject": guest, "ttl_ms": 600_000, "attributes": { "a": 1 } });
        client.post("/api/v1/sessions", &body).expect(201);
    }
    for room in ["a", "b", "c"] {
        acquire(client, room, "ann", 200);
    }
    let token = acquire(client, "d", "bob", 200);
    let body = json!({ "token": token, "owner": "bob" });
    client.post("/api/v1/locks/d/release", &body).expect(200);
    let force = json!({ "to": "forced_open", "reason": "an outage was announced" });
    client.post("/api/v1/dependencies/db/state", &force).expect(200);
    let take = json!({ "reason": "he said \"no\",\nand left; ünïcode" });
    client.post("/api/v1/locks/a/force-release", &take).expect(200);
}

fn acquire(client: &Client, room: &str, owner: &str, status: u16) -> u64 {
    let body = json!({ "owner": owner, "ttl_ms": 600_000 });
    client.post(&format!("/api/v1/locks/{room}/acquire"), &body).expect(status).number("token")
}

fn head(client: &Client) -> u64 {
    let readiness = client.get("/readyz?verbose").expect(200);
    readiness.body["journal"]["position"].as_u64().unwrap()
}

/// What a verb prints as JSON.
#[track_caller]
fn told(arguments: &[&str]) -> Value {
    let ended = run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn every_moment_is_the_same_over_http_by_the_command_line_and_from_the_segments_alone() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start(directory.path());
    let client = server.client();
    load(&client);
    let url = format!("http://{}", server.address());
    let last = head(&client);
    let streams: BTreeSet<String> =
        client.get("/api/v1/events?limit=1000").expect(200).body["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["stream"].as_str().unwrap().to_owned())
            .collect();
    let mut changes = 0;
    let mut before = Value::Null;
    for at in (0..=last).map(|at| at.to_string()) {
        let online = client.get(&format!("/api/v1/state?limit=1000&at={at}")).expect(200).body;
        assert_eq!(told(&["replay", "--json", "--data", data, "--at", &at]), online);
        assert_eq!(told(&["replay", "--json", "--server", &url, "--at", &at]), online);
        changes += u64::from(online["locks"] != before["locks"]);
        before = online;
    }
    assert!(changes >= 6, "the state hardly changed: {changes}");
    let events = client.get("/api/v1/events?limit=1000").expect(200).body["events"].clone();
    for event in events.as_array().unwrap() {
        // After the last event at or before the time, to the microsecond.
        let at = event["at"].as_str().unwrap();
        let mut upto = events.as_array().unwrap().iter().rev();
        let wanted = upto.find(|it| it["at"].as_str().unwrap() <= at).unwrap();
        let state = client.get(&format!("/api/v1/state?at={at}")).expect(200).body;
        assert_eq!((&state["position"], &state["at"]), (&wanted["position"], &json!(at)));
        let told = told(&["replay", "--json", "--data", data, "--at", at]);
        assert_eq!(told["position"], wanted["position"], "{at}");
    }
    for stream in streams {
        let at = format!("1-{}", last - 1);
        let online = client.get(&format!("/api/v1/streams/{stream}?at={at}"));
        let offline = run(["replay", "--json", "--data", data, "--stream", &stream, "--at", &at]);
        if online.status == 404 {
            assert_eq!(offline.code, 1, "{stream}");
            continue;
        }
        let offline: Value = serde_json::from_str(&offline.stdout).unwrap();
        assert_eq!(offline, online.expect(200).body, "{stream}");
    }
    let (from, to) = ("2", last.to_string());
    let online = client.get(&format!("/api/v1/diff?from={from}&to={to}")).expect(200).body;
    assert_eq!(told(&["diff", "--json", "--data", data, "--from", from, "--to", &to]), online);
    assert_eq!(told(&["diff", "--json", "--server", &url, "--from", from, "--to", &to]), online);
    for position in (1..=last).map(|at| at.to_string()) {
        let online = client.get(&format!("/api/v1/events/{position}/why")).expect(200).body;
        assert_eq!(told(&["audit", "--json", "--data", data, "--why", &position]), online);
    }
}

#[test]
fn pages_of_a_moment_follow_each_other_without_gap_or_overlap() {
    let directory = tempdir().unwrap();
    let server = Server::start(directory.path());
    let client = server.client();
    load(&client);
    let at = head(&client);
    // Later events change nothing of the moment.
    acquire(&client, "e", "eve", 200);
    let whole = client.get(&format!("/api/v1/state?at={at}&limit=1000")).expect(200).body;
    let (mut sessions, mut locks) = (Vec::new(), Vec::new());
    let (mut after_session, mut after_lock) = (String::new(), String::new());
    loop {
        let query =
            format!("at={at}&limit=1&after_session={after_session}&after_lock={after_lock}");
        let page = client.get(&format!("/api/v1/state?{query}")).expect(200).body;
        assert_eq!((&page["live_sessions"], &page["held_locks"]), (&json!(3), &json!(2)));
        sessions.extend(page["sessions"].as_array().unwrap().clone());
        locks.extend(page["locks"].as_array().unwrap().clone());
        if page["next_session"].is_null() && page["next_lock"].is_null() {
            break;
        }
        let last =
            |list: &[Value], name: &str| list.last().unwrap()[name].as_str().unwrap().to_owned();
        after_session = format!("{}/{}", last(&sessions, "tenant"), last(&sessions, "id"));
        after_lock = last(&locks, "name");
    }
    assert_eq!(json!(sessions), whole["sessions"]);
    assert_eq!(json!(locks), whole["locks"]);
    // Of attributes names and sizes, never values.
    assert_eq!(sessions[0]["attributes"], json!({ "a": { "size_bytes": 1 } }));
}

#[test]
fn a_session_and_a_lease_past_their_end_are_over_though_nobody_swept_them() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start(directory.path());
    let client = server.client();
    let session = json!({ "subject": "guest-7", "ttl_ms": 1_000 });
    let id = client.post("/api/v1/sessions", &session).expect(201).text("id");
    let lease = json!({ "owner": "ann", "ttl_ms": 1_000 });
    client.post("/api/v1/locks/room/acquire", &lease).expect(200);
    let last = head(&client).to_string();
    // It is killed before their end: no event says that they are over.
    drop(server.kill());
    let state = told(&["replay", "--json", "--data", data, "--at", &last]);
    assert_eq!((&state["live_sessions"], &state["held_locks"]), (&json!(1), &json!(1)));
    let after = until(30, "their end", || {
        let at = now().to_string();
        let state = told(&["replay", "--json", "--data", data, "--at", &at]);
        (state["live_sessions"] == 0 && state["held_locks"] == 0).then_some(at)
    });
    let stream = format!("session/default/{id}");
    let session = told(&["replay", "--json", "--data", data, "--stream", &stream, "--at", &after]);
    assert_eq!(session["state"]["status"], "ended", "{session}");
    assert_eq!(session["state"]["reason"], "idle", "{session}");
    let lock = told(&["replay", "--json", "--data", data, "--stream", "lock/room", "--at", &after]);
    assert_eq!(lock["state"]["grants"], json!([]), "{lock}");
    let diff = told(&["diff", "--json", "--data", data, "--from", &last, "--to", &after]);
    assert_eq!((&diff["events"], &diff["sessions"]["ran_out"]), (&json!(0), &json!(1)), "{diff}");
    assert_eq!(
        diff["locks"]["shown"][0]["leases"]["shown"][0]["ended"]["why"], "expired",
        "{diff}"
    );
}

#[test]
fn what_is_no_moment_is_told_so_and_breaks_nothing() {
    let directory = tempdir().unwrap();
    let server = Server::start(directory.path());
    let client = server.client();
    load(&client);
    let last = head(&client);
    let after = last + 1;
    for (path, status, kind, field) in [
        ("state?at=noon".to_owned(), 400, "/problems/bad-request", "at"),
        (format!("state?at={after}"), 400, "/problems/bad-request", "at"),
        (format!("state?at=1-{after}"), 400, "/problems/bad-request", "at"),
        ("state?at=2099-01-01T00:00:00Z".to_owned(), 400, "/problems/bad-request", "at"),
        ("state?at=18446744073709551616".to_owned(), 400, "/problems/bad-request", "at"),
        ("state?at=2-1".to_owned(), 410, "/problems/other-epoch", ""),
        ("state?limit=0".to_owned(), 400, "/problems/bad-request", ""),
        ("state?when=1".to_owned(), 400, "/problems/bad-request", ""),
        ("streams/lock/never?at=1".to_owned(), 404, "/problems/not-found", ""),
        ("streams/lock/b?at=1".to_owned(), 404, "/problems/not-found", ""),
        ("streams/lock/b?at=2-1".to_owned(), 410, "/problems/other-epoch", ""),
        ("diff".to_owned(), 400, "/problems/bad-request", ""),
        (format!("diff?from={last}&to=1"), 400, "/problems/bad-request", "from"),
        (format!("diff?from=1&to={after}"), 400, "/problems/bad-request", "to"),
        ("diff?from=2-1".to_owned(), 410, "/problems/other-epoch", ""),
        ("diff?from=0&stream=room".to_owned(), 400, "/problems/bad-request", "stream"),
        ("diff?from=0&stream=lock/never".to_owned(), 404, "/problems/not-found", ""),
        ("events/0/why".to_owned(), 404, "/problems/not-found", ""),
        (format!("events/{after}/why"), 400, "/problems/bad-request", "position"),
        ("events/2-1/why".to_owned(), 410, "/problems/other-epoch", ""),
        ("events/x/why".to_owned(), 400, "/problems/bad-request", "position"),
    ] {
        let problem = client.get(&format!("/api/v1/{path}")).problem(status, kind);
        if !field.is_empty() {
            assert_eq!(problem["field"], field, "{path}: {problem}");
        }
    }
    let nothing = client.get("/api/v1/state?at=1970-01-02T00:00:00Z").expect(200).body;
    assert_eq!((&nothing["position"], &nothing["locks"]), (&json!(0), &json!([])));
    let held = client.get("/api/v1/state").expect(200).body;
    assert_eq!(held["held_locks"], 2, "{held}");
}

#[test]
fn many_who_ask_for_moments_at_once_get_the_same_answers() {
    let directory = tempdir().unwrap();
    let server = Server::start(directory.path());
    load(&server.client());
    let last = head(&server.client());
    let ask = |number: u64| {
        let client = server.client();
        std::thread::spawn(move || {
            // Back and forth, so that the last fold is of use to some and to others not.
            let at = if number.is_multiple_of(2) { last } else { last / 2 };
            (at, client.get(&format!("/api/v1/state?at={at}")).expect(200).body)
        })
    };
    let asked: Vec<_> = (0..12).map(ask).collect();
    let answers: Vec<(u64, Value)> = asked.into_iter().map(|it| it.join().unwrap()).collect();
    for (at, answer) in &answers {
        let first = answers.iter().find(|(other, _)| other == at).unwrap();
        assert_eq!(*answer, first.1);
        assert_eq!(answer["position"], *at);
    }
}

#[test]
fn who_follows_sees_what_comes_beside_the_server_and_from_it() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start(directory.path());
    let client = server.client();
    load(&client);
    let url = format!("http://{}", server.address());
    let head = head(&client);
    let last = head.to_string();
    let beside = ["replay", "--follow", "--json", "--at", &last, "--data", data];
    let online = ["replay", "--follow", "--json", "--at", &last, "--server", &url];
    let of_one =
        ["replay", "--follow", "--json", "--at", "0", "--stream", "lock/z", "--data", data];
    let whole = [beside.as_slice(), online.as_slice()];
    let mut whole = whole.map(|arguments| (Working::start(arguments), head));
    let of_one = Working::start(&of_one);
    let mut next_is = |wanted: &str, token: u64| {
        let mut seen: Vec<Value> =
            whole.iter_mut().map(|(follower, at)| next_of_lock(follower, at)).collect();
        seen.push(serde_json::from_str(&of_one.line()).unwrap());
        for event in seen {
            assert_eq!((&event["stream"], &event["type"]), (&json!("lock/z"), &json!(wanted)));
            assert_eq!(event["data"]["token"], token, "{event}");
        }
    };
    for token in [1, 2, 3] {
        let owner = format!("owner-{token}");
        let token = acquire(&client, "z", &owner, 200);
        next_is("LeaseGranted", token);
        let body = json!({ "token": token, "owner": owner });
        client.post("/api/v1/locks/z/release", &body).expect(200);
        next_is("LeaseReleased", token);
    }
}

/// The next event of a lock. What the server says of itself, such as its level, may come before it; no
/// position is left out or comes twice.
fn next_of_lock(follower: &Working, at: &mut u64) -> Value {
    loop {
        let event: Value = serde_json::from_str(&follower.line()).unwrap();
        *at += 1;
        assert_eq!(event["position"], *at, "{event}");
        if !event["stream"].as_str().unwrap().starts_with("system/") {
            return event;
        }
    }
}
