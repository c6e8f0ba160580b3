//! Which backups a target has.

use mainstay_actors::time::Timestamp;

use super::claim::journal_of;
use super::error::BackupError;
use super::manifest::{FOLDER, Manifest, Verified};
use super::piece::Pieces;
use super::target::{Entry, Target};

/// A backup that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is of.
    pub manifest: Manifest,
    /// When it was written, by the target's clock.
    pub stored_at: Timestamp,
    /// When it was last read back.
    pub verified: Option<Verified>,
}

/// What a target holds.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Backups, the newest first.
    pub backups: Vec<Listed>,
    /// Objects that look like backups and are none that can be used, with the reason.
    pub bad: Vec<(String, String)>,
    /// Everything up to here is shipped; beyond the newest backup it is the tail.
    pub shipped: Option<u64>,
    /// Bytes of all pieces.
    pub size_bytes: u64,
}

/// Lists what a target holds.
///
/// # Errors
/// [`BackupError::NotATarget`], [`BackupError::Newer`], or the target's.
pub fn list(target: &Target) -> Result<Held, BackupError> {
    if journal_of(target)?.is_none() {
        return Err(BackupError::NotATarget { target: target.shown().to_owned() });
    }
    let (mut backups, mut bad) = (Vec::new(), Vec::new());
    for entry in entries(target)? {
        match read(target, &entry.name) {
            Ok(manifest) => {
                let verified = verified(target, &manifest.id)?;
                backups.push(Listed { manifest, stored_at: entry.modified, verified });
            },
            Err(error @ BackupError::Target(_)) => return Err(error),
            Err(error) => bad.push((entry.name, error.to_string())),
        }
    }
    backups.sort_by_key(|it| {
        std::cmp::Reverse((it.manifest.epoch, it.manifest.position, it.manifest.made_at))
    });
    let pieces = Pieces::list(target)?;
    let shipped = pieces.tip(None).map(|piece| piece.last);
    let size_bytes = pieces.iter().map(|piece| piece.size_bytes).sum();
    Ok(Held { backups, bad, shipped, size_bytes })
}

/// The backup of a name.
///
/// # Errors
/// [`BackupError::NoBackup`], that it is damaged, or the target's.
pub fn find(target: &Target, id: &str) -> Result<Manifest, BackupError> {
    let object = Manifest::object(id);
    let named = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let bytes = if named { target.get(&object)? } else { None };
    let target = || target.shown().to_owned();
    let bytes =
        bytes.ok_or_else(|| BackupError::NoBackup { target: target(), id: id.to_owned() })?;
    Ok(Manifest::parse(&object, &bytes)?)
}

/// The newest backup that is fit for a purpose; those that cannot be read are passed over.
pub(super) fn newest(
    target: &Target,
    fits: impl Fn(&Manifest) -> bool,
) -> Result<Option<Manifest>, BackupError> {
    let mut entries = entries(target)?;
    // Names begin with the time; the last ones are the newest, unless a clock went back.
    entries.reverse();
    for entry in entries {
        match read(target, &entry.name) {
            Ok(manifest) if fits(&manifest) => return Ok(Some(manifest)),
            Err(error @ BackupError::Target(_)) => return Err(error),
            _ => {},
        }
    }
    Ok(None)
}

fn entries(target: &Target) -> Result<Vec<Entry>, BackupError> {
    Ok(target.list(FOLDER)?)
}

fn read(target: &Target, object: &str) -> Result<Manifest, BackupError> {
    Ok(Manifest::parse(object, &target.read(object)?)?)
}

fn verified(target: &Target, id: &str) -> Result<Option<Verified>, BackupError> {
    let bytes = target.get(&Manifest::verified_object(id))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
