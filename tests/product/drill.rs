//! Drills with the built program: on a copy, measured, compared, recorded, by hand and when due.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Client, Ended, Server, run, run_long, tree, until};

/// A stopped server's directory with sessions, locks and a dependency, in a folder with room beside it.
struct Live {
    folder: TempDir,
    data: PathBuf,
}

impl Live {
    fn make() -> Self {
        let folder = tempdir().unwrap();
        let data = folder.path().join("live");
        let server = Server::start(&data);
        let client = server.client();
        client.put("/api/v1/dependencies/db", &json!({ "weight": 10 })).expect(200);
        for n in 0..20 {
            acquire(&client, &format!("room-{n}"));
            let session = json!({ "subject": format!("c-{n}"), "ttl_ms": 600_000 });
            client.post("/api/v1/sessions", &session).expect(201);
        }
        assert!(server.stop().success());
        Self { folder, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn drill(&self, more: &[&str]) -> Ended {
        self.drill_under(&[], more)
    }

    fn drill_under(&self, variables: &[(&str, &str)], more: &[&str]) -> Ended {
        let report = self.path("report");
        let fixed = ["drill", "--json", "--data", text(&self.data), "--report", text(&report)];
        let ended = run_long(variables, &[&fixed, more].concat());
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }
}

/// What a server is configured with, beside what is none of a copy's business.
const CONFIG: &str = r#"
[server]
listen = "192.0.2.1:7070"
tls = { cert = "/nowhere/cert.pem", key = "/nowhere/key.pem" }
[access]
keys = "required"
[limits]
residents = 100
[[dependency]]
name = "billing"
weight = 30
critical = true
cap = "MINIMAL"
probe = "https://192.0.2.1/health"
probe_ca = "/nowhere/ca.pem"
breaker = { window = "10s", failure_rate = 0.25, jitter = 0.1, backoff = 1.5 }
"#;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn acquire(client: &Client, lock: &str) {
    let body = json!({ "owner": "anna", "ttl_ms": 600_000 });
    client.post(&format!("/api/v1/locks/{lock}/acquire"), &body).expect(200);
}

#[track_caller]
fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|it| it.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every element of a page is closed where it should be.
#[track_caller]
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("<{part}"));
        let name = tag.split([' ', '/']).find(|it| !it.is_empty()).unwrap();
        let is_void = ["!DOCTYPE", "meta", "br"].contains(&name) || tag.ends_with('/');
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "in {page}"),
            None if is_void => {},
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
}

