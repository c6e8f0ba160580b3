//! Whatever happens to the store, answers are right, and it is whole again in the end.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed setup is a failed test"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append, stream};
use mainstay_journal::{
    EventLog as _, LocalLog, Options, Query, ReadLog as _, StoreStatus, VerifyOptions, verify,
};

const STREAMS: u64 = 11;

fn options() -> Options {
    Options { segment_bytes: 24_000, spares: 0, ..Options::default() }
}

fn open(directory: &Path) -> LocalLog {
    LocalLog::open(directory, &options(), Outcomes::default()).unwrap()
}

/// November and December 2026, a few segments each.
fn fill(directory: &Path) {
    let log = open(directory);
    for n in 0..600_u64 {
        let at_us = 1_795_305_600_000_000 + n * 4_000_000_000;
        let mut next = append(&format!("s/{}", n % STREAMS), n / STREAMS, 1, at_us);
        next.drafts[0].payload.resize(100, 3);
        next.drafts[0].payload.extend(n.to_le_bytes());
        next.envelope.correlation = Some(format!("c{}", n % 50).into());
        log.submit(next).unwrap();
        // Small groups, so that there are many blocks.
        if n % 7 == 0 {
            log.wait_beyond(n, Duration::from_secs(10));
        }
    }
    log.wait_beyond(599, Duration::from_secs(10));
    settle(&log);
}

/// Waits until the store has everything.
fn settle(log: &LocalLog) -> StoreStatus {
    let mut tries = 0;
    loop {
        let store = log.status().store.unwrap();
        if store.reached == log.head().position && !store.rebuilding {
            return store;
        }
        tries += 1;
        assert!(tries < 2000, "the store does not arrive: {store:?}");
        log.wait_beyond(u64::MAX - 1, Duration::from_millis(5));
    }
}

type Answers = Vec<Vec<(u64, Vec<u8>)>>;

fn answers(log: &LocalLog) -> Answers {
    let mut all = Answers::new();
    let mut ask = |read: &dyn Fn(mainstay_journal::Visit<'_>)| {
        let mut seen = Vec::new();
        read(&mut |record| {
            seen.push((record.position, record.payload.to_vec()));
            ControlFlow::Continue(())
        });
        all.push(seen);
    };
    ask(&|visit| log.scan(1, u64::MAX, visit).unwrap());
    for n in 0..STREAMS {
        ask(&|visit| log.read_stream(&stream(&format!("s/{n}")), u64::MAX, visit).unwrap());
    }
    for n in [0, 17, 49, 50] {
        let query = Query { correlation: Some(format!("c{n}")), ..Query::default() };
        ask(&|visit| log.find(&query, visit).unwrap());
        ask(&|visit| log.find_back(&query, visit).unwrap());
    }
    all
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut found = files(&directory.join("segments"));
    found.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    found
}

#[test]
fn a_deleted_store_is_made_again_while_answers_stay_right() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    assert!(path.join("store/2026-11.done").exists() && path.join("store/2026-12").exists());
    assert!(segments(path).len() > 4);
    let before = answers(&open(path));
    fs::remove_dir_all(path.join("store")).unwrap();
    let log = open(path);
    assert_eq!(answers(&log), before);
    settle(&log);
    assert_eq!(answers(&log), before);
    drop(log);
    assert!(path.join("store/2026-11.done").exists());
    let log = open(path);
    assert_eq!(settle(&log).trouble, None);
    assert_eq!(answers(&log), before);
}

/// What each filter of a month says of its layout; `change` may write something else there.
fn layouts(directory: &Path, month: &str, change: Option<u32>) -> Vec<u32> {
    let db = sled::open(directory.join("store").join(month)).unwrap();
    let filters = db.open_tree("blooms").unwrap();
    let mut found = Vec::new();
    for entry in &filters {
        let (key, piece) = entry.unwrap();
        // Pieces behind the first one say nothing.
        if key.ends_with(&[0, 0]) {
            found.push(u32::from_le_bytes(piece[20..24].try_into().unwrap()));
            let mut piece = piece.to_vec();
            piece[20..24].copy_from_slice(&change.unwrap_or(found[0]).to_le_bytes());
            filters.insert(key, piece).unwrap();
        }
    }
    db.flush().unwrap();
    found
}

