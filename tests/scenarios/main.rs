//! Scenarios that the built program plays: fault scenarios with their transcripts, and the files of
//! `chaos/`.
//!
//! A transcript is what `mainstay chaos run FILE` prints. `SCENARIOS=overwrite cargo test --test
//! scenarios` writes them again, to be read in review.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// At a time: they wait more than they work.
const PLAYERS: usize = 6;

/// What is to be printed; nothing: it must hold, whatever it prints.
type Transcript = Option<PathBuf>;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files
}

fn play(file: &Path, transcript: &Transcript) -> Result<(), String> {
    let mut run = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    run.args(["chaos", "run", "--log"]).arg(file).env_remove("RUST_BACKTRACE");
    let output = run.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let name = file.file_name().unwrap().to_string_lossy();
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} did not hold:\n{told}{log}"));
    }
    let Some(path) = transcript else { return Ok(()) };
    if std::env::var_os("SCENARIOS").is_some_and(|it| it == "overwrite") {
        std::fs::write(path, &told).unwrap();
    }
    let before = std::fs::read_to_string(path).unwrap_or_default();
    if told == before {
        return Ok(());
    }
    Err(format!("{name} tells something else than {}:\n{told}", path.display()))
}

/// Plays all of them, a few at a time.
fn play_all(files: &[PathBuf], transcript: impl Fn(&Path) -> Transcript + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(reason) = play(file, &transcript(file)) {
                        wrong.lock().unwrap().push(reason);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

#[test]
fn every_fault_scenario_holds_and_tells_what_it_told() {
    let files = files("tests/scenarios");
    assert!(files.len() >= 33, "{} of 33 fault scenarios", files.len());
    play_all(&files, |file| Some(file.with_extension("txt")));
}

#[test]
fn every_file_of_chaos_holds() {
    let files = files("chaos");
    assert!(files.len() >= 30, "{} of 30 chaos files", files.len());
    play_all(&files, |_| None);
}

#[test]
fn a_scenario_that_does_not_hold_says_which_step_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let text = r#"
        title = "Too much is expected"
        about = "Nothing is wrong, and the breaker is waited for."
        [[mainstay.dependency]]
        name = "db"
        [[step]]
        call = { dependency = "db", times = 3, expect = { ok = 3 } }
        [[step]]
        wait = { breaker = { db = "open" }, within = "50ms" }
        [[step]]
        stop = { all = true }
    "#;
    std::fs::write(&file, text).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    let output = run.args(["chaos", "run", "--json"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let held: Vec<_> = told["steps"].as_array().unwrap().iter().map(|it| &it["held"]).collect();
    assert_eq!(held, [true, false, false]);
    let wrong = told["wrong"][0].as_str().unwrap();
    assert!(wrong.starts_with("the breaker of db is \"closed\" instead of open"), "{wrong}");
    assert!(told["journal"]["position"].as_u64().unwrap() > 0, "it is verified all the same");
}

#[test]
fn what_cannot_be_played_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let head = "title = \"t\"\nabout = \"a\"\n[[mainstay.dependency]]\nname = \"db\"\n";
    for (steps, says) in [
        ("", "missing field `step`"),
        ("[[step]]\n", "step 1: it does nothing"),
        ("[[step]]\npause = \"1s\"\nrestart = true\n", "step 1: it does two things"),
        ("[[step]]\ncal = {}\n", "the nearest known one is `call`"),
        (
            "[[step]]\ncall = { dependency = \"db\", expect = { fine = 1 } }\n",
            "\"fine\" is none of",
        ),
        ("[[step]]\ncall = { dependency = \"db\", times = 0 }\n", "times must be 1 to 100000"),
        ("[[step]]\ncall = { dependency = \"db\", answers = \"service\" }\n", "no [service]"),
        ("[[step]]\ncall = { dependency = \"db\", every = \"0ms\" }\n", "at least 1ms"),
        ("[[step]]\ncall = { dependency = \"db\", expect = { ok = \"5..1\" } }\n", "no number"),
        (
            "[[step]]\ncall = { dependency = \"db\", fallback = true, retry_after = true }\n",
            "nobody is refused",
        ),
        ("[[step]]\njoin = { name = \"a\" }\n", "no calls go on beside as \"a\""),
        ("[[step]]\ncall = { dependency = \"db\", beside = \"a\" }\n", "join them"),
        ("[[step]]\nlog = [\"\"]\n", "it looks for nothing"),
        ("[[step]]\njournal = []\n", "it looks for nothing"),
        ("[[step]]\nhttp = { method = \"GET\", path = \"livez\" }\n", "must begin with /"),
        ("[[step]]\ninject = { dependency = \"db\", fault = \"fire\" }\n", "is errors, hang"),
        ("[[step]]\nstop = {}\n", "either a name, or all = true"),
        ("[[step]]\nwait = { level = \"GOOD\" }\n", "GOOD"),
        ("[[step]]\nmetrics = { m = \"many\" }\n", "no number"),
    ] {
        let file = folder.path().join("bad.toml");
        std::fs::write(&file, format!("{head}{steps}")).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        let output = run.args(["chaos", "run"]).arg(&file).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{steps}: {error}");
        assert!(error.contains(says) && error.contains("bad.toml"), "{steps}: {error}");
    }
}

fn wrong_of(file: &Path, steps: &str) -> String {
    let head = "title = \"t\"\nabout = \"a\"\n[[mainstay.dependency]]\nname = \"db\"\n";
    std::fs::write(file, format!("{head}{steps}")).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    let output = run.args(["chaos", "run", "--json"]).arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{steps}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    told.pointer("/wrong").unwrap().to_string()
}

#[test]
fn a_check_that_does_not_come_about_fails() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (
            "[[step]]\ncall = { dependency = \"db\", times = 3, until = \"open\" }\n",
            "the breaker never was open",
        ),
        (
            "[[step]]\ncall = { dependency = \"bd\", expect = { failed = 1 } }\n",
            "1 calls were not decided: no dependency",
        ),
        (
            "[[step]]\ncall = { dependency = \"db\", times = 2, expect = { ok = 1 } }\n",
            "ok: 2 instead of 1",
        ),
        ("[[step]]\nlog = [\"never said\"]\n", "the log has no line"),
        ("[[step]]\njournal = [\"BreakerOpened\"]\n", "the journal has no BreakerOpened"),
        ("[[step]]\nmetrics = { mainstay_level = 3 }\n", "mainstay_level is 0 instead of 3"),
        (
            "[[step]]\ninject = { dependency = \"db\", fault = \"errors\" }\n",
            "the experiment db still runs",
        ),
    ];
    thread::scope(|scope| {
        for (number, (steps, says)) in cases.iter().enumerate() {
            let file = folder.path().join(format!("{number}.toml"));
            scope.spawn(move || {
                let wrong = wrong_of(&file, steps);
                assert!(wrong.contains(says), "{steps}: {wrong}");
            });
        }
    });
}
