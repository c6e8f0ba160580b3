//! A journal that was rewritten, shortened or replaced is refused against checkpoints that lie
//! elsewhere, and nothing is written to it.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::support::{Ended, Server, run, tree};

/// Starts a server, takes leases on these locks, stops it.
fn serve(data: &Path, more: &[&str], locks: &[&str]) {
    let server = Server::start_with(data, more);
    for name in locks {
        let body = json!({ "owner": "anna", "ttl_ms": 600_000 });
        server.client().post(&format!("/api/v1/locks/{name}/acquire"), &body).expect(200);
    }
    assert!(server.stop().success());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    // Keys are for their owner only.
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Puts one directory's copies of the records in place of another's.
fn replace(data: &Path, by: &Path) {
    for part in ["segments", "store", "kept", "proofs"] {
        drop(fs::remove_dir_all(data.join(part)));
        if by.join(part).exists() {
            copy(&by.join(part), &data.join(part));
        }
    }
}

/// A directory with its witness, and two others that went another way from the same beginning.
struct Histories {
    ours: TempDir,
    /// As many other events.
    other: TempDir,
    /// None of ours.
    short: TempDir,
    papers: TempDir,
}

impl Histories {
    fn new() -> Self {
        let [ours, other, short, papers] = [(); 4].map(|()| tempdir().unwrap());
        serve(short.path(), &[], &["first"]);
        for fork in [&ours, &other] {
            copy(short.path(), fork.path());
        }
        let histories = Self { ours, other, short, papers };
        serve(histories.ours.path(), &["--witness", &histories.witness()], &["a", "b"]);
        serve(histories.other.path(), &[], &["c", "d"]);
        histories
    }

    fn witness(&self) -> String {
        self.papers.path().join("witness.txt").to_str().unwrap().to_owned()
    }

    /// A start held against the witness.
    fn served(&self) -> Ended {
        let (data, witness) = (self.ours.path().to_str().unwrap(), self.witness());
        run(["serve", "--listen", "127.0.0.1:0", "--data", data, "--witness", &witness])
    }

    fn verified(&self) -> Ended {
        let (data, witness) = (self.ours.path().to_str().unwrap(), self.witness());
        run(["verify", "--data", data, "--checkpoint", &witness])
    }

    /// Asserts that both refuse, say this, and write nothing.
    #[track_caller]
    fn refused(&self, says: &str) {
        let mut before = tree(self.ours.path());
        let witness = fs::read(self.witness()).unwrap();
        refused(&self.served(), says);
        assert_eq!(tree(self.ours.path()), before, "{says}: something was written");
        refused(&self.verified(), says);
        let mut after = tree(self.ours.path());
        // To look into a database sled opens it.
        let store = self.ours.path().join("store");
        before.retain(|path, _| !path.starts_with(&store));
        after.retain(|path, _| !path.starts_with(&store));
        assert_eq!(after, before, "{says}: something was written");
        assert_eq!(fs::read(self.witness()).unwrap(), witness);
    }
}

#[track_caller]
fn refused(ended: &Ended, says: &str) {
    assert_eq!(ended.code, 4, "{says}: {}", ended.stderr);
    assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
}

#[test]
fn a_witness_grows_with_its_journal() {
    let histories = Histories::new();
    let notes = || fs::read_to_string(histories.witness()).unwrap();
    let sizes =
        |text: &str| -> Vec<u64> { text.lines().filter_map(|line| line.parse().ok()).collect() };
    // At the start and at the stop.
    assert_eq!(sizes(&notes()), [3, 5]);
    let more = ["--witness", &histories.witness()];
    serve(histories.ours.path(), &more, &[]);
    serve(histories.ours.path(), &more, &["e"]);
    assert_eq!(sizes(&notes()), [3, 5, 6, 7, 8]);
    let data = histories.ours.path().to_str().unwrap();
    let held = run(["verify", "--data", data, "--checkpoint", &histories.witness()]);
    assert_eq!(held.code, 0, "{}", held.stderr);
    assert!(held.stdout.contains("checkpoints that hold: 5"), "{}", held.stdout);
}

#[test]
fn a_rewritten_journal_is_refused() {
    let histories = Histories::new();
    replace(histories.ours.path(), histories.other.path());
    let data = histories.ours.path().to_str().unwrap();
    // By itself it is good.
    assert_eq!(run(["verify", "--data", data]).code, 0);
    histories.refused("journal rewritten");
}

#[test]
fn a_shortened_journal_is_refused() {
    let histories = Histories::new();
    replace(histories.ours.path(), histories.short.path());
    let data = histories.ours.path().to_str().unwrap();
    assert_eq!(run(["verify", "--data", data]).code, 0);
    histories.refused("journal shortened: it ends at 2, and a checkpoint covers 3 events");
}

#[test]
fn another_journal_in_its_place_is_refused_and_so_is_none() {
    let histories = Histories::new();
    let other = tempdir().unwrap();
    serve(other.path(), &[], &["a", "b", "c", "d"]);
    fs::remove_dir_all(histories.ours.path()).unwrap();
    copy(other.path(), histories.ours.path());
    histories.refused("another journal: the checkpoint is of mainstay/");
    fs::remove_dir_all(histories.ours.path()).unwrap();
    refused(&histories.served(), "journal gone");
    assert!(!histories.ours.path().exists(), "a journal was made in its place");
    fs::create_dir(histories.ours.path()).unwrap();
}

#[test]
fn a_checkpoint_that_nobody_signed_counts_for_nothing() {
    let histories = Histories::new();
    let good = fs::read_to_string(histories.witness()).unwrap();
    let forged = good.replacen("\n5\n", "\n4\n", 1);
    assert_ne!(forged, good);
    fs::write(histories.witness(), forged).unwrap();
    histories
        .refused("checkpoint not signed: the signature of the checkpoint of 4 events is forged");
    fs::write(histories.witness(), &good).unwrap();
    let keyring = histories.ours.path().join("signing/keyring");
    let keys = fs::read_to_string(&keyring).unwrap();
    fs::remove_file(&keyring).unwrap();
    histories.refused("checkpoint not signed: the checkpoint of 3 events is signed by no key");
    // With a copy of its key it counts.
    let data = histories.ours.path().to_str().unwrap();
    let witness = histories.witness();
    let held = ["verify", "--data", data, "--checkpoint", &witness, "--key", keys.trim()];
    assert_eq!(run(held).code, 0);
    fs::write(&keyring, keys).unwrap();
    for cut in [good.trim_end(), "nothing of the kind\n", "mainstay/00\n"] {
        fs::write(histories.witness(), cut).unwrap();
        for ended in [histories.served(), histories.verified()] {
            assert_eq!(ended.code, 2, "{cut}: {}", ended.stderr);
            assert!(ended.stderr.contains("witness.txt"), "{}", ended.stderr);
        }
    }
}

/// What happened: a signal that came in the moment after the server was ready was lost, for nobody
/// waited for it just then.
#[test]
fn a_server_that_is_asked_to_stop_in_the_moment_it_is_ready_stops() {
    let (data, papers) = (tempdir().unwrap(), tempdir().unwrap());
    let witness = papers.path().join("witness.txt");
    for _ in 0..5 {
        serve(data.path(), &["--witness", witness.to_str().unwrap()], &[]);
    }
}
