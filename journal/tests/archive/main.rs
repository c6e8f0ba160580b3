//! Months that leave a journal: what stays can be read, extended and proved without them, what left is
//! read where it lies, and a cut at any moment loses nothing.

#![cfg(test)]

mod faults;
mod grown;
mod times;

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mainstay_journal::archive::{
    ArchiveError, ArchiveOptions,
    Lies::{Archive, Both, Here},
    archive, check, drop_months, months,
};
use mainstay_journal::conformance::Outcomes;
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::merkle::{self, Frontier, leaf_hash};
use mainstay_journal::{
    Keyring, LocalLog, OpenError, Options, Query, ReadError, ReadLog, VerifyOptions, verify,
};

use crate::grown::*;

#[test]
fn what_stays_is_read_extended_and_proved_without_the_archive() {
    let disk = SimDisk::default();
    grown(&disk);
    let whole = all(&reader(&disk));
    let control = SimDisk::default();
    grown(&control);
    let control = reader(&control);

    assert_eq!(put_away(&disk, "2026-10").unwrap(), 244);
    assert_eq!(verified(&disk), (480, false));
    assert_eq!(drop_them(&disk).unwrap(), 244);
    assert!(!disk.files().iter().any(|path| path.starts_with("/j/segments/2026-08")));

    // The archive is there: nothing is missing.
    let log = reader(&disk);
    assert_eq!(all(&log), whole);
    holds(&log, &whole);
    proves(&log, &control);
    assert_eq!(merkle::root(&log, 100).unwrap(), merkle::root(&control, 100).unwrap());
    assert_eq!(verified(&disk), (480, true));

    // It is not: what needs it says so, and the rest goes on.
    without_archive(&disk);
    let log = reader(&disk);
    holds(&log, &whole);
    proves(&log, &control);
    let error = log.scan(1, 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ReadError::Archived(_)), "{text}");
    assert!(text.starts_with("2026-08 was dropped") && text.contains(ARCHIVE), "{text}");
    let old = Query { until_us: Some(START_US + 31 * DAY_US), ..Query::default() };
    assert!(matches!(
        log.find(&old, &mut |_| ControlFlow::Continue(())),
        Err(ReadError::Archived(_))
    ));
    assert_eq!(verified(&disk), (236, false));

    let (log, mut writer) = open(&disk);
    holds(&log, &whole);
    assert_eq!(fill(&log, &mut writer, EVENTS + 100), 100);
    assert_eq!(log.head().position, EVENTS + 100);
    drop((log, writer));
    assert_eq!(verified(&disk), (336, false));
}

#[test]
fn month_after_month_goes_into_the_same_archive() {
    let disk = SimDisk::default();
    grown(&disk);
    let whole = all(&reader(&disk));
    let lies = |disk: &SimDisk| {
        let months = months(Path::new(JOURNAL), Some(Path::new(ARCHIVE)), &on(disk)).unwrap();
        let lies = months.iter().map(|month| (month.name.clone(), month.lies));
        lies.collect::<Vec<_>>()
    };
    let of = |lies: [_; 4]| {
        ["2026-08", "2026-09", "2026-10", "2026-11"].map(str::to_owned).into_iter().zip(lies)
    };
    assert_eq!(lies(&disk), of([Here; 4]).collect::<Vec<_>>());
    assert_eq!(put_away(&disk, "2026-08").unwrap(), 0);
    assert_eq!(put_away(&disk, "2026-09").unwrap(), 124);
    assert_eq!(lies(&disk), of([Both, Here, Here, Here]).collect::<Vec<_>>());
    assert_eq!(put_away(&disk, "2026-10").unwrap(), 244);
    assert_eq!(drop_them(&disk).unwrap(), 244);
    assert_eq!(put_away(&disk, "2026-11").unwrap(), 368);
    assert_eq!(lies(&disk), of([Archive, Archive, Both, Here]).collect::<Vec<_>>());
    // The newest month stays, whatever is asked.
    assert!(reader(&disk).status().segments > 1);
    assert_eq!(put_away(&disk, "2027-01").unwrap(), 368);
    assert_eq!(drop_them(&disk).unwrap(), 368);
    assert_eq!(drop_them(&disk).unwrap(), 368);
    holds(&reader(&disk), &whole);
    assert_eq!(all(&reader(&disk)), whole);
    assert_eq!(verified(&disk), (480, true));
}

