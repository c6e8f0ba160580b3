//! Every way an open can be refused says what to do.

use std::fs;
use std::sync::Arc;

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{
    EventLog as _, LocalLog, OpenError, Options, ReadLog as _, Reader, Reading, VerifyOptions,
    verify,
};

fn open(path: &std::path::Path) -> Result<LocalLog, OpenError> {
    LocalLog::open(path, &Options { spares: 0, ..Options::default() }, Outcomes::default())
}

#[test]
fn a_second_writer_is_refused_and_the_first_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().contains("another process"));
    first.submit(append("a/1", 0, 1, 1)).unwrap();
    assert_eq!(first.wait_beyond(0, std::time::Duration::from_secs(5)).position, 1);
    drop(first);
    assert_eq!(open(directory.path()).unwrap().head().position, 1);
}

#[test]
fn repair_beside_a_writer_is_refused_and_verify_says_what_it_did_not_check() {
    let directory = tempfile::tempdir().unwrap();
    let _log = open(directory.path()).unwrap();
    let options = VerifyOptions::default();
    let report = verify(directory.path(), &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    assert!(!report.store_checked);
    let repair = VerifyOptions { repair: true, ..options };
    let refused = verify(directory.path(), &repair, &mut |_, _| {}, &mut |_| Ok(()));
    assert!(matches!(refused, Err(OpenError::InUse { .. })));
}

#[test]
fn a_newer_format_is_refused_by_writer_and_reader() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let path = directory.path().join("JOURNAL");
    let text = fs::read_to_string(&path).unwrap().replace("format 1", "format 2");
    fs::write(&path, text).unwrap();
    for error in [open(directory.path()).unwrap_err(), Reader::open(directory.path()).unwrap_err()]
    {
        assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    }
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_journal_is_not_made_unless_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none");
    let options = Options { create: false, ..Options::default() };
    let error = LocalLog::open(&path, &options, Outcomes::default()).unwrap_err();
    assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_changed_identity_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let path = directory.path().join("JOURNAL");
    let text = fs::read_to_string(&path).unwrap().replace("epoch 1", "epoch 2");
    fs::write(&path, text).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn a_read_only_directory_is_refused_as_such() {
    let disk = SimDisk::default();
    let options = Options { store: false, disk: Arc::new(disk.clone()), ..Options::default() };
    drop(LocalLog::open_manual("/j", &options, Outcomes::default()).unwrap());
    disk.set_read_only(true);
    let error = LocalLog::open_manual("/j", &options, Outcomes::default()).unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
    assert!(
        Reader::open_with("/j", Reading { disk: Arc::new(disk), ..Reading::default() }).is_ok()
    );
}
