//! One flipped byte anywhere: found, named, healed from the store if that has it, and never a
//! wrong payload.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{
    EventLog as _, FindingKind, LocalLog, OpenError, Options, ReadError, ReadLog, Reader, Reading,
    Report, VerifyOptions, verify,
};

fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 3000,
        store: false,
        disk: Arc::new(disk.clone()),
        journal_id: Some([9; 16]),
        ..Options::default()
    }
}

/// Thirty groups of two records in several segments.
fn journal() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::default();
    let (log, mut writer) =
        LocalLog::open_manual("/j", &options(&disk), Outcomes::default()).unwrap();
    for n in 0..30 {
        log.submit(append(&format!("s/{}", n % 3), n / 3 * 2, 2, n)).unwrap();
        writer.turn();
    }
    let payloads = payloads(&log).unwrap();
    assert_eq!(payloads.len(), 60);
    (disk, payloads)
}

fn payloads(log: &dyn ReadLog) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut all = Vec::new();
    log.scan(1, u64::MAX, &mut |record| {
        all.push(record.payload.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let mut files = disk.files();
    files.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    files
}

fn check(directory: &Path, options: &VerifyOptions) -> Report {
    verify(directory, options, &mut |_, _| {}, &mut |_| Ok(())).unwrap()
}

#[test]
fn a_flipped_byte_is_found_by_verify_and_never_served() {
    let (disk, whole) = journal();
    let files = segments(&disk);
    assert!(files.len() >= 3);
    let options = VerifyOptions { disk: Arc::new(disk.clone()), ..VerifyOptions::default() };
    let clean = check(Path::new("/j"), &options);
    assert_eq!((clean.records, clean.head.position), (60, 60));
    assert_eq!(clean.findings, []);
    for file in &files {
        let length = disk.bytes(file).unwrap().len();
        for at in (0..length).step_by(41) {
            disk.tamper(file, |bytes| bytes[at] ^= 0x20);
            let story = format!("byte {at} of {}", file.display());
            let report = check(Path::new("/j"), &options);
            let newest = report.findings.iter().all(|f| f.kind == FindingKind::TornTail);
            assert!(!report.findings.is_empty(), "{story}: not found");
            assert!(!newest || file == files.last().unwrap(), "{story}: {:?}", report.findings);
            match Reader::open_with(
                "/j",
                Reading { disk: Arc::new(disk.clone()), ..Reading::default() },
            ) {
                Ok(reader) => match payloads(&reader) {
                    Ok(read) => assert_eq!(read[..], whole[..read.len()], "{story}"),
                    Err(ReadError::Damaged { position, .. }) => assert!(position <= 60, "{story}"),
                    Err(error) => panic!("{story}: {error}"),
                },
                Err(OpenError::Damaged { .. } | OpenError::NewerFormat { .. }) => {},
                Err(error) => panic!("{story}: {error}"),
            }
            disk.tamper(file, |bytes| bytes[at] ^= 0x20);
        }
    }
}

#[test]
fn damage_before_a_later_group_stops_the_open_and_changes_nothing() {
    let (disk, _) = journal();
    let last = segments(&disk).pop().unwrap();
    let at = 150;
    disk.tamper(&last, |bytes| bytes[at] ^= 1);
    let before = disk.bytes(&last).unwrap();
    let error = LocalLog::open_manual("/j", &options(&disk), Outcomes::default()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("mainstay verify --repair"));
    assert_eq!(disk.bytes(&last).unwrap(), before);
}

#[test]
fn damage_in_the_newest_group_is_a_torn_tail_and_moved_aside() {
    let (disk, whole) = journal();
    let last = segments(&disk).pop().unwrap();
    disk.tamper(&last, |bytes| {
        let end = bytes.len() - 5;
        bytes[end] ^= 1;
    });
    let (log, _writer) = LocalLog::open_manual("/j", &options(&disk), Outcomes::default()).unwrap();
    assert_eq!(payloads(&log).unwrap(), whole[..58]);
    let cut = log.opened().cut.clone().unwrap();
    assert!(cut.starts_with("/j/set-aside") && disk.bytes(&cut).is_some());
}

#[test]
fn a_missing_segment_is_named_with_what_is_lost() {
    let (disk, _) = journal();
    let file = segments(&disk).remove(1);
    mainstay_journal::disk::Disk::remove(&disk, &file).unwrap();
    let options = VerifyOptions { disk: Arc::new(disk), ..VerifyOptions::default() };
    let report = check(Path::new("/j"), &options);
    assert!(!report.is_good());
    assert!(report.findings[0].text.contains("are lost"), "{:?}", report.findings);
}

#[test]
fn a_record_without_meaning_is_a_finding_with_its_position() {
    let (disk, _) = journal();
    let options = VerifyOptions { disk: Arc::new(disk), ..VerifyOptions::default() };
    let report = verify("/j", &options, &mut |_, _| {}, &mut |record| {
        if record.position == 7 { Err("cannot be".into()) } else { Ok(()) }
    });
    let report = report.unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].kind, FindingKind::Meaning);
    assert_eq!(report.findings[0].position, 7);
}

