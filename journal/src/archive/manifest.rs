//! What an archive holds, as a text that a person can read: `MANIFEST` in the archive, `BASE` in the
//! journal that dropped what is in it.
//!
//! ```text
//! mainstay archive                          mainstay base
//! format 1                                  …
//! id · epoch · position · time · block      the last record that is in it, the hash of its block
//! tree                                      the Merkle tree over all records, its largest nodes
//! states                                    how many streams, the hash of the index of their states
//!                                           archive PATH: where it lies
//! segment 2026-08 1 1048576 1785… 5f…       month, first position, bytes, first time, SHA-256
//! sha256                                    over everything before
//! ```

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ArchiveError;
use crate::block::Hash;
use crate::disk::{self, Disk};
use crate::hex::{from_hex, hex};
use crate::layout::is_month;
use crate::merkle::TreeHash;
use crate::record::Cursor;

/// The format that is written, and the newest that is read.
const FORMAT: u64 = 1;

/// A segment in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filed {
    pub(super) month: String,
    pub(super) first: u64,
    pub(super) bytes: u64,
    /// Of its first record.
    pub(super) at_us: u64,
    /// Over the file.
    pub(super) hash: Hash,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) journal: [u8; 16],
    /// The last record that is in it.
    pub(super) head: Cursor,
    /// Its time.
    pub(super) at_us: u64,
    /// The hash of the last block.
    pub(super) block: Hash,
    /// Roots of perfect trees over all records, the largest first.
    pub(super) tree: Vec<TreeHash>,
    /// How many streams have a state.
    pub(super) states: u64,
    /// Of the index of their file.
    pub(super) states_hash: Hash,
    /// Where the archive lies; of a `BASE`.
    pub(super) archive: Option<PathBuf>,
    /// By position.
    pub(super) segments: Vec<Filed>,
}

impl Manifest {
    fn kind(&self) -> &'static str {
        if self.archive.is_some() { "base" } else { "archive" }
    }

    fn text(&self) -> Option<String> {
        let mut text = format!("mainstay {}\nformat {FORMAT}\n", self.kind());
        let Cursor { epoch, position } = self.head;
        let _ = writeln!(text, "id {}\nepoch {epoch}\nposition {position}", hex(&self.journal));
        let _ = writeln!(text, "time {}\nblock {}", self.at_us, hex(&self.block));
        let tree: Vec<String> = self.tree.iter().map(|node| hex(node)).collect();
        let _ = writeln!(text, "tree {}", tree.join(" "));
        let _ = writeln!(text, "states {} {}", self.states, hex(&self.states_hash));
        if let Some(archive) = &self.archive {
            // A line holds it.
            let path = archive.to_str().filter(|path| !path.contains('\n'))?;
            let _ = writeln!(text, "archive {path}");
        }
        for Filed { month, first, bytes, at_us, hash } in &self.segments {
            let _ = writeln!(text, "segment {month} {first} {bytes} {at_us} {}", hex(hash));
        }
        let sum = hex(&Sha256::digest(text.as_bytes()));
        let _ = writeln!(text, "sha256 {sum}");
        Some(text)
    }

    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), ArchiveError> {
        let text = self.text().ok_or_else(|| {
            let text = "the archive's path is no UTF-8, or has a line break";
            ArchiveError::io("write", path, io::Error::other(text))
        })?;
        disk::write_durably(disk, path, text.as_bytes())
            .map_err(|error| ArchiveError::io("write", path, error))
    }

    /// Reads one; `None` if there is none.
    pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, ArchiveError> {
        let bytes = match disk::read_all(disk, path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ArchiveError::io("read", path, error)),
        };
        let damaged =
            |reason: &str| ArchiveError::Damaged { path: path.into(), reason: reason.into() };
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
        let kind = text.lines().next().and_then(|line| line.strip_prefix("mainstay "));
        if !matches!(kind, Some("archive" | "base")) {
            return Err(damaged("it does not say what it is"));
        }
        let format = text.lines().nth(1).and_then(|line| line.strip_prefix("format "));
        match format.and_then(|text| text.parse::<u64>().ok()) {
            None => return Err(damaged("it names no format")),
            Some(found) if found > FORMAT => {
                return Err(ArchiveError::Newer { path: path.into(), found, known: FORMAT });
            },
            Some(_) => {},
        }
        let manifest = parse(&text).ok_or_else(|| damaged("a line is missing or senseless"))?;
        if manifest.text().as_ref() != Some(&text) {
            return Err(damaged("it does not match its checksum"));
        }
        Ok(Some(manifest))
    }
}

fn parse(text: &str) -> Option<Manifest> {
    let mut lines = text.lines().skip(2).peekable();
    let mut field = |name: &str| lines.next()?.strip_prefix(name);
    let journal = from_hex(field("id ")?)?;
    let epoch = field("epoch ")?.parse().ok()?;
    let head = Cursor { epoch, position: field("position ")?.parse().ok()? };
    let at_us = field("time ")?.parse().ok()?;
    let block = from_hex(field("block ")?)?;
    let nodes = field("tree ")?.split(' ').filter(|node| !node.is_empty());
    let tree = nodes.map(from_hex).collect::<Option<Vec<_>>>()?;
    let (states, states_hash) = field("states ")?.split_once(' ')?;
    let (states, states_hash) = (states.parse().ok()?, from_hex(states_hash)?);
    let archive = lines.next_if(|line| line.starts_with("archive "));
    let archive = archive.and_then(|line| line.strip_prefix("archive ")).map(PathBuf::from);
    let filed = lines.filter_map(|line| line.strip_prefix("segment "));
    let segments = filed.map(segment).collect::<Option<Vec<_>>>()?;
    Some(Manifest { journal, head, at_us, block, tree, states, states_hash, archive, segments })
}

fn segment(line: &str) -> Option<Filed> {
    let mut words = line.split(' ');
    let month = words.next().filter(|month| is_month(month))?.to_owned();
    let mut number = || words.next()?.parse().ok();
    let (first, bytes, at_us) = (number()?, number()?, number()?);
    Some(Filed { month, first, bytes, at_us, hash: from_hex(words.next()?)? })
}
