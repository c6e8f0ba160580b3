//! Journals of released formats open and read the same for ever.
//!
//! `MAINSTAY_MAKE_FIXTURES=1 cargo test -p mainstay-journal --test format` writes the fixture of
//! the present format if it is missing; a released one is never written again.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed setup is a failed test"
)]

use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::{
    Cursor, EventLog as _, LocalLog, Options, ReadLog, Reader, Request, Tag, VerifyOptions, verify,
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

/// Every field of every record, as text.
fn told(log: &dyn ReadLog) -> String {
    let mut text = String::new();
    log.scan(1, u64::MAX, &mut |record| {
        let mut leaf = String::new();
        for byte in record.leaf() {
            let _ = write!(leaf, "{byte:02x}");
        }
        let _ = writeln!(
            text,
            "{} {} v{} after {} type {}.{} at {} by {} for {:?} in {:?} because {:?} tags {:?} payload {:?}\n  leaf {leaf}",
            record.cursor(),
            record.stream,
            record.version,
            record.previous,
            record.type_id,
            record.schema,
            record.at_us,
            record.principal,
            record.request,
            record.correlation,
            record.causation,
            record.tags().collect::<Vec<_>>(),
            record.payload,
        );
        ControlFlow::Continue(())
    })
    .unwrap();
    text
}

fn make(directory: &Path) {
    let options = Options {
        segment_bytes: 2000,
        store: false,
        spares: 0,
        journal_id: Some(*b"mainstay-format1"),
        ..Options::default()
    };
    let (log, mut writer) =
        LocalLog::open_manual(directory, &options, Outcomes::default()).unwrap();
    for n in 0..20_u64 {
        let at_us = 1_795_305_600_000_000 + n * 100_000_000_000;
        let mut next = append(&format!("kind/{}", n % 3), n / 3 * 2, 2, at_us);
        if n % 4 == 1 {
            next.envelope.request = Some(Request { id: format!("r{n}").into(), fingerprint: n });
            next.envelope.correlation = Some("trace".into());
            next.envelope.causation = Some(Cursor { epoch: 1, position: n });
            next.drafts[0].tags.push(Tag { key: 9, value: "ü".into() });
            next.drafts[1].payload = Vec::new();
        }
        log.submit(next).unwrap();
        if n % 2 == 0 {
            writer.turn();
        }
    }
    writer.turn();
    log.close();
    writer.turn();
}

#[test]
fn a_journal_of_format_1_reads_as_it_did_when_it_was_released() {
    let fixture = fixture();
    if std::env::var_os("MAINSTAY_MAKE_FIXTURES").is_some() && !fixture.exists() {
        make(&fixture.join("journal"));
        fs::remove_file(fixture.join("journal/LOCK")).unwrap();
        fs::write(fixture.join("told.txt"), told(&Reader::open(fixture.join("journal")).unwrap()))
            .unwrap();
    }
    let wanted = fs::read_to_string(fixture.join("told.txt")).unwrap();
    assert_eq!(wanted.lines().count(), 80);
    assert_eq!(told(&Reader::open(fixture.join("journal")).unwrap()), wanted);
    // A writer opens a copy and goes on in it.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&fixture.join("journal"), copy.path());
    let log = LocalLog::open(copy.path(), &Options::default(), Outcomes::default()).unwrap();
    assert_eq!(told(&log), wanted);
    log.submit(append("kind/new", 0, 1, u64::MAX / 2)).unwrap();
    assert_eq!(log.wait_beyond(40, std::time::Duration::from_secs(5)).position, 41);
    drop(log);
    let report =
        verify(copy.path(), &VerifyOptions::default(), &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    assert_eq!((report.records, report.findings), (41, vec![]));
}

#[test]
fn what_is_written_now_is_byte_for_byte_what_format_1_was() {
    let fresh = tempfile::tempdir().unwrap();
    make(fresh.path());
    let mut compared = 0;
    for month in fs::read_dir(fixture().join("journal/segments")).unwrap() {
        let month = month.unwrap().file_name();
        for file in fs::read_dir(fixture().join("journal/segments").join(&month)).unwrap() {
            let name = file.unwrap().file_name();
            let at =
                |root: &Path| fs::read(root.join("segments").join(&month).join(&name)).unwrap();
            assert_eq!(at(fresh.path()), at(&fixture().join("journal")), "{name:?}");
            compared += 1;
        }
    }
    assert!(compared >= 3);
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
