//! An archive read back: before anything is dropped that only it has.

use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::manifest::{Filed, Manifest};
use super::months::identity;
use super::states::States;
use super::{ArchiveError, ArchiveOptions, Shelf, apart};
use crate::disk::{self, Disk};
use crate::layout::{self, Layout};
use crate::record::Cursor;

/// An archive that was read back whole, and that a journal goes on behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub(super) manifest: Manifest,
}

impl Checked {
    /// The last record that is in it.
    #[must_use]
    pub fn head(&self) -> Cursor {
        self.manifest.head
    }

    /// SHA-256 of the index of its states, which covers all of them.
    #[must_use]
    pub fn states_hash(&self) -> [u8; 32] {
        self.manifest.states_hash
    }

    /// Bytes of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.manifest.segments.iter().map(|filed| filed.bytes).sum()
    }

    /// How many segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.manifest.segments.len()
    }
}

/// Reads every byte of an archive, and looks whether the journal goes on where it ends.
///
/// # Errors
/// See [`ArchiveError`].
pub fn check(
    directory: &Path,
    archive: &Path,
    options: &ArchiveOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Checked, ArchiveError> {
    apart(directory, archive)?;
    let layout = Layout { root: directory.to_path_buf() };
    let shelf = Shelf { root: archive.to_path_buf() };
    let disk = &*options.disk;
    let identity = identity(disk, &layout)?;
    let manifest = Manifest::read(disk, &shelf.manifest())?;
    let manifest = manifest.ok_or_else(|| ArchiveError::NotThere { path: archive.into() })?;
    let foreign = |reason: String| ArchiveError::Foreign { path: archive.into(), reason };
    if manifest.journal != identity.journal {
        return Err(foreign("it is the archive of another journal".into()));
    }
    let position = manifest.head.position;
    // One that cannot be read is written again.
    let base = Manifest::read(disk, &layout.base()).ok().flatten();
    if let Some(base) = base.as_ref().filter(|base| base.head.position > position) {
        let dropped = base.head.position;
        return Err(foreign(format!("it ends at {position}, and {dropped} was dropped already")));
    }
    follows(disk, &layout, &manifest).map_err(foreign)?;
    read_back(&shelf, &manifest, options, progress)?;
    Ok(Checked { manifest })
}

/// Whether the journal goes on where the archive ends.
fn follows(disk: &dyn Disk, layout: &Layout, manifest: &Manifest) -> Result<(), String> {
    let position = manifest.head.position;
    let listed = layout::list_segments(disk, layout).map_err(|error| error.to_string())?;
    let next = listed.iter().find(|(_, first)| *first > position);
    let (month, first) = next.ok_or("nothing of the journal follows it")?;
    let header = disk
        .open(&layout.segment(month, *first), false)
        .and_then(|file| crate::segment::Headers::new(file, 0, u64::MAX, 0).header());
    match header {
        Ok(Ok(Some((header, _)))) if header.first == position + 1 => {
            let chained = header.previous == manifest.block;
            chained.then_some(()).ok_or_else(|| "the journal does not continue its chain".into())
        },
        _ => Err(format!("it ends at {position}, and the journal goes on at {first}")),
    }
}

/// Reads every byte of the archive that the manifest names.
fn read_back(
    shelf: &Shelf,
    manifest: &Manifest,
    options: &ArchiveOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ArchiveError> {
    let disk = &*options.disk;
    let total: u64 = manifest.segments.iter().map(|filed| filed.bytes).sum();
    let mut done = 0;
    for Filed { month, first, bytes, hash, .. } in &manifest.segments {
        let path = shelf.segment(month, *first);
        let found = disk::read_all(disk, &path);
        let found = found.map_err(|error| ArchiveError::file(&path, error))?;
        if Sha256::digest(&found)[..] != hash[..] {
            let reason = "it is not the file that was archived".into();
            return Err(ArchiveError::Damaged { path, reason });
        }
        done += bytes;
        progress(done, total);
    }
    let path = shelf.states(manifest.head.position);
    let mut count = 0;
    let read = States::open(disk, &path, &options.keyring, &manifest.states_hash);
    let read = read.and_then(|states| {
        states.from("", &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })
    });
    read.map_err(|error| ArchiveError::file(&path, error))?;
    if count != manifest.states {
        let reason = format!("it has {count} states in place of {}", manifest.states);
        return Err(ArchiveError::Damaged { path, reason });
    }
    Ok(())
}
