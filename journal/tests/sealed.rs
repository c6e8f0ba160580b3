//! Blocks at rest under a key: nothing of a record lies in any byte, keys rotate, and a journal
//! whose key is not at hand is refused before anything is written.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed setup is a failed test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append, stream};
use mainstay_journal::{
    EventLog as _, Head, Keyring, KeyringError, LocalLog, OpenError, Options, ReadLog, Reader,
    Reading, Snapshot, VerifyOptions, verify,
};

const CANARY: &str = "canary-of-the-mine";

/// A file of so many keys.
struct Keys {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.key");
        write(&path, "# the first is the oldest\n");
        let mut keys = Self { _folder: folder, path };
        keys.rotate();
        keys
    }

    fn rotate(&mut self) {
        let text = fs::read_to_string(&self.path).unwrap();
        write(&self.path, &format!("{text}{}\n\n", *Keyring::new_line().unwrap()));
    }

    fn ring(&self) -> Keyring {
        Keyring::read(&self.path).unwrap()
    }

    /// The keys without one of them.
    fn without(&self, index: usize) -> Keyring {
        let text = fs::read_to_string(&self.path).unwrap();
        let mut lines: Vec<&str> = text.lines().filter(|it| it.starts_with("mainstay")).collect();
        lines.remove(index);
        let part = self.path.with_extension("part");
        write(&part, &lines.join("\n"));
        Keyring::read(&part).unwrap()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn options(keyring: &Keyring) -> Options {
    let keyring = keyring.clone();
    Options { segment_bytes: 20_000, spares: 0, keyring, ..Options::default() }
}

fn open(directory: &Path, keyring: &Keyring) -> LocalLog {
    LocalLog::open(directory, &options(keyring), Outcomes::default()).unwrap()
}

/// Appends `count` records with the canary in every text, and waits until the store has them.
fn fill(log: &LocalLog, count: u64) {
    let first = log.head().position;
    for n in first..first + count {
        let mut next = append(&format!("s/{CANARY}"), n, 1, n);
        next.drafts[0].payload = format!("{CANARY}-{n}-{}", "x".repeat(100)).into();
        next.envelope.principal = CANARY.into();
        next.envelope.correlation = Some(format!("{CANARY}-{n}").into());
        log.submit(next).unwrap();
    }
    log.wait_beyond(first + count - 1, Duration::from_secs(10));
    settle(log);
}

/// Waits until the store has everything.
fn settle(log: &LocalLog) {
    let mut tries = 0;
    while log.status().store.is_some_and(|store| store.reached != log.head().position) {
        tries += 1;
        assert!(tries < 2_000, "the store does not arrive");
        log.wait_beyond(u64::MAX - 1, Duration::from_millis(5));
    }
}

fn payloads(log: &dyn ReadLog) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    log.scan(1, u64::MAX, &mut |record| {
        all.push(record.payload.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn holding(directory: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    files(directory).into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
}

fn kept(log: &LocalLog) -> Vec<u8> {
    let mut bytes = Vec::new();
    log.kept("checkpoint").unwrap().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn read(directory: &Path, keyring: &Keyring) -> Result<Reader, OpenError> {
    let keyring = keyring.clone();
    Reader::open_with(directory, Reading { keyring, ..Reading::default() })
}

#[test]
fn no_text_of_a_record_a_snapshot_or_a_kept_file_lies_in_any_byte() {
    let keys = Keys::new();
    for (keyring, plain) in [(Keyring::default(), true), (keys.ring(), false)] {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), &keyring);
        let name = stream(&format!("s/{CANARY}"));
        let head = Head { version: 64, position: 64 };
        let snapshot =
            Snapshot { stream: name.clone(), head, bytes: CANARY.repeat(500).into_bytes() };
        fill(&log, 10);
        log.keep_snapshot(snapshot.clone());
        let text = CANARY.repeat(9_000);
        log.keep("checkpoint", &mut |out| out.write_all(text.as_bytes())).unwrap();
        fill(&log, 500);
        log.close();
        drop(log);
        let found = holding(directory.path(), CANARY);
        assert_eq!(found.is_empty(), !plain, "{found:?}");
        let log = open(directory.path(), &keyring);
        assert_eq!(payloads(&log).len(), 510);
        settle(&log);
        assert!(log.snapshot(&name).is_some_and(|found| found == snapshot));
        assert_eq!(kept(&log), text.as_bytes());
        log.close();
        let reader = read(directory.path(), &keyring).unwrap();
        assert_eq!(payloads(&reader), payloads(&log));
    }
}

#[test]
fn a_new_key_seals_what_comes_and_opens_nothing_that_was() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    // In the plain first, then under one key, then under the next: one chain.
    let log = open(data, &Keyring::default());
    fill(&log, 100);
    log.close();
    drop(log);
    let mut keys = Keys::new();
    for _ in 0..2 {
        let log = open(data, &keys.ring());
        fill(&log, 300);
        log.close();
        drop(log);
        keys.rotate();
    }
    let ring = keys.ring();
    let report = verify(
        data,
        &VerifyOptions { keyring: ring.clone(), ..VerifyOptions::default() },
        &mut |_, _| {},
        &mut |_| Ok(()),
    );
    let report = report.unwrap();
    assert!(report.is_good() && report.store_checked, "{:?}", report.findings);
    assert_eq!(report.records, 700);
    assert_eq!(payloads(&open(data, &ring)).len(), 700);
    // The newest key has sealed nothing yet; it is not needed to read.
    assert_eq!(payloads(&open(data, &keys.without(2))).len(), 700);
    let ids = ring.ids();
    assert_eq!(ids.len(), 3);
    let before = files(data);
    let others = Keys::new().ring();
    for (keyring, missing) in [
        (Keyring::default(), ids[0]),
        (keys.without(0), ids[0]),
        (keys.without(1), ids[1]),
        (others, ids[0]),
    ] {
        let missing = format!("{missing:08x}");
        let refused = |error: OpenError| {
            let text = error.to_string();
            assert!(matches!(error, OpenError::Sealed { .. }), "{text}");
            assert!(text.contains(&missing) && text.contains("journal.key_file"), "{text}");
        };
        refused(LocalLog::open(data, &options(&keyring), Outcomes::default()).unwrap_err());
        refused(read(data, &keyring).unwrap_err());
        for repair in [false, true] {
            let options =
                VerifyOptions { repair, keyring: keyring.clone(), ..VerifyOptions::default() };
            refused(verify(data, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap_err());
        }
    }
    let store = data.join("store");
    let apart = |files: BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
        files.into_iter().filter(|(path, _)| !path.starts_with(&store)).collect()
    };
    assert_eq!(apart(files(data)), apart(before), "a refusal has written something");
}

#[test]
fn each_key_begins_a_segment_so_that_none_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut keys = Keys::new();
    let large = |keyring: &Keyring| Options { segment_bytes: 16 << 20, ..options(keyring) };
    for round in 0..3 {
        let log = LocalLog::open(data, &large(&keys.ring()), Outcomes::default()).unwrap();
        fill(&log, 10);
        log.close();
        drop(log);
        if round < 2 {
            keys.rotate();
        }
    }
    let segments =
        files(data).into_keys().filter(|it| it.extension().is_some_and(|it| it == "seg"));
    assert_eq!(segments.count(), 3);
    let before = files(&data.join("segments"));
    let error = LocalLog::open(data, &large(&keys.without(1)), Outcomes::default()).unwrap_err();
    let missing = format!("{:08x}", keys.ring().ids()[1]);
    assert!(error.to_string().contains(&missing), "{error}");
    assert_eq!(files(&data.join("segments")), before);
    let log = LocalLog::open(data, &large(&keys.ring()), Outcomes::default()).unwrap();
    assert_eq!(payloads(&log).len(), 30);
}

/// The store alone has the newest group, and its key is not at hand: nothing may be cut.
#[test]
fn what_only_the_store_has_under_a_missing_key_is_never_cut_off() {
    for lost in ["zeros", "rot", "file"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let log = open(data, &Keyring::default());
        fill(&log, 10);
        log.close();
        drop(log);
        let keyring = Keys::new().ring();
        let log = open(data, &keyring);
        fill(&log, 10);
        log.close();
        drop(log);
        let segments = files(data).into_keys();
        let newest =
            segments.filter(|it| it.extension().is_some_and(|it| it == "seg")).max().unwrap();
        let bytes = fs::read(&newest).unwrap();
        match lost {
            "zeros" => fs::write(&newest, vec![0; bytes.len()]).unwrap(),
            "rot" => fs::write(&newest, bytes.iter().map(|it| it ^ 1).collect::<Vec<_>>()).unwrap(),
            _ => fs::remove_file(&newest).unwrap(),
        }
        let before = files(&data.join("segments"));
        let error = LocalLog::open(data, &options(&Keyring::default()), Outcomes::default());
        let error = error.unwrap_err();
        assert!(matches!(error, OpenError::Sealed { .. }), "{lost}: {error}");
        assert_eq!(files(&data.join("segments")), before, "{lost}");
        let log = open(data, &keyring);
        assert_eq!(payloads(&log).len(), 20, "{lost}");
    }
}

#[test]
fn a_flipped_byte_under_a_key_is_healed_from_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let keyring = Keys::new().ring();
    let log = open(data, &keyring);
    fill(&log, 300);
    let expected = payloads(&log);
    log.close();
    drop(log);
    let segments =
        files(data).into_keys().filter(|it| it.extension().is_some_and(|it| it == "seg"));
    let first = segments.min().unwrap();
    let mut bytes = fs::read(&first).unwrap();
    bytes[500] ^= 1;
    fs::write(&first, &bytes).unwrap();
    let options =
        VerifyOptions { repair: true, keyring: keyring.clone(), ..VerifyOptions::default() };
    let report = verify(data, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    assert!(report.is_good() && report.findings.len() == 1, "{:?}", report.findings);
    let log = open(data, &keyring);
    assert_eq!(payloads(&log), expected);
}

#[test]
fn a_file_that_is_no_private_list_of_keys_is_refused_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.key");
    assert!(matches!(Keyring::read(&path), Err(KeyringError::Io { .. })));
    let line = Keyring::new_line().unwrap();
    write(&path, &line);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let open = Keyring::read(&path).unwrap_err();
    assert!(matches!(open, KeyringError::Open { mode: 0o640, .. }));
    assert!(open.to_string().contains("chmod 600"), "{open}");
    write(&path, "# nothing\n\n");
    assert!(matches!(Keyring::read(&path), Err(KeyringError::Empty { .. })));
    for bad in [&line[..line.len() - 1], &line[1..], &format!("{}g", &line[..line.len() - 1])] {
        write(&path, &format!("{}\n{bad}\n", *line));
        let error = Keyring::read(&path).unwrap_err();
        assert!(matches!(error, KeyringError::Line { line: 2, .. }), "{error}");
        assert!(!error.to_string().contains(&line[20..40]), "{error}");
    }
    write(&path, &line);
    let shown = format!("{:?}", Keyring::read(&path).unwrap());
    assert!(!shown.contains(&line[20..40]), "{shown}");
    assert_ne!(*Keyring::new_line().unwrap(), *line);
}