#[test]
fn every_scenario_recovers_and_the_live_data_stays_as_it_was() {
    let live = Live::make();
    let before = tree(&live.data);
    let ended = live.drill(&["--no-record"]);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    let report = report(&ended);
    let scenarios = report["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 5);
    for it in scenarios {
        let name = it["scenario"].as_str().unwrap();
        let number = |member: &str| it[member].as_u64().unwrap();
        assert!(number("acknowledged") > 5, "{it}");
        assert!(number("rto_ms") > 0 && number("rto_ms") < 30_000, "{it}");
        for comparison in ["baseline", "comparison"] {
            assert!(it[comparison]["compared"].as_u64().unwrap() > 40, "{name} {it}");
            assert_eq!(
                (&it[comparison]["different"], &it[comparison]["same_root"]),
                (&json!(0), &json!(true))
            );
        }
        if !["disk-loss", "segment-corruption"].contains(&name) {
            assert_eq!((number("lost_events"), number("rpo_ms")), (0, 0), "{it}");
        }
        assert_eq!(number("unwanted") > 0, name == "bad-release", "{it}");
    }
    let page = fs::read_to_string(live.path("report/report.html")).unwrap();
    assert_well_formed(&page);
    assert!(page.contains("segment-corruption") && page.contains("<svg"));
    let written: Value =
        serde_json::from_slice(&fs::read(live.path("report/report.json")).unwrap()).unwrap();
    assert_eq!(written, report);
    assert!(
        fs::read_to_string(live.path("report/report.md")).unwrap().contains("| disk-loss | good |")
    );
    assert_eq!(names(live.folder.path()), ["live", "report"], "copies are left");
    assert!(tree(&live.data) == before, "the live data was changed");
}

#[test]
fn a_real_backup_that_is_not_what_is_live_is_told_and_exits_1() {
    let live = Live::make();
    // Two servers on copies of one journal: one is backed up, the other is said to be live.
    let other = live.path("other");
    let copied = Command::new("cp").arg("-a").args([&live.data, &other]).status();
    assert!(copied.unwrap().success());
    for (data, lock) in [(&live.data, "live-1"), (&other, "other-1")] {
        let server = Server::start(data);
        acquire(&server.client(), lock);
        assert!(server.stop().success());
    }
    let (key, target) = (live.path("key"), live.path("target"));
    let made = run(["backup-key", "create", text(&key)]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let recipient = made.stdout.split_whitespace().find(|it| it.starts_with("age1")).unwrap();
    let backup =
        ["backup", "--data", text(&other), "--to", text(&target), "--recipient", recipient];
    assert_eq!(run(backup).code, 0);
    let before = tree(&target);
    let from = ["--from", text(&target), "--identity", text(&key), "--no-record"];
    // What names the real target names none of the copy's.
    let real =
        [("MAINSTAY__BACKUP__TO", text(&target)), ("MAINSTAY__BACKUP__RECIPIENTS", recipient)];
    let ended = live.drill_under(&real, &[&from[..], &["--scenario", "process-kill"]].concat());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let report = report(&ended);
    let it = &report["scenarios"][0];
    assert_eq!((&report["good"], &it["good"]), (&json!(false), &json!(false)));
    let baseline = &it["baseline"];
    assert_eq!(baseline["same_root"], json!(false));
    let named = baseline["differences"].to_string();
    assert!(named.contains("lock/live-1 is not in the restored journal"), "{named}");
    assert!(named.contains("lock/other-1 is only in the restored journal"), "{named}");
    // The recovery itself was good.
    assert_eq!((&it["comparison"]["different"], &it["lost_events"]), (&json!(0), &json!(0)));
    assert!(tree(&target) == before, "the real backups were changed");
    let good = ["drill", "--data", text(&other), "--json", "--scenario", "process-kill"];
    let ended = run([&good[..], &from].concat());
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_missed_target_exits_1_and_the_journal_and_the_metrics_tell_it() {
    let live = Live::make();
    let missed = live.drill(&["--scenario", "process-kill", "--rto", "1ms"]);
    assert_eq!(missed.code, 1, "{}", missed.stderr);
    let server = Server::start(&live.data);
    let client = server.client();
    let url = format!("http://{}", server.address());
    let drills = || client.get("/api/v1/drills").expect(200).body["drills"].clone();
    let recorded = drills();
    assert_eq!(recorded[0]["good"], json!(false), "{recorded}");
    assert_eq!((&recorded[0]["by"], &recorded[0]["rto_target_ms"]), (&json!("local"), &json!(1)));
    assert!(recorded[0]["findings"][0].as_str().unwrap().starts_with("RTO: "), "{recorded}");
    let config = live.path("mainstay.toml");
    fs::write(&config, CONFIG).unwrap();
    let server_and_config = ["--server", &url, "--config", text(&config)];
    let good = live.drill(&[&["--scenario", "process-kill"], &server_and_config[..]].concat());
    assert_eq!(good.code, 0, "{}{}", good.stdout, good.stderr);
    let recorded = drills();
    assert_eq!(recorded.as_array().unwrap().len(), 2);
    assert_eq!((&recorded[0]["good"], &recorded[1]["good"]), (&json!(true), &json!(false)));
    let metrics = String::from_utf8(client.get_bytes("/metrics")).unwrap();
    let figure = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    };
    let rto_ms = recorded[0]["rto_ms"].as_f64().unwrap();
    assert!((figure("mainstay_drill_rto_seconds") * 1e3 - rto_ms).abs() < 0.5);
    assert!(figure("mainstay_drill_last_good_timestamp_seconds") > 1.7e9);
    assert!(figure("mainstay_drill_stale") < 0.5);
}

#[test]
fn a_drill_that_cannot_be_is_not_recorded() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let good = json!({
        "scenario": "disk-loss", "good": true, "rto_ms": 1, "rto_target_ms": 2, "rpo_ms": 0, "took_ms": 3,
        "rpo_target_ms": 1, "lost_events": 0, "compared": 1, "different": 0, "findings": [],
    });
    client.post("/api/v1/drills", &good).expect(200);
    for (member, value) in [
        ("scenario", json!("Disk loss")),
        ("scenario", json!("")),
        ("rto_ms", json!(-1)),
        ("findings", json!(vec!["x"; 21])),
        ("findings", json!(["x".repeat(501)])),
        ("at", json!("2026-11-22T03:12:00Z")),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        client.post("/api/v1/drills", &bad).problem(400, "/problems/bad-request");
    }
    let drills = client.get("/api/v1/drills?limit=10").expect(200).body["drills"].clone();
    assert_eq!(drills.as_array().unwrap().len(), 1);
}

#[test]
fn a_server_drills_by_itself_when_one_is_due_and_leaves_its_own_data_alone() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("live");
    let made = run(["backup-key", "create", text(&folder.path().join("key"))]);
    let recipient = made.stdout.split_whitespace().find(|it| it.starts_with("age1")).unwrap();
    let target = folder.path().join("target");
    let variables = [
        ("MAINSTAY__BACKUP__TO", text(&target)),
        ("MAINSTAY__BACKUP__RECIPIENTS", recipient),
        ("MAINSTAY__DRILL__EVERY", "1s"),
        ("MAINSTAY__DRILL__SCENARIOS", "disk-loss"),
    ];
    let server = Server::start_under(&data, &variables);
    let client = server.client();
    acquire(&client, "room-1");
    let drill = until(60, "a drill", || {
        let drills = client.get("/api/v1/drills").expect(200).body["drills"].clone();
        drills.as_array().unwrap().first().cloned()
    });
    assert_eq!((&drill["good"], &drill["by"]), (&json!(true), &json!("system:drill")), "{drill}");
    assert_eq!(drill["scenario"], "disk-loss");
    // Its end ends a drill that is under way, and what that has made.
    assert!(server.stop().success());
    let reports = folder.path().join("live-drills");
    let left = names(&reports);
    assert!(left.iter().all(|name| !name.starts_with("drill-")), "copies are left: {left:?}");
    assert!(reports.join(&left[0]).join("report.html").exists(), "{left:?}");
}

#[test]
fn an_interrupted_drill_removes_its_copies_and_ends_its_server() {
    let live = Live::make();
    let work = live.path("work");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["drill", "--no-record", "--data", text(&live.data)]);
    command.arg("--report").arg(work.join("report")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It serves when its directory has a store: a restore makes none.
    let served = until(30, "the drill's server", || {
        let scratch = fs::read_dir(&work).ok()?.find_map(|it| {
            let name = it.ok()?.file_name().into_string().ok()?;
            name.starts_with("drill-").then(|| work.join(name))
        })?;
        let served = scratch.join("process-kill/victim");
        served.join("store").exists().then_some(served)
    });
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = until(30, "the drill to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    assert!(!served.exists(), "the copy is left");
    assert!(names(&work).is_empty(), "{:?}", names(&work));
    let mut open = fs::read_dir("/proc").unwrap().filter_map(|it| {
        let line = fs::read(it.ok()?.path().join("cmdline")).ok()?;
        String::from_utf8(line).ok().filter(|line| line.contains(text(&work)))
    });
    assert_eq!(open.next(), None, "a server is left");
}
