//! A journal planted from another one's blocks is that journal, up to where it was cut.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails is a failed test"
)]

use std::ops::ControlFlow;
use std::path::Path;

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::plant::{PlantError, Planting, Until};
use mainstay_journal::{
    EventLog as _, Keyring, LocalLog, Options, ReadLog as _, Reader, Reading, VerifyOptions, verify,
};

/// 2026-11-30T23:59:59Z: some of its records lie in the next month.
const BEGAN_US: u64 = 1_796_083_199_000_000;
const RECORDS: u64 = 600;

fn options(keyring: &Keyring) -> Options {
    let keyring = keyring.clone();
    Options { segment_bytes: 9_000, store: false, keyring, ..Options::default() }
}

/// Appends of one to three records each, a few milliseconds apart.
fn grow(directory: &Path, keyring: &Keyring) {
    let outcomes = Outcomes::default();
    let log = LocalLog::open(directory, &options(keyring), outcomes.clone()).unwrap();
    let (mut records, mut versions, mut appends) = (0, [0; 5], 0);
    while records < RECORDS {
        let (lane, count) = (appends % 5, appends % 3 + 1);
        let count = u8::try_from(count).unwrap();
        let at_us = BEGAN_US + records * 5_000;
        let next = append(&format!("s/{lane}"), versions[lane], count, at_us);
        while log.submit(next.clone()).is_err() {
            std::thread::yield_now();
        }
        versions[lane] += u64::from(count);
        records += u64::from(count);
        appends += 1;
    }
    log.close();
    assert_eq!(outcomes.all().len(), appends);
}

/// All blocks of a journal in one.
fn blocks(reader: &Reader) -> Vec<u8> {
    let mut all = Vec::new();
    let take = &mut |block: mainstay_journal::StoredBlock<'_>| {
        all.extend_from_slice(block.bytes);
        ControlFlow::Continue(())
    };
    reader.blocks(1, u64::MAX, take).unwrap();
    all
}

fn records(reader: &Reader, upto: u64) -> Vec<(u32, u64, u64, String, Vec<u8>)> {
    let mut all = Vec::new();
    let take = &mut |record: mainstay_journal::RecordRef<'_>| {
        let stream = record.stream.to_owned();
        all.push((record.epoch, record.position, record.at_us, stream, record.payload.to_vec()));
        ControlFlow::Continue(())
    };
    reader.scan(1, upto, take).unwrap();
    all
}

fn open(directory: &Path, keyring: &Keyring) -> Reader {
    let reading = Reading { keyring: keyring.clone(), ..Reading::default() };
    Reader::open_with(directory, reading).unwrap()
}

fn a_cut_is_the_journal_up_to_it(keyring: &Keyring) {
    let source = tempfile::tempdir().unwrap();
    grow(source.path(), keyring);
    let reader = open(source.path(), keyring);
    let bytes = blocks(&reader);
    let journal = reader.identity().journal;
    let last = reader.head().position;
    let cuts = (1..=last).step_by(7).chain([last, last + 1]);
    for position in cuts {
        let until = match position % 2 {
            0 => Until::Position(position),
            // The records of an append share a time.
            _ => Until::Time(BEGAN_US + position * 5_000),
        };
        let target = tempfile::tempdir().unwrap();
        let mut planting =
            Planting::begin(Some(target.path()), journal, keyring.clone(), until, None);
        let mut visited = 0;
        let _ = planting.take(&bytes, &mut |_| visited += 1).unwrap();
        assert!(Reader::open(target.path()).is_err(), "a journal before it is whole");
        let planted = planting.finish(Some(7)).unwrap();
        let head = planted.head.position;
        assert_eq!(visited, head);
        match until {
            Until::Position(position) => assert_eq!(head, position.min(last)),
            _ => assert_eq!(head, reader.position_at(BEGAN_US + position * 5_000).unwrap()),
        }
        let root = mainstay_journal::merkle::root(&reader, head).unwrap();
        assert_eq!(planted.root(), root);

        // It opens, goes on in its epoch, and all of it verifies.
        let outcomes = Outcomes::default();
        let log = LocalLog::open(target.path(), &options(keyring), outcomes.clone()).unwrap();
        assert_eq!(log.opened().cut, None);
        let next = append("s/new", 0, 2, planted.at_us);
        assert!(log.submit(next).is_ok());
        log.close();
        assert_eq!(outcomes.all().len(), 1);
        let copy = open(target.path(), keyring);
        assert_eq!((copy.head().epoch, copy.head().position), (7, head + 2));
        assert_eq!(records(&copy, head), records(&reader, head));
        let verifying = VerifyOptions { keyring: keyring.clone(), ..VerifyOptions::default() };
        let report = verify(target.path(), &verifying, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
}

#[test]
fn a_cut_of_a_plain_journal_is_the_journal_up_to_it() {
    a_cut_is_the_journal_up_to_it(&Keyring::default());
}

#[test]
fn a_cut_of_a_sealed_journal_is_the_journal_up_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, Keyring::new_line().unwrap().as_bytes()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    a_cut_is_the_journal_up_to_it(&Keyring::read(&path).unwrap());
}

#[test]
fn blocks_that_do_not_follow_are_refused_and_make_no_journal() {
    let source = tempfile::tempdir().unwrap();
    grow(source.path(), &Keyring::default());
    let reader = open(source.path(), &Keyring::default());
    let (bytes, journal) = (blocks(&reader), reader.identity().journal);
    let first = mainstay_journal::StoredBlock::parse(&bytes).unwrap().bytes.len();
    let mut flipped = bytes.clone();
    flipped[first + 120] ^= 1;
    let without = [&bytes[..first], &bytes[2 * first..]].concat();
    for (wrong, journal) in [
        (&flipped[..], journal),
        (&without[..], journal),
        (&bytes[first..], journal),
        (&bytes[..first - 1], journal),
        (&bytes[..], [9; 16]),
    ] {
        let target = tempfile::tempdir().unwrap();
        let at = Some(target.path());
        let mut planting = Planting::begin(at, journal, Keyring::default(), Until::End, None);
        let error = planting.take(wrong, &mut |_| {}).unwrap_err();
        assert!(matches!(error, PlantError::Damaged { .. }), "{error}");
        assert!(Reader::open(target.path()).is_err());
    }
}

#[test]
fn blocks_of_a_group_that_never_ended_are_its_end() {
    let source = tempfile::tempdir().unwrap();
    grow(source.path(), &Keyring::default());
    let reader = open(source.path(), &Keyring::default());
    let (mut upto, mut whole) = (0, Vec::new());
    let take = &mut |block: mainstay_journal::StoredBlock<'_>| {
        whole.extend_from_slice(block.bytes);
        upto = block.last;
        if block.ends_group { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    reader.blocks(1, u64::MAX, take).unwrap();
    assert!(upto < reader.head().position, "a group of several blocks");
    let target = tempfile::tempdir().unwrap();
    let journal = reader.identity().journal;
    let at = Some(target.path());
    let mut planting = Planting::begin(at, journal, Keyring::default(), Until::End, None);
    assert!(planting.take(&whole, &mut |_| {}).unwrap().is_continue());
    planting.finish(Some(2)).unwrap();
    let outcomes = Outcomes::default();
    let log = LocalLog::open(target.path(), &options(&Keyring::default()), outcomes).unwrap();
    assert_eq!((log.head().position, log.opened().cut.is_none()), (upto, true));
}
