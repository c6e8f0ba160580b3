//! What a journal has dropped: where its chain goes on, and every stream's state there.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::states::States;
use super::{ArchiveError, Shelf};
use crate::disk::Disk;
use crate::error::{OpenError, ReadError};
use crate::keyring::Keyring;
use crate::layout::{Identity, Layout};
use crate::log::Snapshot;
use crate::merkle::{Frontier, TreeHash};
use crate::record::{Cursor, StreamId};
use crate::segment::Segment;

/// What was dropped from a journal: its records up to a position lie in an archive, every stream's
/// state at that position lies here.
#[derive(Debug)]
pub struct Base {
    manifest: Manifest,
    states: States,
    /// Where the archive is looked for.
    archive: PathBuf,
}

impl Base {
    /// Reads what was dropped; `None` if nothing was. `archive` is where the archive lies now, if not
    /// where it lay then.
    pub(crate) fn read(
        disk: &dyn Disk,
        layout: &Layout,
        identity: &Identity,
        keyring: &Keyring,
        archive: Option<&Path>,
    ) -> Result<Option<Arc<Self>>, OpenError> {
        let path = layout.base();
        let refuse = |error: ArchiveError| OpenError::Base { reason: error.to_string() };
        let Some(manifest) = Manifest::read(disk, &path).map_err(refuse)? else { return Ok(None) };
        let archive = archive.map(Path::to_path_buf).or_else(|| manifest.archive.clone());
        let Some(archive) = archive.filter(|_| manifest.journal == identity.journal) else {
            let reason = format!("{} belongs to another journal", path.display());
            return Err(OpenError::Base { reason });
        };
        let path = layout.states(manifest.head.position);
        let states = States::open(disk, &path, keyring, &manifest.states_hash);
        let states = states.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                OpenError::Sealed { path: path.clone(), reason: error.to_string() }
            },
            _ => OpenError::Base { reason: format!("{}: {error}", path.display()) },
        })?;
        Ok(Some(Arc::new(Self { manifest, states, archive })))
    }

    /// The last record that was dropped.
    #[must_use]
    pub fn head(&self) -> Cursor {
        self.manifest.head
    }

    /// Its time, in microseconds since the Unix epoch.
    #[must_use]
    pub fn at_us(&self) -> u64 {
        self.manifest.at_us
    }

    /// The state of a stream at the head; `None` if the stream began later. One at version 0 is a row
    /// of whoever folded it, and of no stream.
    ///
    /// # Errors
    /// [`ReadError::Base`] if it cannot be read.
    pub fn state(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        self.states.get(stream).map_err(|error| self.damaged(&error))
    }

    /// Visits the states of the streams from a name on, by name.
    ///
    /// # Errors
    /// See [`Base::state`].
    pub fn states(
        &self,
        from: &str,
        visit: &mut dyn FnMut(Snapshot) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.states.from(from, visit).map_err(|error| self.damaged(&error))
    }

    /// SHA-256 of the index of the states, which covers all of them.
    #[must_use]
    pub fn states_hash(&self) -> [u8; 32] {
        self.manifest.states_hash
    }

    /// The Merkle tree over all records that were dropped.
    #[must_use]
    pub fn tree(&self) -> Frontier {
        Frontier::of(self.head().position, self.manifest.tree.clone())
    }

    fn damaged(&self, error: &io::Error) -> ReadError {
        ReadError::Base { position: self.head().position, reason: error.to_string() }
    }

    /// The hash of the last block that was dropped.
    #[must_use]
    pub fn block(&self) -> &[u8; 32] {
        &self.manifest.block
    }

    /// The largest nodes of the tree over all records that were dropped: level, index, hash.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (u32, u64, TreeHash)> {
        let mut start = 0;
        let size = self.head().position;
        let levels = (0..u64::BITS).rev().filter(move |level| size >> level & 1 == 1);
        levels.zip(&self.manifest.tree).map(move |(level, node)| {
            let index = start >> level;
            start += 1 << level;
            (level, index, *node)
        })
    }

    /// Where the segment behind one of the dropped ones begins.
    pub(crate) fn first_behind(&self, first: u64) -> Option<u64> {
        let all = &self.manifest.segments;
        let index = all.iter().position(|filed| filed.first == first)?;
        let end = self.head().position + 1;
        Some(all.get(index + 1).map_or(end, |next| next.first))
    }

    /// The dropped segments, as they lie in the archive.
    pub(crate) fn segments(&self, disk: &Arc<dyn Disk>) -> Vec<Arc<Segment>> {
        let shelf = Shelf { root: self.archive.clone() };
        let segment = |filed: &super::manifest::Filed| {
            let path = shelf.segment(&filed.month, filed.first);
            let segment = Segment::new(filed.first, filed.month.clone(), path, Arc::clone(disk));
            Arc::new(segment.archived(filed.at_us))
        };
        self.manifest.segments.iter().map(segment).collect()
    }
}