#[test]
fn filters_of_an_earlier_layout_are_made_again_in_complete_months_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    let now = ["2026-11", "2026-12"].map(|month| layouts(path, month, Some(8)));
    assert!(now.iter().all(|month| !month.is_empty() && month.iter().all(|it| *it == 256)));
    assert!(layouts(path, "2026-11", None).iter().all(|it| *it == 8));
    let done = path.join("store/2026-11.done");
    let end = fs::read_to_string(&done).unwrap();
    fs::write(&done, end.split(' ').next().unwrap()).unwrap();
    let log = open(path);
    assert_eq!(answers(&log), before);
    assert_eq!(settle(&log).trouble, None);
    assert_eq!(answers(&log), before);
    drop(log);
    assert_eq!(["2026-11", "2026-12"].map(|month| layouts(path, month, None)), now);
    assert_eq!(fs::read_to_string(&done).unwrap(), end);
}

#[test]
fn flipped_bytes_in_the_store_change_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    let mut struck = 0;
    for round in 0..24_usize {
        let victims = files(&path.join("store"));
        let victims: Vec<_> =
            victims.iter().filter(|path| fs::metadata(path).unwrap().len() > 64).collect();
        let victim = victims[round % victims.len()];
        let mut bytes = fs::read(victim).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let at = (used * (round * 7 + 3) / 180) % used;
        bytes[at] ^= 1 << (round % 8);
        fs::write(victim, bytes).unwrap();
        let log = open(path);
        assert_eq!(answers(&log), before, "round {round}: byte {at} of {}", victim.display());
        let store = settle(&log);
        assert_eq!(answers(&log), before, "round {round}: byte {at} of {}", victim.display());
        struck += usize::from(store.trouble.is_some());
    }
    assert!(struck > 0, "no flip was ever noticed");
}

#[test]
fn a_store_that_died_while_opening_is_set_aside_untried() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    fs::write(path.join("store/2026-12.opening"), b"").unwrap();
    let log = open(path);
    let store = settle(&log);
    assert!(store.trouble.unwrap().contains("did not end"));
    assert_eq!(answers(&log), before);
    assert!(path.join("set-aside/store-2026-12-0").exists());
}

#[test]
fn a_store_that_hangs_while_opening_is_set_aside_and_answers_come_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    // To open a pipe is to wait for somebody who writes to it.
    let conf = path.join("store/2026-12/conf");
    fs::remove_file(&conf).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&conf).status().unwrap().success());
    let options = Options { store_limit: Duration::from_millis(200), ..options() };
    let log = LocalLog::open(path, &options, Outcomes::default()).unwrap();
    assert_eq!(answers(&log), before);
    assert!(settle(&log).trouble.unwrap().contains("took too long"));
    assert_eq!(answers(&log), before);
    // Lets the thread end that still waits.
    let pipe = path.join("set-aside/store-2026-12-0/conf");
    drop(fs::OpenOptions::new().write(true).open(pipe).unwrap());
}

#[test]
fn a_damaged_sealed_segment_is_answered_from_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    for victim in segments(path).iter().rev().skip(1) {
        let mut bytes = fs::read(victim).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        fs::write(victim, bytes).unwrap();
    }
    let log = open(path);
    assert_eq!(answers(&log), before);
    assert!(log.status().store.unwrap().trouble.unwrap().contains("at offset"));
}

#[test]
fn what_the_open_segment_lost_comes_back_from_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    let last = segments(path).pop().unwrap();
    let whole = fs::read(&last).unwrap();
    for cut in [whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&last, &whole[..cut]).unwrap();
        let log = open(path);
        assert!(log.opened().repaired_blocks > 0);
        assert_eq!(answers(&log), before);
        drop(log);
        assert_eq!(fs::read(&last).unwrap(), whole);
        // And a flipped byte in the middle, with later groups behind it.
        let mut bytes = whole.clone();
        bytes[cut - 1] ^= 1;
        fs::write(&last, bytes).unwrap();
        let log = open(path);
        assert_eq!(answers(&log), before);
        drop(log);
        assert_eq!(fs::read(&last).unwrap(), whole);
    }
}

