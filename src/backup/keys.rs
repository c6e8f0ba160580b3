//! The keys of subjects in a target: one mutable copy beside all backups, never in one.
//!
//! ```text
//!   {data}/keys/subjects ─► keys/subjects/000000.age, …    256 KiB each, written over when one changes
//!   {data}/secret, signing/keyring ─► keys/head.age
//!   SubjectErased at 1-4711 ─► keys/erased/0000000001-…4711.age     read again by every restore
//! ```
//!
//! What was destroyed here is written over there, so no older copy of a key is left in the target.
//! A bucket that keeps versions of its objects keeps keys, too: turn that off, or let old versions of
//! `keys/` expire.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::subject::SubjectEvent;
use mainstay_journal::{Cursor, Query, ReadLog};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::BackupError;
use super::seal::{Identities, Recipients, UnsealError};
use super::target::Target;

const SUBJECTS: &str = "keys/subjects";
const HEAD: &str = "keys/head.age";
const ERASED: &str = "keys/erased";
/// Bytes of the file of keys that an object holds.
const SHARD_BYTES: usize = 256 * 1024;

/// Whether the target may still be written to.
pub(super) type Confirm<'c> = &'c dyn Fn() -> Result<(), BackupError>;

/// What is needed beside the keys themselves.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    /// `secret`, in hexadecimal digits: it finds the keys, and checks what clients hold.
    secret: String,
    /// Public halves of every key that ever signed.
    signed_by: Vec<String>,
}

/// Ships keys as they change.
#[derive(Debug)]
pub(super) struct KeyShipper {
    data: PathBuf,
    /// What each shard was when it was last shipped.
    shards: Vec<u64>,
    head: Option<u64>,
    /// The file of keys as it was, and how often it has been so: times are coarse, so what looks
    /// the same is read once more.
    seen: (Option<(SystemTime, u64)>, u32),
    /// Erasures up to here are told.
    erased: u64,
}

impl KeyShipper {
    pub(super) fn of(data: &Path) -> Self {
        Self { data: data.to_owned(), shards: Vec::new(), head: None, seen: (None, 0), erased: 0 }
    }

    /// Ships what has changed since, keys first: what follows in the journal may need them.
    pub(super) fn ship(
        &mut self,
        log: &dyn ReadLog,
        target: &Target,
        recipients: &Recipients,
        confirm: Confirm<'_>,
    ) -> Result<(), BackupError> {
        self.ship_head(target, recipients, confirm)?;
        self.ship_subjects(target, recipients, confirm)?;
        self.ship_erased(log, target, recipients)
    }

    fn ship_subjects(
        &mut self,
        target: &Target,
        recipients: &Recipients,
        confirm: Confirm<'_>,
    ) -> Result<(), BackupError> {
        let path = self.data.join("keys").join("subjects");
        let now = fs::metadata(&path).ok();
        let now = now.and_then(|file| Some((file.modified().ok()?, file.len())));
        if now == self.seen.0 && self.seen.1 > 0 {
            return Ok(());
        }
        let again = u32::from(now == self.seen.0);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(here(&path, &error)),
        };
        for (number, shard) in bytes.chunks(SHARD_BYTES).enumerate() {
            let sum = xxhash_rust::xxh3::xxh3_64(shard);
            if self.shards.get(number) == Some(&sum) {
                continue;
            }
            let sealed = recipients.seal(shard).map_err(|error| here(&path, &error))?;
            confirm()?;
            target.put(&format!("{SUBJECTS}/{number:06}.age"), sealed)?;
            if self.shards.len() <= number {
                self.shards.resize(number + 1, 0);
            }
            if let Some(known) = self.shards.get_mut(number) {
                *known = sum;
            }
        }
        self.seen = (now, again);
        Ok(())
    }

    fn ship_head(
        &mut self,
        target: &Target,
        recipients: &Recipients,
        confirm: Confirm<'_>,
    ) -> Result<(), BackupError> {
        let path = self.data.join("secret");
        let secret = match fs::read(&path) {
            Ok(secret) => Zeroizing::new(secret),
            // Nothing was ever sealed or signed here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(here(&path, &error)),
        };
        let signed_by = fs::read_to_string(self.data.join("signing").join("keyring"));
        let signed_by = signed_by.unwrap_or_default();
        let lines = signed_by.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        let head =
            Head { format: 1, secret: super::piece::hex(&secret), signed_by: lines.collect() };
        let text = Zeroizing::new(serde_json::to_vec(&head).unwrap_or_default());
        let sum = xxhash_rust::xxh3::xxh3_64(&text);
        if self.head != Some(sum) {
            let sealed = recipients.seal(&text).map_err(|error| here(&path, &error))?;
            confirm()?;
            target.put(HEAD, sealed)?;
            self.head = Some(sum);
        }
        Ok(())
    }

    fn ship_erased(
        &mut self,
        log: &dyn ReadLog,
        target: &Target,
        recipients: &Recipients,
    ) -> Result<(), BackupError> {
        let mut erased = Vec::new();
        // Of dropped months every subject's state is in the base.
        let after = self.erased.max(log.base().map_or(0, |base| base.head().position));
        let query = Query { types: erasures(), after, ..Query::default() };
        let upto = log.head().position;
        log.find(&query, &mut |record| {
            erased.push((record.cursor(), record.stream.to_owned()));
            ControlFlow::Continue(())
        })?;
        let known: BTreeSet<String> = if erased.is_empty() {
            BTreeSet::new()
        } else {
            target.list(ERASED)?.into_iter().map(|entry| entry.name).collect()
        };
        for (Cursor { epoch, position }, stream) in erased {
            let object = format!("{ERASED}/{epoch:010}-{position:020}.age");
            if known.contains(&object) {
                continue;
            }
            let sealed = recipients.seal(stream.as_bytes());
            let sealed = sealed.map_err(|error| here(&self.data, &error))?;
            target.create(&object, sealed)?;
        }
        self.erased = self.erased.max(upto);
        Ok(())
    }
}

