//! Every journal keeps the contract.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use mainstay_journal::conformance::{self, Bench, Outcomes};
use mainstay_journal::{
    EventLog, Keyring, LocalLog, MemoryLog, Options, Outcome, ReadLog as _, Writer,
};

struct Memory {
    log: MemoryLog,
    outcomes: Outcomes,
}

impl Bench for Memory {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.all()
    }
    fn work(&mut self) {
        self.log.turn();
    }
}

struct Local {
    log: LocalLog,
    writer: Option<Writer>,
    outcomes: Outcomes,
    _directory: tempfile::TempDir,
}

impl Bench for Local {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.all()
    }
    fn work(&mut self) {
        match &mut self.writer {
            Some(writer) => {
                writer.turn();
            },
            None => {
                self.log.wait_beyond(self.log.head().position, Duration::from_millis(2));
            },
        }
    }
}

#[test]
fn a_memory_log_that_commits_at_once() {
    conformance::all(&mut || {
        let outcomes = Outcomes::default();
        Box::new(Memory { log: MemoryLog::immediate(outcomes.clone()), outcomes })
    });
}

#[test]
fn a_memory_log_driven_by_hand() {
    conformance::all(&mut || {
        let outcomes = Outcomes::default();
        Box::new(Memory { log: MemoryLog::manual(outcomes.clone()), outcomes })
    });
}

fn local(options: &Options, manual: bool) -> Box<dyn Bench> {
    let directory = tempfile::tempdir().unwrap();
    let outcomes = Outcomes::default();
    let (log, writer) = if manual {
        let (log, writer) =
            LocalLog::open_manual(directory.path(), options, outcomes.clone()).unwrap();
        (log, Some(writer))
    } else {
        (LocalLog::open(directory.path(), options, outcomes.clone()).unwrap(), None)
    };
    Box::new(Local { log, writer, outcomes, _directory: directory })
}

#[test]
fn a_local_log_with_a_writer_thread() {
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    conformance::all(&mut || local(&options, false));
}

#[test]
fn a_local_log_driven_by_hand_over_many_small_segments() {
    let options = Options {
        segment_bytes: 6000,
        group_records: 16,
        heads: 4,
        store: false,
        ..Options::default()
    };
    conformance::all(&mut || local(&options, true));
}

#[test]
fn a_local_log_under_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.key");
    std::fs::write(&path, &*Keyring::new_line().unwrap()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let keyring = Keyring::read(&path).unwrap();
    let options = Options { segment_bytes: 20_000, spares: 0, keyring, ..Options::default() };
    conformance::all(&mut || local(&options, false));
}

#[test]
fn a_local_log_with_a_store_behind_many_small_segments() {
    let options = Options {
        segment_bytes: 20_000,
        group_records: 16,
        heads: 4,
        spares: 0,
        store_lag: 64,
        ..Options::default()
    };
    conformance::all(&mut || local(&options, false));
}
