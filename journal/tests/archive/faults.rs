//! Cuts, wrong archives and damaged files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay_journal::archive::{ArchiveError, archive, check};
use mainstay_journal::conformance::{Outcomes, stream};
use mainstay_journal::disk::Disk;
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::{
    FindingKind, LocalLog, OpenError, Options, ReadError, ReadLog, VerifyOptions, verify,
};

use crate::grown::*;

/// The same files on another disk, all of them synced.
fn copy_of(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::default();
    for path in disk.files() {
        let directory = path.parent().unwrap();
        copy.create_dir(directory).unwrap();
        let file = copy.create(&path).unwrap();
        file.write_at(&disk.bytes(&path).unwrap(), 0).unwrap();
        file.sync().unwrap();
        for directory in path.ancestors().skip(1) {
            copy.sync_dir(directory).unwrap();
        }
    }
    copy
}

#[test]
fn a_cut_at_any_moment_of_archiving_and_dropping_loses_nothing() {
    let image = SimDisk::default();
    grown(&image);
    let whole = all(&reader(&image));
    let mut cuts = 0;
    for nth in 1.. {
        let disk = copy_of(&image);
        disk.cut_after(nth);
        let done = put_away(&disk, "2026-10").and_then(|_| drop_them(&disk));
        let loss = [Loss::All, Loss::Some, Loss::Torn][usize::try_from(nth % 3).unwrap()];
        let after = disk.power_cut(loss, nth);
        let (log, writer) = open(&after);
        assert_eq!(all(&log), whole, "cut {nth}");
        drop((log, writer));
        assert_eq!(verified(&after).0, EVENTS, "cut {nth}");
        // The next run completes it.
        assert_eq!(put_away(&after, "2026-10").unwrap(), 244, "cut {nth}");
        assert_eq!(drop_them(&after).unwrap(), 244, "cut {nth}");
        let left = |path: &PathBuf| path.starts_with("/j/segments/2026-09");
        assert!(!after.files().iter().any(left), "cut {nth}");
        holds(&reader(&after), &whole);
        if done.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 40, "{cuts} cuts");
}

#[test]
fn a_wrong_archive_is_named_and_nothing_is_dropped() {
    let disk = SimDisk::default();
    grown(&disk);
    let whole = all(&reader(&disk));
    let untouched = |disk: &SimDisk| {
        assert_eq!(all(&reader(disk)), whole);
        assert!(reader(disk).base().is_none());
    };
    assert!(matches!(drop_them(&disk), Err(ArchiveError::NotThere { .. })));
    // Of another journal.
    let other = Options { journal_id: Some([8; 16]), ..options(&disk) };
    let (log, mut writer) = LocalLog::open_manual("/o", &other, Outcomes::default()).unwrap();
    fill(&log, &mut writer, EVENTS);
    drop((log, writer));
    let theirs = Path::new("/oa");
    let mut fold = Sums::default();
    archive(Path::new("/o"), theirs, "2026-10", &on(&disk), &mut fold, &mut |_, _| {}).unwrap();
    let from_theirs =
        |disk: &SimDisk| check(Path::new(JOURNAL), theirs, &on(disk), &mut |_, _| {}).unwrap_err();
    assert!(matches!(from_theirs(&disk), ArchiveError::Foreign { .. }));
    let into_theirs =
        archive(Path::new(JOURNAL), theirs, "2026-10", &on(&disk), &mut fold, &mut |_, _| {});
    assert!(matches!(into_theirs, Err(ArchiveError::Foreign { .. })));
    untouched(&disk);

    // Every file of the archive, each with a flipped bit, then gone.
    put_away(&disk, "2026-10").unwrap();
    let mut files = disk.files();
    files.retain(|it| it.starts_with(ARCHIVE) && !it.ends_with("LOCK"));
    assert!(files.len() > 6);
    for path in files {
        let bytes = disk.bytes(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 2] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            disk.create(&path).unwrap().write_at(&flipped, 0).unwrap();
            let error = drop_them(&disk).unwrap_err();
            assert!(matches!(error, ArchiveError::Damaged { .. }), "{path:?}, {at}: {error}");
        }
        disk.remove(&path).unwrap();
        let is_manifest = path.ends_with("MANIFEST");
        match drop_them(&disk).unwrap_err() {
            ArchiveError::NotThere { .. } => assert!(is_manifest),
            ArchiveError::Damaged { .. } => assert!(!is_manifest),
            other => panic!("{path:?}: {other}"),
        }
        untouched(&disk);
        disk.create(&path).unwrap().write_at(&bytes, 0).unwrap();
    }
    // While another process archives into it, or writes the journal.
    let busy = disk.lock(&Path::new(ARCHIVE).join("LOCK")).unwrap();
    let error = put_away(&disk, "2026-11").unwrap_err();
    assert!(matches!(error, ArchiveError::InUse { .. }), "{error}");
    drop(busy);
    let (log, writer) = open(&disk);
    let error = drop_them(&disk).unwrap_err();
    assert!(matches!(error, ArchiveError::Open(OpenError::InUse { .. })), "{error}");
    drop((log, writer));
    drop_them(&disk).unwrap();

    // What is kept in the journal: refused by name, and made again from the archive.
    for name in ["/j/BASE", "/j/base/00000000000000000244.states"] {
        let path = Path::new(name);
        let bytes = disk.bytes(path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() - 2] ^= 1;
        disk.create(path).unwrap().write_at(&flipped, 0).unwrap();
        let opened = LocalLog::open_manual(JOURNAL, &options(&disk), Outcomes::default());
        let text = opened.map(drop).unwrap_err().to_string();
        assert!(text.contains(name) && text.contains("mainstay archive --drop"), "{text}");
        drop_them(&disk).unwrap();
        holds(&reader(&disk), &whole);
        disk.remove(path).unwrap();
        let opened = LocalLog::open_manual(JOURNAL, &options(&disk), Outcomes::default());
        opened.map(drop).unwrap_err();
        drop_them(&disk).unwrap();
        holds(&reader(&disk), &whole);
    }
}

#[test]
fn verify_names_a_damaged_base_and_a_missing_file_of_the_archive() {
    let disk = SimDisk::default();
    grown(&disk);
    put_away(&disk, "2026-10").unwrap();
    drop_them(&disk).unwrap();
    let options = || VerifyOptions { disk: Arc::new(disk.clone()), ..VerifyOptions::default() };
    let verified = || verify(JOURNAL, &options(), &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    // A byte of a state: the index is whole, so the journal opens.
    let path = Path::new("/j/base/00000000000000000244.states");
    let bytes = disk.bytes(path).unwrap();
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    disk.create(path).unwrap().write_at(&flipped, 0).unwrap();
    let read = reader(&disk).stream_head(&stream("s/of-0"), u64::MAX);
    assert!(matches!(read, Err(ReadError::Base { .. })), "{read:?}");
    let report = verified();
    assert!(report.findings.iter().all(|it| it.kind == FindingKind::Base && it.file == path));
    assert!(!report.is_good());
    disk.create(path).unwrap().write_at(&bytes, 0).unwrap();
    // One file in the middle: the journal itself is checked all the same.
    let gone = Path::new(ARCHIVE).join("2026-08/00000000000000000061.seg");
    disk.remove(&gone).unwrap();
    let report = verified();
    let found: Vec<_> = report.findings.iter().map(|it| (it.kind, &it.file, it.position)).collect();
    assert_eq!(found, [(FindingKind::Base, &gone, 61)]);
    assert_eq!((report.records, report.head.position), (EVENTS - 20, EVENTS));
}