/// What a restore finds of keys.
#[derive(Default)]
pub(super) struct Keys {
    /// The file of keys, whole; empty if there is none.
    subjects: Zeroizing<Vec<u8>>,
    head: Option<Head>,
    /// Streams of subjects that were erased, at whatever position.
    pub(super) erased: Vec<String>,
}

impl Keys {
    pub(super) fn read(target: &Target, identities: &Identities) -> Result<Self, BackupError> {
        let open = |object: &str| -> Result<Option<Zeroizing<Vec<u8>>>, BackupError> {
            let Some(sealed) = target.get(object)? else { return Ok(None) };
            let opened = identities.open(&sealed);
            opened.map(|plain| Some(Zeroizing::new(plain))).map_err(|error| unsealed(object, error))
        };
        let mut keys = Self::default();
        if let Some(text) = open(HEAD)? {
            let damaged = || BackupError::Damaged {
                object: HEAD.to_owned(),
                reason: "it holds no keys".to_owned(),
            };
            let head: Head = serde_json::from_slice(&text).map_err(|_| damaged())?;
            if head.format > 1 {
                let (object, found) = (HEAD.to_owned(), head.format);
                return Err(BackupError::Newer { object, found, known: 1 });
            }
            keys.head = Some(head);
        }
        for (number, entry) in target.list(SUBJECTS)?.iter().enumerate() {
            let expected = format!("{SUBJECTS}/{number:06}.age");
            if entry.name != expected {
                let reason = "it is gone, and later ones are there".to_owned();
                return Err(BackupError::Damaged { object: expected, reason });
            }
            let shard = open(&entry.name)?.unwrap_or_default();
            keys.subjects.extend_from_slice(&shard);
        }
        for entry in target.list(ERASED)? {
            let stream = open(&entry.name)?.unwrap_or_default();
            keys.erased.push(String::from_utf8_lossy(&stream).into_owned());
        }
        Ok(keys)
    }

    /// Writes them into a data directory, for its owner only.
    pub(super) fn write(&self, data: &Path) -> Result<(), BackupError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let folder = |name: &str| -> io::Result<PathBuf> {
            let path = data.join(name);
            fs::DirBuilder::new().mode(0o700).create(&path)?;
            Ok(path)
        };
        let write = || -> io::Result<()> {
            if !self.subjects.is_empty() {
                write_private(&folder("keys")?.join("subjects"), &self.subjects)?;
            }
            let Some(head) = &self.head else { return Ok(()) };
            let secret = super::piece::unhex::<32>(&head.secret).map(Zeroizing::new);
            let secret = secret.ok_or_else(|| io::Error::other("the secret is not 32 bytes"))?;
            write_private(&data.join("secret"), &secret[..])?;
            if !head.signed_by.is_empty() {
                let lines = format!("{}\n", head.signed_by.join("\n"));
                write_private(&folder("signing")?.join("keyring"), lines.as_bytes())?;
            }
            fs::File::open(data)?.sync_all()
        };
        write().map_err(|error| here(data, &error))
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// The type of `SubjectErased`.
pub(super) fn erasures() -> Vec<u16> {
    let named = SubjectEvent::catalogue().iter().filter(|(name, _)| *name == "SubjectErased");
    named.map(|(_, type_id)| *type_id).collect()
}

pub(super) fn unsealed(object: &str, error: UnsealError) -> BackupError {
    let object = object.to_owned();
    match error {
        UnsealError::OtherKey => BackupError::OtherKey { object },
        UnsealError::Damaged(reason) => BackupError::Damaged { object, reason },
    }
}

fn here(path: &Path, error: &dyn std::fmt::Display) -> BackupError {
    BackupError::Here(format!("{}: {error}", path.display()))
}
