//! A journal that was restored: its records up to the fork are of one epoch, what it appends is of the
//! next one. It opens, grows, is verified, proved, rebuilt and archived like any other.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay_journal::archive::{ArchiveOptions, Before, Fold, archive, check, drop_months};
use mainstay_journal::conformance::{Outcomes, append, stream};
use mainstay_journal::disk::Disk;
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::merkle::{self, Frontier};
use mainstay_journal::{
    Append, Cursor, EventLog, Head, Identity, LocalLog, MemoryLog, OpenError, Options, Outcome,
    ReadError, ReadLog, Reader, Reading, RecordRef, Snapshot, VerifyOptions, verify,
};

const JOURNAL: &str = "/j";
const ID: [u8; 16] = [7; 16];
/// 2026-11-01, and six hours.
const START_US: u64 = 1_793_491_200_000_000;
const STEP_US: u64 = 21_600_000_000;

fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 4_000,
        store: false,
        spares: 0,
        disk: Arc::new(disk.clone()),
        journal_id: Some(ID),
        ..Options::default()
    }
}

/// Makes what follows of an epoch, as a restore does.
fn begin(disk: &dyn Disk, directory: impl AsRef<Path>, epoch: u32) {
    Identity { journal: ID, epoch }.plant(disk, directory.as_ref()).unwrap();
}

/// Appends records up to a position, one a group.
fn grow(disk: &SimDisk, upto: u64) -> Result<(), OpenError> {
    let outcomes = Outcomes::default();
    let (log, mut writer) = LocalLog::open_manual(JOURNAL, &options(disk), outcomes.clone())?;
    let first = log.head().position;
    for n in first..upto {
        log.submit(event(n)).unwrap();
        writer.turn();
    }
    let committed = |outcome: &Outcome| matches!(outcome, Outcome::Committed { .. });
    assert!(outcomes.all().iter().all(committed), "{:?}", outcomes.all());
    Ok(())
}

/// The record at position `n + 1`.
fn event(n: u64) -> Append {
    append(&format!("s/{}", n % 3), n / 3, 1, START_US + n * STEP_US)
}

fn cursors(log: &dyn ReadLog) -> Vec<Cursor> {
    let mut cursors = Vec::new();
    log.scan(1, u64::MAX, &mut |record| {
        cursors.push(record.cursor());
        ControlFlow::Continue(())
    })
    .unwrap();
    cursors
}

/// Positions from 1 on, each with the epoch of the last beginning at or before it.
fn forked(begins: &[(u64, u32)], head: u64) -> Vec<Cursor> {
    let epoch = |position| begins.iter().rfind(|(first, _)| *first <= position).unwrap().1;
    (1..=head).map(|position| Cursor { epoch: epoch(position), position }).collect()
}

fn reader(disk: &SimDisk) -> Reader {
    let disk = Arc::new(disk.clone());
    Reader::open_with(JOURNAL, Reading { disk, ..Reading::default() }).unwrap()
}