#[test]
fn the_tree_goes_on_from_its_largest_nodes() {
    let disk = SimDisk::default();
    grown(&disk);
    let mut tree = Frontier::default();
    reader(&disk)
        .scan(1, u64::MAX, &mut |record| {
            tree.push(leaf_hash(&record));
            ControlFlow::Continue(())
        })
        .unwrap();
    for before in ["2026-09", "2026-10", "2026-11"] {
        put_away(&disk, before).unwrap();
        drop_them(&disk).unwrap();
        assert_eq!(merkle::root(&reader(&disk), EVENTS).unwrap(), tree.root());
    }
}

#[test]
fn a_sealed_journal_with_a_store_drops_its_months_too() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key");
    std::fs::write(&key_file, Keyring::new_line().unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let keyring = Keyring::read(&key_file).unwrap();
    let (data, to) = (directory.path().join("data"), directory.path().join("archive"));
    let options = Options { segment_bytes: 4_000, keyring: keyring.clone(), ..Options::default() };
    let open = |options: &Options| {
        let (log, writer) = LocalLog::open_manual(&data, options, Outcomes::default()).unwrap();
        (log, writer)
    };
    let settled = |log: &LocalLog| {
        while log.status().store.unwrap().reached < log.head().position {
            log.wait_beyond(u64::MAX - 1, std::time::Duration::from_millis(5));
        }
    };
    let (log, mut writer) = open(&options);
    fill(&log, &mut writer, EVENTS);
    settled(&log);
    let whole = all(&log);
    drop((log, writer));

    let with_key = ArchiveOptions { keyring: keyring.clone(), ..ArchiveOptions::default() };
    let without = ArchiveOptions::default();
    let mut fold = Sums::default();
    let refused = archive(&data, &to, "2026-11", &without, &mut fold, &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, ArchiveError::Open(OpenError::Sealed { .. })), "{refused}");
    assert!(!to.join("MANIFEST").exists());
    archive(&data, &to, "2026-11", &with_key, &mut fold, &mut |_, _| {}).unwrap();
    check(&data, &to, &without, &mut |_, _| {}).unwrap_err();
    let checked = check(&data, &to, &with_key, &mut |_, _| {}).unwrap();
    // A drop that is cut short leaves a database behind.
    let (left, aside) = (data.join("store/2026-10"), directory.path().join("aside"));
    copy_tree(&left, &aside);
    drop_months(&data, &to, &checked, &with_key).unwrap();
    for gone in ["segments/2026-08", "store/2026-08", "store/2026-10", "store/2026-09.done"] {
        assert!(!data.join(gone).exists(), "{gone}");
    }
    // Names of streams are in no file in the plain.
    let states = std::fs::read(data.join("base/00000000000000000368.states")).unwrap();
    assert!(!states.windows(8).any(|window| window == b"s/always"));

    let (log, writer) = open(&options);
    assert_eq!(all(&log), whole);
    holds(&log, &whole);
    settled(&log);
    assert_eq!(log.status().store.unwrap().trouble, None);
    // The store of a dropped month is not made again from the archive.
    assert!(!data.join("store/2026-10").exists());
    drop((log, writer));
    std::fs::rename(&aside, &left).unwrap();
    for repair in [false, true] {
        let options =
            VerifyOptions { repair, keyring: keyring.clone(), ..VerifyOptions::default() };
        let report = verify(&data, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
        assert_eq!((report.findings, report.records), (vec![], EVENTS));
        assert!(!data.join("segments/2026-10").exists());
    }
    let moved = directory.path().join("moved");
    std::fs::rename(&to, &moved).unwrap();
    let (log, writer) = open(&options);
    holds(&log, &whole);
    log.scan(1, 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    drop((log, writer));
    let (log, _writer) = open(&Options { archive: Some(moved), ..options });
    assert_eq!(all(&log), whole);
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