#[test]
fn verify_heals_a_segment_from_the_store_and_the_store_from_the_segment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let options = Options { segment_bytes: 3000, spares: 0, ..Options::default() };
    let log = LocalLog::open(path, &options, Outcomes::default()).unwrap();
    for n in 0..60 {
        log.submit(append(&format!("s/{}", n % 3), n / 3 * 2, 2, n)).unwrap();
        log.wait_beyond(n * 2, std::time::Duration::from_secs(5));
    }
    let whole = payloads(&log).unwrap();
    drop(log);
    let verifying = VerifyOptions::default();
    let clean = check(path, &verifying);
    assert_eq!(clean.findings, []);
    assert!(clean.store_checked);
    let month = fs::read_dir(path.join("segments")).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> =
        fs::read_dir(&month).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let originals: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, original) in files.iter().zip(&originals) {
        let mut bytes = original.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        bytes[10] ^= 4;
        fs::write(file, bytes).unwrap();
    }
    let found = check(path, &verifying);
    assert!(!found.is_good());
    let healed = check(path, &VerifyOptions { repair: true, ..verifying.clone() });
    assert!(healed.is_good() && healed.findings.len() >= files.len() * 2, "{:?}", healed.findings);
    let now: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(now, originals);
    // The other way round.
    let name = month.file_name().unwrap().to_str().unwrap().to_owned();
    let (flipped, removed) = {
        let db = sled::open(path.join("store").join(&name)).unwrap();
        let blocks = db.open_tree("blocks").unwrap();
        let keys: Vec<_> = blocks.iter().keys().map(Result::unwrap).collect();
        let first = |nth: usize| u64::from_be_bytes(keys[nth][..8].try_into().unwrap());
        let mut wrong = blocks.get(&keys[1]).unwrap().unwrap().to_vec();
        // In the first header, which LZ4 leaves as it is: no length changes.
        wrong[26] ^= 1;
        blocks.insert(&keys[1], wrong).unwrap();
        blocks.remove(&keys[3]).unwrap();
        let runs = db.open_tree("runs").unwrap();
        let (key, _) = runs.iter().next().unwrap().unwrap();
        runs.remove(key).unwrap();
        db.flush().unwrap();
        (first(1)..first(2), first(3)..first(4))
    };
    // A value holds several blocks. Of one that is gone each is named; of one that was changed, those
    // that are not what they were.
    let found = check(path, &verifying);
    let of = |kind| found.findings.iter().filter(move |finding| finding.kind == kind);
    let positions: Vec<_> = of(FindingKind::StoreBlock).map(|finding| finding.position).collect();
    let inside = |span: &std::ops::Range<u64>| {
        positions.iter().copied().filter(|position| span.contains(position)).collect::<Vec<_>>()
    };
    assert!(!inside(&flipped).is_empty(), "{found:?}");
    assert_eq!(inside(&removed).first(), Some(&removed.start), "{found:?}");
    assert_eq!(inside(&flipped).len() + inside(&removed).len(), positions.len(), "{found:?}");
    assert_eq!(of(FindingKind::StoreIndex).count(), 1, "{found:?}");
    assert!(check(path, &VerifyOptions { repair: true, ..verifying.clone() }).is_good());
    assert_eq!(check(path, &verifying).findings, []);
    let log = LocalLog::open(path, &options, Outcomes::default()).unwrap();
    assert_eq!(payloads(&log).unwrap(), whole);
}
