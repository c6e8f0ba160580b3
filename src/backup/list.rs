//! Which backups a target has.

use std::collections::HashSet;

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

/// Every backup that can be read, the newest first.
pub(super) fn all(target: &Target) -> Result<Vec<Manifest>, BackupError> {
    let mut all = Vec::new();
    for entry in entries(target)? {
        match read(target, &entry.name) {
            Ok(manifest) => all.push(manifest),
            Err(error @ BackupError::Target(_)) => return Err(error),
            Err(_) => {},
        }
    }
    all.sort_by_key(|it| std::cmp::Reverse((it.epoch, it.position, it.made_at)));
    Ok(all)
}

/// The pieces that backups name.
pub(super) struct Named {
    pieces: HashSet<String>,
    /// One cannot be read: it may name any.
    any: bool,
}

impl Named {
    /// Whether a piece is needed as it is.
    pub(super) fn has(&self, piece: &str) -> bool {
        self.any || self.pieces.contains(piece)
    }
}

/// The pieces that some backup names.
pub(super) fn named(target: &Target) -> Result<Named, BackupError> {
    let all = all(target)?;
    let any = all.len() < entries(target)?.len();
    let pieces = all.into_iter().flat_map(|it| it.pieces).map(|piece| piece.name).collect();
    Ok(Named { pieces, any })
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
