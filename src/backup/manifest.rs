//! A backup: a name for a moment, and the pieces that lead to it.
//!
//! ```text
//!   backups/20261127T020000Z-1-4711.json      head, block, tree, pieces; plain, for it names no one
//!   verified/20261127T020000Z-1-4711.json     when its objects were last read back, and how
//! ```

use mainstay_actors::time::Timestamp;
use mainstay_journal::Cursor;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::claim::FORMAT;
use super::piece::{Piece, hex};
use super::target::Entry;

/// The folder of all backups.
pub(super) const FOLDER: &str = "backups";
/// The folder of what is known of them since.
const VERIFIED: &str = "verified";

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    mainstay: String,
    format: u32,
    /// Its name.
    pub id: String,
    /// The journal, in hexadecimal digits.
    pub journal: String,
    /// Of its last record.
    pub epoch: u32,
    /// Its last record.
    pub position: u64,
    /// When that happened.
    pub recorded_at: Timestamp,
    /// When it was made, by the clock of who made it.
    pub made_at: Timestamp,
    /// By which version.
    pub version: String,
    /// The hash of the last block, in hexadecimal digits.
    pub block: String,
    /// The root of the Merkle tree over all records, in hexadecimal digits.
    pub tree: String,
    /// Everything up to here was dropped into an archive before: 0 if nothing was.
    pub base: u64,
    /// Pieces in order.
    pub pieces: Vec<Listed>,
    /// Over everything else, in hexadecimal digits.
    sha256: String,
}

/// A piece as a backup names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The object.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// What a backup is of.
#[derive(Debug, Clone)]
pub(super) struct Of {
    pub(super) journal: [u8; 16],
    pub(super) head: Cursor,
    pub(super) recorded_at: Timestamp,
    pub(super) made_at: Timestamp,
    pub(super) block: [u8; 32],
    pub(super) tree: [u8; 32],
    pub(super) base: u64,
}

/// When and how a backup was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When, by the clock of who did.
    pub at: Timestamp,
    /// Objects that were read, of all of them.
    pub objects: u64,
    /// See `objects`.
    pub of: u64,
    /// They were opened, and their blocks checked; else only their bytes were.
    pub opened: bool,
}

/// Why an object is no backup that can be used.
#[derive(Debug)]
pub enum BadManifest {
    /// See [`super::BackupError::Newer`].
    Newer {
        /// Which object.
        object: String,
        /// Its format.
        found: u32,
        /// The newest that this version knows.
        known: u32,
    },
    /// See [`super::BackupError::Damaged`].
    Damaged {
        /// Which object.
        object: String,
        /// What was found.
        reason: String,
    },
}

impl Manifest {
    pub(super) fn new(of: &Of, pieces: &[Piece]) -> Self {
        let Cursor { epoch, position } = of.head;
        let listed = |piece: &Piece| Listed { name: piece.name(), size_bytes: piece.size_bytes };
        let mut manifest = Self {
            mainstay: "backup".to_owned(),
            format: FORMAT,
            id: id(of.made_at, of.head),
            journal: hex(&of.journal),
            epoch,
            position,
            recorded_at: of.recorded_at,
            made_at: of.made_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            block: hex(&of.block),
            tree: hex(&of.tree),
            base: of.base,
            pieces: pieces.iter().map(listed).collect(),
            sha256: String::new(),
        };
        manifest.sha256 = manifest.sum();
        manifest
    }

    fn sum(&self) -> String {
        let bare = Self { sha256: String::new(), ..self.clone() };
        hex(&Sha256::digest(serde_json::to_vec(&bare).unwrap_or_default()))
    }

    /// Where a backup lies.
    #[must_use]
    pub fn object(id: &str) -> String {
        format!("{FOLDER}/{id}.json")
    }

    /// Where it is told that a backup was read back.
    pub(super) fn verified_object(id: &str) -> String {
        format!("{VERIFIED}/{id}.json")
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads an object.
    pub(super) fn parse(object: &str, bytes: &[u8]) -> Result<Self, BadManifest> {
        #[derive(Deserialize)]
        struct Front {
            mainstay: String,
            format: u32,
        }
        let object = object.to_owned();
        let damaged = |reason: &str| {
            let (object, reason) = (object.clone(), reason.to_owned());
            BadManifest::Damaged { object, reason }
        };
        let front: Front =
            serde_json::from_slice(bytes).map_err(|_| damaged("it is no manifest"))?;
        if front.mainstay != "backup" {
            return Err(damaged("it is no manifest"));
        }
        if front.format > FORMAT {
            return Err(BadManifest::Newer { object, found: front.format, known: FORMAT });
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|_| damaged("it is cut short or changed"))?;
        let whole = manifest.sum() == manifest.sha256 && Self::object(&manifest.id) == object;
        if whole { Ok(manifest) } else { Err(damaged("it does not match its checksum")) }
    }

    /// Its last record.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.position }
    }

    /// The size of all its pieces.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size_bytes).sum()
    }

    /// Its pieces, as their names tell them.
    pub(super) fn chain(&self) -> Option<Vec<Piece>> {
        let modified = Timestamp::from_micros(0);
        let parse = |listed: &Listed| {
            let (name, size_bytes) = (listed.name.clone(), listed.size_bytes);
            Piece::parse(&Entry { name, size_bytes, modified })
        };
        self.pieces.iter().map(parse).collect()
    }
}

/// `20261127T020000Z-1-4711`.
fn id(at: Timestamp, head: Cursor) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("{}-{}-{}", at.strftime("%Y%m%dT%H%M%SZ"), head.epoch, head.position)
}
