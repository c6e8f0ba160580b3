//! Months that leave the journal of the built program: beside a running server into an archive, out of
//! the data directory while it is stopped, and everything goes on.

mod history;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use self::history::{GUEST, LONG, MIDDLE};
use crate::support::{Client, Ended, Server, files, run, until};

struct Journal {
    root: TempDir,
    /// Last position before October.
    archived: u64,
}

impl Journal {
    fn new() -> Self {
        let root = tempdir().unwrap();
        let archived = history::write(&root.path().join("data"));
        Self { root, archived }
    }

    fn forked() -> Self {
        let root = tempdir().unwrap();
        history::fork(&root.path().join("data"));
        Self { root, archived: 0 }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn at(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    /// A verb on the data directory.
    fn run(&self, verb: &[&str]) -> Ended {
        run([verb, &["--data", &self.at("data")]].concat())
    }

    fn json(&self, verb: &[&str]) -> Value {
        let ended = self.run(&[verb, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{verb:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    fn archive(&self, more: &[&str]) -> Value {
        self.json(&[&["archive", "--archive", &self.at("archive")], more].concat())
    }

    fn drop_two_months(&self) {
        self.archive(&["--before", "2026-10", "--drop"]);
    }
}

fn lies(listed: &Value) -> Vec<(String, String)> {
    let text = |month: &Value, name| month[name].as_str().unwrap().to_owned();
    let months = listed["months"].as_array().unwrap().iter();
    months.map(|month| (text(month, "month"), text(month, "lies"))).collect()
}

/// What a client sees of the old entities.
fn seen(client: &Client) -> [Value; 4] {
    let show = |path: &str| client.get(path).expect(200).body;
    let session = show(&format!("/api/v1/sessions/{LONG}"));
    let sessions = show(&format!("/api/v1/sessions?subject={GUEST}"));
    let consents = show(&format!("/api/v1/subjects/{GUEST}/consents"));
    let lock = show("/api/v1/streams/lock/old");
    [session, sessions, consents, lock["state"].clone()]
}

#[test]
fn months_are_archived_beside_a_server_and_dropped_while_it_is_stopped() {
    let journal = Journal::new();
    let before = journal.json(&["replay"]);
    let server = Server::start(&journal.data());
    let known = seen(&server.client());
    assert_eq!(known[1]["sessions"].as_array().unwrap().len(), 1);

    // A dry run says what the real one does, and does nothing.
    let planned = journal.archive(&["--before", "2026-10", "--dry-run"]);
    assert!(!Path::new(&journal.at("archive")).exists());
    let done = journal.archive(&["--before", "2026-10"]);
    assert_eq!(done["archived"]["months"], json!(["2026-08", "2026-09"]));
    assert_eq!(done["archived"]["position"], journal.archived);
    for same in ["months", "segments", "position"] {
        assert_eq!(planned["archived"][same], done["archived"][same]);
    }
    let both = "journal and archive".to_owned();
    let listed = lies(&journal.archive(&[]));
    assert_eq!(listed[0], ("2026-08".to_owned(), both.clone()));
    assert_eq!(listed[1], ("2026-09".to_owned(), both));
    assert_eq!(listed[2], ("2026-10".to_owned(), "journal".to_owned()));
    let refused = journal.run(&["archive", "--drop", "--archive", &journal.at("archive")]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("while the server is stopped"), "{}", refused.stderr);
    assert!(server.stop().success());

    let dry = journal.archive(&["--drop", "--dry-run"]);
    let dropped = journal.archive(&["--drop"]);
    assert_eq!(dry["dropped"], dropped["dropped"]);
    assert_eq!(dropped["dropped"]["position"], journal.archived);
    assert!(!journal.data().join("segments/2026-09").exists());
    assert!(!journal.data().join("store/2026-08").exists());
    // Twice is as good as once.
    assert_eq!(journal.archive(&["--drop"])["dropped"]["segments"], 0);

    // From the base alone: no checkpoint, no snapshots.
    drop(fs::remove_dir_all(journal.data().join("kept")));
    fs::remove_dir_all(journal.data().join("store")).unwrap();
    fs::rename(journal.at("archive"), journal.at("moved")).unwrap();
    let server = Server::start(&journal.data());
    let client = server.client();
    assert_eq!(seen(&client), known);
    // Tokens go on rising where the dropped events ended.
    for (lock, last) in [("busy", 15), ("old", 1)] {
        let body = json!({ "owner": "ben", "ttl_ms": 60_000 });
        let granted = client.post(&format!("/api/v1/locks/{lock}/acquire"), &body).expect(200);
        assert!(granted.body["token"].as_u64().unwrap() > last);
    }
    // An id that was used is still known, and one that was not is not.
    client.get(&format!("/api/v1/sessions/{MIDDLE}")).expect(404);
    // What needs a month that is away says so; what does not goes on.
    let gone = client.get("/api/v1/events?after=0").expect(410).body;
    assert_eq!((&gone["type"], &gone["month"]), (&json!("/problems/archived"), &json!("2026-08")));
    assert!(!gone.to_string().contains(&journal.at("")), "{gone}");
    let since = client.get("/api/v1/events?since=2026-10-01T00:00:00Z&limit=500").expect(200).body;
    assert_eq!(since["events"][0]["position"], journal.archived + 1);
    let told = client.get("/api/v1/events?type=MonthsDropped&since=2026-10-01T00:00:00Z");
    assert_eq!(told.expect(200).body["events"][0]["data"]["upto"], journal.archived);
    client.get("/api/v1/state?at=2026-08-20T00:00:00Z").expect(410);
    client.get("/api/v1/state").expect(200);
    // Somebody who is forgotten is forgotten with the sessions of dropped months.
    client.delete(&format!("/api/v1/subjects/{GUEST}")).expect(200);
    client.get(&format!("/api/v1/sessions/{LONG}")).expect(404);
    server.kill();

    // The archive's new place is named.
    let old = ["replay", "--at", "2026-08-20T00:00:00Z"];
    let away = journal.run(&old);
    assert_eq!(away.code, 2, "{}", away.stderr);
    assert!(away.stderr.contains("--archive"), "{}", away.stderr);
    let moved = journal.at("moved");
    let then = journal.json(&[&old[..], &["--archive", &moved]].concat());
    assert_eq!(then["live_sessions"], 2);
    let at_end = before["position"].to_string();
    let replayed = journal.json(&["replay", "--at", &at_end]);
    assert_eq!(replayed, before);
    assert_eq!(journal.json(&["replay", "--at", &at_end, "--archive", &moved]), before);

    let without = journal.json(&["verify"]);
    let with = journal.json(&["verify", "--archive", &moved]);
    assert_eq!((&without["findings"], &with["findings"]), (&json!([]), &json!([])));
    assert_eq!(without["archive_checked"], false);
    assert_eq!(with["records"], without["records"].as_u64().unwrap() + journal.archived);
}

#[test]
fn the_next_months_follow_into_the_same_archive() {
    let journal = Journal::new();
    let before = journal.json(&["replay"]);
    journal.archive(&["--before", "2026-09", "--drop"]);
    // The place is known from then on.
    let done = journal.json(&["archive", "--before", "2026-10", "--drop"]);
    assert_eq!(done["archived"]["months"], json!(["2026-09"]));
    let at = before["position"].to_string();
    assert_eq!(journal.json(&["replay", "--at", &at]), before);
    // The session that ended in September is no row of the subject any more.
    let server = Server::start(&journal.data());
    let exported = server.client().get(&format!("/api/v1/subjects/{GUEST}/export")).expect(200);
    let ids: Vec<&Value> =
        exported.body["data"]["sessions"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!(LONG)]);
    let told = |exported: &Value| exported["history"].to_string().contains(MIDDLE);
    assert!(told(&exported.body));
    assert_eq!(exported.body["truncated"]["history"], false);
    assert!(server.stop().success());
    fs::rename(journal.at("archive"), journal.at("moved")).unwrap();
    let server = Server::start(&journal.data());
    let exported = server.client().get(&format!("/api/v1/subjects/{GUEST}/export")).expect(200);
    assert_eq!(exported.body["truncated"]["history"], true);
    assert!(!told(&exported.body));
    assert!(server.stop().success());
    let listed = journal.json(&["archive"]);
    let lies: Vec<_> = lies(&listed).into_iter().map(|(_, lies)| lies).collect();
    assert_eq!(&lies[..3], ["archive", "archive", "journal"]);
}

#[test]
fn a_base_that_was_changed_is_found_and_one_that_is_lost_is_made_again() {
    let journal = Journal::new();
    journal.drop_two_months();
    let known = journal.json(&["replay"]);
    let base = journal.data().join("BASE");
    let whole = fs::read_to_string(&base).unwrap();
    fs::write(&base, whole.replace("states", "State")).unwrap();
    for verb in [&["verify"][..], &["replay"], &["keys", "list"]] {
        let refused = journal.run(verb);
        assert_eq!(refused.code, 4, "{verb:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("mainstay archive --drop"), "{}", refused.stderr);
    }
    journal.archive(&["--drop"]);
    assert_eq!(fs::read_to_string(&base).unwrap(), whole);
    let at = known["position"].to_string();
    assert_eq!(journal.json(&["replay", "--at", &at]), known);
    assert_eq!(journal.json(&["verify"])["findings"], json!([]));

    // Other states, with a base that names them: the journal says that these are not what was dropped.
    let other = Journal::new();
    other.archive(&["--before", "2026-09", "--drop"]);
    let swapped = journal.run(&["archive", "--drop", "--archive", &other.at("archive")]);
    assert_eq!(swapped.code, 4, "{}", swapped.stderr);
    let archive = Path::new(&journal.at("archive")).to_path_buf();
    let segment = files(&archive).into_iter().find(|it| it.ends_with("00000000000000000001.seg"));
    let segment = segment.unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[300] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let damaged = journal.run(&["archive", "--drop", "--archive", &journal.at("archive")]);
    assert_eq!(damaged.code, 4, "{}", damaged.stderr);
    assert_eq!(journal.run(&["verify"]).code, 4);
    fs::remove_dir_all(&archive).unwrap();
    let absent = journal.run(&["archive", "--drop", "--archive", &journal.at("archive")]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(absent.stderr.contains("there is no archive"), "{}", absent.stderr);
    assert_eq!(journal.run(&["verify"]).code, 0);
    for (more, says) in [
        (&["--before", "2026-13"][..], "write a year and a month"),
        (&["--before", "2026-11"], "there is no archive"),
    ] {
        let refused = journal.run(&[&["archive"], more].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    // Among the journal's own files it would be dropped with them.
    for inside in ["data", "data/segments", "data/new/archive"] {
        let refused =
            journal.run(&["archive", "--before", "2026-11", "--archive", &journal.at(inside)]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains("lies elsewhere"), "{}", refused.stderr);
    }
    let nowhere = Journal::new();
    let refused = nowhere.run(&["archive", "--before", "2026-10"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--archive"), "{}", refused.stderr);
}

#[test]
fn what_a_restore_has_ended_stays_over_when_both_lie_in_the_archive() {
    let journal = Journal::forked();
    let whole = journal.json(&["replay"]);
    journal.drop_two_months();
    drop(fs::remove_dir_all(journal.data().join("kept")));
    drop(fs::remove_dir_all(journal.data().join("store")));
    // Nor is there what was said while the months were dropped.
    for month in fs::read_dir(journal.data().join("segments")).unwrap() {
        let month = month.unwrap().path();
        if month.is_dir() && !month.ends_with("2026-10") {
            fs::remove_dir_all(month).unwrap();
        }
    }
    let live = journal.json(&["replay"]);
    assert_eq!((&live["live_sessions"], &live["held_locks"]), (&json!(0), &json!(2)));
    assert_eq!(live, whole);
    let held = journal.json(&["replay", "--stream", "lock/held"]);
    assert_eq!(held["state"]["grants"], json!([]));

    let server = Server::start(&journal.data());
    let client = server.client();
    let names = |locks: &Value| {
        let locks = locks["locks"].as_array().unwrap().iter();
        locks.map(|lock| lock["name"].clone()).collect::<Vec<_>>()
    };
    let locks = client.get("/api/v1/locks?active=true").expect(200).body;
    assert_eq!(names(&locks), ["busy", "later"]);
    let fenced = until(10, "both say so", || {
        let said = "/api/v1/events?type=LeasesFenced,SessionFenced&since=2026-11-01T00:00:00Z";
        let events = client.get(said).expect(200).body["events"].as_array().unwrap().clone();
        (events.len() == 2).then_some(events)
    });
    let mut streams: Vec<_> = fenced.iter().map(|it| it["stream"].as_str().unwrap()).collect();
    streams.sort_unstable();
    assert_eq!(streams, ["lock/held", &format!("session/default/{LONG}")]);
    assert_eq!(client.get(&format!("/api/v1/sessions/{LONG}")).status, 404);
}

#[test]
fn what_was_vouched_for_in_dropped_months_holds_and_the_preflight_needs_no_archive() {
    let journal = Journal::new();
    let items = ["documents.runbooks", "access.used", "journal.opens", "journal.archive-reachable"];
    let looked = || {
        let only = items.iter().flat_map(|item| ["--only", item]);
        let verb: Vec<&str> = ["preflight", "--json"].into_iter().chain(only).collect();
        let report: Value = serde_json::from_str(&journal.run(&verb).stdout).unwrap();
        let items = report["items"].as_array().unwrap().iter();
        let text = |item: &Value, member| item[member].as_str().unwrap().to_owned();
        items.map(|it| (text(it, "id"), text(it, "verdict"), text(it, "evidence"))).collect()
    };
    let find = |all: &Vec<(String, String, String)>, id: &str| {
        let (_, verdict, evidence) = all.iter().find(|(it, ..)| it == id).unwrap().clone();
        (verdict, evidence)
    };
    let whole = looked();
    let (verdict, evidence) = find(&whole, "documents.runbooks");
    assert_eq!(verdict, "pass");
    assert!(evidence.starts_with("local, "), "{evidence}");
    assert_eq!(find(&whole, "journal.archive-reachable").0, "not_applicable");
    let idle = find(&whole, "access.used");
    assert_eq!(idle.0, "fail", "{idle:?}");
    journal.drop_two_months();
    assert_eq!(find(&looked(), "journal.archive-reachable").0, "pass");
    fs::rename(journal.at("archive"), journal.at("moved")).unwrap();
    let left = looked();
    let (verdict, evidence) = find(&left, "documents.runbooks");
    assert_eq!(verdict, "pass");
    // Who did lies in the archive.
    assert!(evidence.starts_with("somebody, "), "{evidence}");
    assert_eq!(find(&left, "journal.opens").0, "pass");
    assert_eq!(find(&left, "journal.archive-reachable").0, "fail");
    assert_eq!(find(&left, "access.used"), idle);
}

#[test]
fn a_journal_without_its_first_months_is_backed_up_and_restored_and_needs_no_archive_for_it() {
    let journal = Journal::new();
    journal.drop_two_months();
    let before = journal.json(&["replay"]);
    fs::rename(journal.at("archive"), journal.at("moved")).unwrap();
    let key = run(["backup-key", "create", &journal.at("key")]);
    let (to, recipient) = (journal.at("target"), key.stdout.trim());
    let taken = journal.json(&["backup", "--to", &to, "--recipient", recipient]);
    assert!(taken["shipped"].as_u64().unwrap() > 0);
    // Nothing of it is shipped twice.
    let again = journal.json(&["backup", "--to", &to, "--recipient", recipient]);
    assert_eq!(again["shipped"], 0);
    let (new, key) = (journal.at("new"), journal.at("key"));
    let verb = ["restore", &to, "--to", &new, "--identity", &key, "--json"];
    for more in [&["--dry-run"][..], &[]] {
        let ended = run(verb.iter().chain(more));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let told: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(told["position"], taken["position"]);
    }
    let at = taken["position"].to_string();
    let after = run(["replay", "--data", &new, "--at", &at, "--json"]);
    let after: Value = serde_json::from_str(&after.stdout).unwrap();
    for part in ["live_sessions", "held_locks", "dependencies"] {
        assert_eq!(after[part], before[part], "{part}");
    }
    let verified = run(["verify", "--data", &new]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}
