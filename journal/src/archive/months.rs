//! Which months a journal has, and where they lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::{ArchiveError, ArchiveOptions, Base, Shelf};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::layout::{self, Identity, Layout};
use crate::reader::Reading;

/// Where a month's records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lies {
    /// In the journal.
    Here,
    /// In the journal and, whole, in the archive.
    Both,
    /// In the archive alone.
    Archive,
}

/// One month of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    /// `2026-08`.
    pub name: String,
    /// Its first position.
    pub first: u64,
    /// Its last position; `None` while it grows.
    pub last: Option<u64>,
    /// How many segments.
    pub segments: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Where they are.
    pub lies: Lies,
}

/// Lists a journal's months, the oldest first, as far as they are here or in this archive.
///
/// # Errors
/// See [`ArchiveError`].
pub fn months(
    directory: &Path,
    archive: Option<&Path>,
    options: &ArchiveOptions,
) -> Result<Vec<Month>, ArchiveError> {
    let layout = Layout { root: directory.to_path_buf() };
    let disk = &*options.disk;
    let identity = identity(disk, &layout)?;
    let base = Manifest::read(disk, &layout.base())?;
    let at = archive.or_else(|| base.as_ref()?.archive.as_deref());
    let held = at.map(|at| Manifest::read(disk, &Shelf { root: at.into() }.manifest()));
    let held = held.transpose()?.flatten().filter(|it| it.journal == identity.journal);
    let upto = held.as_ref().map_or(0, |held| held.head.position);
    let dropped = base.as_ref().map_or(0, |base| base.head.position);
    let gone = base.iter().flat_map(|base| &base.segments);
    let gone = gone.map(|filed| (filed.month.clone(), filed.first, filed.bytes));
    let mut all: Vec<_> = gone.collect();
    for (month, first) in layout::list_segments(disk, &layout)? {
        if first > dropped {
            let path = layout.segment(&month, first);
            let size = disk.open(&path, false).and_then(|file| file.size()).unwrap_or_default();
            all.push((month, first, size));
        }
    }
    let mut months = BTreeMap::<String, Month>::new();
    for (index, (month, first, bytes)) in all.iter().enumerate() {
        let last = all.get(index + 1).map(|(_, next, _)| next - 1);
        let lies = match last {
            Some(last) if last <= dropped => Lies::Archive,
            Some(last) if last <= upto => Lies::Both,
            _ => Lies::Here,
        };
        let known = months.entry(month.clone()).or_insert_with(|| Month {
            name: month.clone(),
            first: *first,
            last: None,
            segments: 0,
            bytes: 0,
            lies,
        });
        (known.last, known.lies) = (last, lies);
        known.segments += 1;
        known.bytes += bytes;
    }
    Ok(months.into_values().collect())
}

/// Where the archive lay when months were last dropped; `None` if none ever were.
///
/// # Errors
/// [`ArchiveError::Damaged`], [`ArchiveError::Newer`], [`ArchiveError::Io`].
pub fn place(directory: &Path, options: &ArchiveOptions) -> Result<Option<PathBuf>, ArchiveError> {
    let layout = Layout { root: directory.to_path_buf() };
    let base = Manifest::read(&*options.disk, &layout.base())?;
    Ok(base.and_then(|base| base.archive))
}

/// What was dropped from a journal; `None` if nothing was.
///
/// # Errors
/// See [`OpenError`].
pub fn base(directory: &Path, reading: &Reading) -> Result<Option<Arc<Base>>, OpenError> {
    let layout = Layout { root: directory.to_path_buf() };
    let identity = identity(&*reading.disk, &layout)?;
    let archive = reading.archive.as_deref();
    Base::read(&*reading.disk, &layout, &identity, &reading.keyring, archive)
}

pub(super) fn identity(disk: &dyn Disk, layout: &Layout) -> Result<Identity, OpenError> {
    Identity::read(disk, layout)?.ok_or_else(|| OpenError::NotAJournal {
        path: layout.root.clone(),
        reason: "it has no JOURNAL".into(),
    })
}