#[test]
fn newest_segments_that_are_gone_come_back_from_the_store() {
    // The journal went on at positions that had been acknowledged.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    let all = segments(path);
    let originals: Vec<_> = all.iter().map(|file| fs::read(file).unwrap()).collect();
    for gone in [1, 2, all.len()] {
        for file in all.iter().rev().take(gone) {
            fs::remove_file(file).unwrap();
        }
        let options = VerifyOptions::default();
        let report = verify(path, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
        assert!(!report.is_good(), "{gone} gone");
        assert!(report.findings[0].text.contains("the file is gone"), "{report:?}");
        let log = open(path);
        assert!(log.opened().repaired_blocks > 0);
        assert_eq!(answers(&log), before, "{gone} gone");
        assert_eq!(settle(&log).trouble, None, "{gone} gone");
        drop(log);
        let now: Vec<_> = all.iter().map(|file| fs::read(file).unwrap()).collect();
        assert_eq!(now, originals, "{gone} gone");
    }
}

#[test]
fn verify_makes_every_segment_again_that_the_store_has() {
    // It said of each that its events were lost, and good of the newest.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let before = answers(&open(path));
    let all = segments(path);
    let originals: Vec<_> = all.iter().map(|file| fs::read(file).unwrap()).collect();
    let check = |repair| {
        let options = VerifyOptions { repair, ..VerifyOptions::default() };
        verify(path, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap()
    };
    let last = all.len() - 1;
    for gone in [vec![0], vec![1], vec![last], vec![0, 1, 2], (0..=last).collect()] {
        for index in &gone {
            fs::remove_file(&all[*index]).unwrap();
        }
        let named = check(false).findings;
        let named: Vec<_> = named.iter().map(|it| (&it.file, it.text.as_str())).collect();
        let whole = "the file is gone; the store has the segment whole";
        let mut wanted: Vec<_> = gone.iter().map(|index| (&all[*index], whole)).collect();
        // The newest is looked for first.
        wanted.reverse();
        assert_eq!(named, wanted, "{gone:?}");
        let healed = check(true);
        let files = healed.findings.iter().filter(|finding| finding.text.contains("is gone"));
        assert!(healed.is_good() && files.count() == gone.len(), "{gone:?}: {healed:?}");
        assert_eq!(check(false).findings, [], "{gone:?}");
        let now: Vec<_> = all.iter().map(|file| fs::read(file).unwrap()).collect();
        assert_eq!(now, originals, "{gone:?}");
    }
    assert_eq!(answers(&open(path)), before);
}

#[test]
fn of_segments_that_are_gone_only_what_the_store_has_not_is_said_to_be_lost() {
    // Beside the line that the store has the segment stood one that its positions are lost.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let all = segments(path);
    let second: u64 = all[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    {
        let db = sled::open(path.join("store/2026-11")).unwrap();
        let blocks = db.open_tree("blocks").unwrap();
        for entry in blocks.range(..second.to_be_bytes()) {
            blocks.remove(entry.unwrap().0).unwrap();
        }
        db.flush().unwrap();
    }
    fs::remove_file(&all[0]).unwrap();
    fs::remove_file(&all[1]).unwrap();
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    let found: Vec<_> = report.findings.iter().map(|it| (it.position, it.text.as_str())).collect();
    let whole = (second, "the file is gone; the store has the segment whole");
    let lost = format!("a segment is missing: positions 1 to {} are lost", second - 1);
    assert_eq!(found, [whole, (1, lost.as_str())]);
}

#[test]
fn a_store_ahead_of_its_segments_by_more_than_they_can_take_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    // A copy from before, as an operator might put back by hand, in which history went on
    // otherwise.
    let other = tempfile::tempdir().unwrap();
    fill(other.path());
    fs::remove_dir_all(path.join("store")).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(other.path().join("store"))
        .arg(path.join("store"))
        .status();
    assert!(copied.unwrap().success());
    let before = answers(&open(other.path()));
    let log = open(path);
    assert!(settle(&log).trouble.unwrap().contains("another journal"));
    assert_eq!(answers(&log), before);
}

#[test]
fn leaves_of_sealed_segments_are_hashed_when_there_is_little_else_to_do() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let log = open(directory.path());
    let sealed = log.status().segments - 1;
    let made = || {
        let months = fs::read_dir(directory.path().join("proofs")).into_iter().flatten();
        let names = months.flat_map(|month| fs::read_dir(month.unwrap().path()).unwrap());
        let names = names.map(|file| file.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|end| end == "leaves")).count()
    };
    let mut tries = 0;
    while made() < sealed {
        tries += 1;
        assert!(tries < 2000, "{} of {sealed} files were made", made());
        // Each record that comes is a stride of the follower.
        let at_us = 1_800_305_600_000_000 + tries;
        log.submit(append("s/calm", tries - 1, 1, at_us)).unwrap();
        log.wait_beyond(u64::MAX - 1, Duration::from_millis(5));
    }
}