/// Everything that tells of epochs agrees.
#[track_caller]
fn holds(log: &dyn ReadLog, expected: &[Cursor]) {
    assert_eq!(cursors(log), expected);
    assert_eq!(log.head(), *expected.last().unwrap());
    assert_eq!(log.epoch_at(0).unwrap(), expected.first().unwrap().epoch);
    for place in expected {
        assert_eq!(log.epoch_at(place.position).unwrap(), place.epoch, "at {}", place.position);
        for epoch in 0..=log.head().epoch + 1 {
            let cursor = Cursor { epoch, position: place.position };
            assert_eq!(log.is_ours(cursor).unwrap(), cursor == *place, "{cursor}");
        }
    }
    let Cursor { epoch, position } = log.head();
    assert!(!log.is_ours(Cursor { epoch, position: position + 1 }).unwrap());
    // Before the first record every history is the same.
    let nothing = |epoch| log.is_ours(Cursor { epoch, position: 0 }).unwrap();
    assert_eq!(
        [nothing(0), nothing(1), nothing(epoch), nothing(epoch + 1)],
        [false, true, true, false]
    );
    let mut tree = Frontier::default();
    log.scan(1, u64::MAX, &mut |record| {
        tree.push(merkle::leaf_hash(&record));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(merkle::root(log, position).unwrap(), tree.root());
}

fn verified(disk: &SimDisk) -> Cursor {
    let options = VerifyOptions { disk: Arc::new(disk.clone()), ..VerifyOptions::default() };
    let report = verify(JOURNAL, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report.head
}

#[test]
fn what_is_appended_behind_a_fork_is_of_the_next_epoch_and_all_of_it_is_one_journal() {
    let disk = SimDisk::default();
    grow(&disk, 40).unwrap();
    // The head is the fork until something is appended.
    begin(&disk, JOURNAL, 2);
    grow(&disk, 40).unwrap();
    let fork = forked(&[(1, 1)], 40);
    holds(&reader(&disk), &fork);
    grow(&disk, 70).unwrap();
    let twice = forked(&[(1, 1), (41, 2)], 70);
    holds(&reader(&disk), &twice);
    // Again, and over an epoch that appended nothing.
    begin(&disk, JOURNAL, 5);
    grow(&disk, 95).unwrap();
    let all = forked(&[(1, 1), (41, 2), (71, 5)], 95);
    holds(&reader(&disk), &all);
    let (log, _writer) =
        LocalLog::open_manual(JOURNAL, &options(&disk), Outcomes::default()).unwrap();
    holds(&log, &all);
    assert_eq!(verified(&disk), Cursor { epoch: 5, position: 95 });
}

#[test]
fn a_log_in_memory_counts_epochs_as_one_on_disk_does() {
    let log = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
    let until = |upto: u64| {
        for n in log.head().position..upto {
            log.submit(event(n)).unwrap();
        }
    };
    assert_eq!((log.head(), log.epoch_at(0).unwrap()), (Cursor { epoch: 1, position: 0 }, 1));
    until(4);
    log.begin_epoch();
    assert_eq!(log.head(), Cursor { epoch: 1, position: 4 });
    until(9);
    log.begin_epoch();
    log.begin_epoch();
    until(12);
    holds(&log, &forked(&[(1, 1), (5, 2), (10, 4)], 12));
}

#[test]
fn an_identity_older_than_the_records_is_refused() {
    let disk = SimDisk::default();
    grow(&disk, 1).unwrap();
    begin(&disk, JOURNAL, 3);
    grow(&disk, 2).unwrap();
    begin(&disk, JOURNAL, 2);
    let error = grow(&disk, 3).unwrap_err();
    assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
    assert!(error.to_string().contains("epoch 2, the last record is of epoch 3"), "{error}");
    begin(&disk, JOURNAL, 3);
    holds(&reader(&disk), &forked(&[(1, 1), (2, 3)], 2));
}

#[test]
fn a_power_cut_behind_a_fork_loses_nothing_and_no_epoch_falls() {
    let restored = SimDisk::default();
    grow(&restored, 25).unwrap();
    begin(&restored, JOURNAL, 2);
    let whole = restored.power_cut(Loss::All, 0);
    let before = whole.operations();
    grow(&whole, 45).unwrap();
    let operations = whole.operations() - before;
    for loss in [Loss::All, Loss::Some, Loss::Torn] {
        for at in 1..=operations {
            let disk = restored.power_cut(Loss::All, 0);
            disk.cut_after(at);
            let outcomes = Outcomes::default();
            if let Ok((log, mut writer)) =
                LocalLog::open_manual(JOURNAL, &options(&disk), outcomes.clone())
            {
                for n in log.head().position..45 {
                    log.submit(event(n)).unwrap();
                    writer.turn();
                }
            }
            let kept = |outcome: &Outcome| match outcome {
                Outcome::Committed { first, .. } => Some(*first),
                _ => None,
            };
            let acknowledged = outcomes.all().iter().filter_map(kept).max().unwrap_or(25);
            let left = disk.power_cut(loss, at);
            grow(&left, 0).unwrap_or_else(|error| panic!("{loss:?} at {at}: {error}"));
            assert!(reader(&left).head().position >= acknowledged, "{loss:?} at {at}");
            grow(&left, 50).unwrap();
            let log = reader(&left);
            assert_eq!(cursors(&log), forked(&[(1, 1), (26, 2)], 50), "{loss:?} at {at}");
        }
    }
}

#[test]
fn a_lost_store_and_a_lost_segment_come_back_with_their_epochs() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        Options { segment_bytes: 4_000, spares: 0, journal_id: Some(ID), ..Options::default() };
    let real: Arc<dyn Disk> = Arc::clone(&options.disk);
    let grow = |upto: u64| {
        let log = LocalLog::open(directory.path(), &options, Outcomes::default()).unwrap();
        for n in log.head().position..upto {
            log.submit(event(n)).unwrap();
            log.wait_beyond(n, Duration::from_secs(10));
        }
        settle(&log);
        log
    };
    drop(grow(30));
    begin(&*real, directory.path(), 2);
    let all = forked(&[(1, 1), (31, 2)], 60);
    let log = grow(60);
    holds(&log, &all);
    drop(log);
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let log = grow(60);
    holds(&log, &all);
    drop(log);
    // The segment that the fork lies in, and the newest one.
    let month = directory.path().join("segments/2026-11");
    let mut segments: Vec<_> = fs::read_dir(month).unwrap().map(|it| it.unwrap().path()).collect();
    segments.sort();
    assert!(segments.len() > 2, "{segments:?}");
    fs::remove_file(segments.pop().unwrap()).unwrap();
    holds(&grow(60), &all);
    let report =
        verify(directory.path(), &VerifyOptions::default(), &mut |_, _| {}, &mut |_| Ok(()));
    assert_eq!(report.unwrap().findings, []);
}

fn settle(log: &LocalLog) {
    for _ in 0..2_000 {
        let store = log.status().store.unwrap();
        if store.reached == log.head().position && !store.rebuilding {
            return;
        }
        log.wait_beyond(u64::MAX - 1, Duration::from_millis(5));
    }
    panic!("the store does not arrive");
}

#[test]
fn what_is_kept_beside_a_journal_outlives_the_fork() {
    let disk = SimDisk::default();
    let open = || LocalLog::open_manual(JOURNAL, &options(&disk), Outcomes::default()).unwrap();
    grow(&disk, 5).unwrap();
    open().0.keep("checkpoint", &mut |out| out.write_all(b"1-5")).unwrap();
    begin(&disk, JOURNAL, 2);
    grow(&disk, 9).unwrap();
    let mut text = String::new();
    open().0.kept("checkpoint").unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "1-5");
}

/// A fold that remembers where each stream ends.
#[derive(Default)]
struct Ends(BTreeMap<String, Head>);

impl Fold for Ends {
    fn take(&mut self, record: &RecordRef<'_>, _before: Before<'_>) -> Result<(), String> {
        let head = Head { version: record.version, position: record.position };
        self.0.insert(record.stream.to_owned(), head);
        Ok(())
    }

    fn next_state(&mut self) -> Result<Option<Snapshot>, String> {
        let next = self.0.pop_first();
        Ok(next.map(|(name, head)| Snapshot { stream: stream(&name), head, bytes: Vec::new() }))
    }
}

#[test]
fn months_of_an_older_epoch_are_archived_and_dropped() {
    let disk = SimDisk::default();
    grow(&disk, 100).unwrap();
    begin(&disk, JOURNAL, 2);
    // November ends behind the fork.
    grow(&disk, 200).unwrap();
    let all = forked(&[(1, 1), (101, 2)], 200);
    let on = ArchiveOptions { disk: Arc::new(disk.clone()), ..ArchiveOptions::default() };
    let (data, to) = (Path::new(JOURNAL), Path::new("/archive"));
    let done = archive(data, to, "2026-12", &on, &mut Ends::default(), &mut |_, _| {}).unwrap();
    assert_eq!(done.head, Cursor { epoch: 2, position: 120 });
    let checked = check(data, to, &on, &mut |_, _| {}).unwrap();
    drop_months(data, to, &checked, &on).unwrap();
    holds(&reader(&disk), &all);
    grow(&disk, 210).unwrap();
    holds(&reader(&disk), &forked(&[(1, 1), (101, 2)], 210));
    assert_eq!(verified(&disk).epoch, 2);

    // Without the archive what stays is told, and what left is said to be away.
    for path in disk.files().iter().filter(|path| path.starts_with(to)) {
        disk.remove(path).unwrap();
    }
    let log = reader(&disk);
    assert_eq!(log.epoch_at(121).unwrap(), 2);
    assert!(log.is_ours(Cursor { epoch: 2, position: 121 }).unwrap());
    let away = log.epoch_at(7).unwrap_err();
    assert!(matches!(away, ReadError::Archived(_)), "{away}");
    let known = |epoch| log.is_ours(Cursor { epoch, position: 7 }).unwrap();
    assert_eq!([known(0), known(1), known(2), known(3)], [false, true, true, false]);
}
