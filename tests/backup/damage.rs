//! What is missing, changed, cut short or of others is named, and makes no journal.

use std::fs;
use std::path::PathBuf;

use mainstay::backup::{BackupError, Checking, Identities, check, find, list, lock, unlock};
use mainstay::journal::plant::Until;
use mainstay::journal::{Keyring, ReadLog as _, Reader};

use crate::journal::{Rig, now};

/// The files of a folder of the target, by name.
fn files(rig: &Rig, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![rig.path("target").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Three backups in a directory, each with a piece of its own.
fn three() -> Rig {
    let rig = Rig::on_disk();
    for _ in 0..3 {
        rig.grown(5);
    }
    assert_eq!(files(&rig, "pieces").len(), 3);
    rig
}

fn refused(rig: &Rig, what: &str) -> BackupError {
    let refused = rig.restore("new", Until::End).err().ok_or(what).unwrap();
    assert!(Reader::open(rig.path("new")).is_err(), "{what}: it looks whole");
    refused
}

#[test]
fn a_missing_middle_piece_is_named_and_what_is_before_it_can_be_had() {
    let rig = three();
    let backups = list(&rig.target).unwrap().backups;
    let first = backups[2].manifest.clone();
    fs::remove_file(&files(&rig, "pieces")[1]).unwrap();
    let refused = refused(&rig, "a piece is missing");
    let BackupError::Gap { gap, .. } = refused else { panic!("{refused}") };
    assert_eq!((gap.first, gap.last), (first.position + 1, backups[1].manifest.position));
    let mut restoring = rig.restoring(Until::End);
    restoring.backup = Some(&first.id);
    assert_eq!(rig.restore_as("new", &restoring).unwrap().fork, first.head());
}

#[test]
fn a_byte_that_was_changed_and_an_object_that_was_cut_are_named() {
    let rig = three();
    for file in files(&rig, "pieces") {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for wrong in [&flipped[..], &whole[..whole.len() - 1], &[]] {
            fs::write(&file, wrong).unwrap();
            let refused = refused(&rig, "a changed piece");
            assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
            assert!(refused.to_string().contains(file.file_name().unwrap().to_str().unwrap()));
        }
        fs::write(&file, whole).unwrap();
    }
    for file in files(&rig, "keys") {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let refused = refused(&rig, "cut keys");
        assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
        fs::write(&file, whole).unwrap();
    }
    rig.restore("new", Until::End).unwrap();
}

#[test]
fn a_wrong_key_writes_nothing() {
    let mut rig = three();
    let (other, _) = Identities::generate();
    rig.identities = Identities::parse(&other).unwrap();
    let refused = rig.restore("new", Until::End).unwrap_err();
    assert!(matches!(refused, BackupError::OtherKey { .. }), "{refused}");
    assert!(!rig.path("new").exists());
}

#[test]
fn a_backup_of_a_newer_version_is_refused_by_its_name() {
    let rig = three();
    let manifest = files(&rig, "backups").pop().unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let id = manifest.file_stem().unwrap().to_str().unwrap().to_owned();
    let refused = find(&rig.target, &id).unwrap_err();
    assert!(matches!(refused, BackupError::Newer { found: 2, known: 1, .. }), "{refused}");
    let held = list(&rig.target).unwrap();
    assert_eq!((held.backups.len(), held.bad.len()), (2, 1));
    assert!(held.bad[0].1.contains("use the version that wrote it"));
}

#[test]
fn a_directory_that_holds_something_is_left_as_it_is() {
    let rig = three();
    fs::create_dir(rig.path("new")).unwrap();
    fs::write(rig.path("new").join("notes"), "mine").unwrap();
    let refused = rig.restore("new", Until::End).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    assert_eq!(fs::read_to_string(rig.path("new").join("notes")).unwrap(), "mine");
    // A journal is never written over, either.
    let refused = rig.restore("data", Until::End).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    assert_eq!(rig.reader().head().position, list(&rig.target).unwrap().shipped.unwrap());
}

#[test]
fn a_backup_is_read_back_whole_or_by_samples() {
    let rig = three();
    let manifest = list(&rig.target).unwrap().backups.remove(0).manifest;
    let checking = |identities, sample| Checking {
        identities,
        keyring: Keyring::default(),
        sample,
        seed: 1,
        now: now(),
    };
    for identities in [None, Some(&rig.identities)] {
        let read = check(&rig.target, &manifest, &checking(identities, 100), &mut |_, _| {});
        let read = read.unwrap();
        assert_eq!((read.objects, read.of, read.opened), (3, 3, identities.is_some()));
        assert_eq!(list(&rig.target).unwrap().backups[0].verified, Some(read));
    }
    // The newest object is always among the sample.
    let read = check(&rig.target, &manifest, &checking(None, 1), &mut |_, _| {}).unwrap();
    assert!((1..3).contains(&read.objects), "{read:?}");
    let newest = files(&rig, "pieces").pop().unwrap();
    let mut flipped = fs::read(&newest).unwrap();
    flipped[9] ^= 1;
    fs::write(&newest, flipped).unwrap();
    let damaged = check(&rig.target, &manifest, &checking(None, 1), &mut |_, _| {}).unwrap_err();
    assert!(matches!(damaged, BackupError::Damaged { .. }), "{damaged}");
}

#[test]
fn a_passphrase_opens_the_key_that_opens_backups() {
    let (identity, _) = Identities::generate();
    let locked = lock("correct horse", &identity).unwrap();
    assert_eq!(*unlock("correct horse", &locked).unwrap(), *identity);
    assert!(unlock("wrong", &locked).is_err());
}
