//! Months out of the journal, once the archive was read back whole.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use super::check::Checked;
use super::manifest::Manifest;
use super::states::States;
use super::{ArchiveError, ArchiveOptions, Shelf, apart};
use crate::disk::{self, Disk};
use crate::error::OpenError;
use crate::layout::{self, Layout};
use crate::record::Cursor;

/// What was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The last record that lies in the archive alone.
    pub head: Cursor,
    /// Segments that were removed, and their bytes.
    pub segments: usize,
    /// See `segments`.
    pub bytes: u64,
}

/// Removes from a journal what an archive holds that was read back. No other process may have the
/// journal open.
///
/// # Errors
/// See [`ArchiveError`]; the journal has all its records.
pub fn drop_months(
    directory: &Path,
    archive: &Path,
    checked: &Checked,
    options: &ArchiveOptions,
) -> Result<Dropped, ArchiveError> {
    apart(directory, archive)?;
    let layout = Layout { root: directory.to_path_buf() };
    let shelf = Shelf { root: archive.to_path_buf() };
    let disk = &*options.disk;
    let held = disk.lock(&layout.lock());
    let held = held.map_err(|error| OpenError::io("lock", layout.lock(), error))?;
    let _held = held.ok_or_else(|| OpenError::InUse { path: layout.root.clone() })?;
    let manifest = &checked.manifest;
    if Manifest::read(disk, &shelf.manifest())?.as_ref() != Some(manifest) {
        let reason = "it is not the archive any more that was read back".into();
        return Err(ArchiveError::Foreign { path: archive.into(), reason });
    }
    let position = manifest.head.position;
    let path = layout.states(position);
    let kept = disk::read_all(disk, &shelf.states(position));
    let kept = kept.and_then(|bytes| {
        disk.create_dir(path.parent().unwrap_or(&path))?;
        disk.sync_dir(&layout.root)?;
        disk::write_durably(disk, &path, &bytes)
    });
    kept.map_err(|error| ArchiveError::io("write", &path, error))?;
    // What lies here now is what the journal begins with.
    let states = States::open(disk, &path, &options.keyring, &manifest.states_hash);
    let read = states.and_then(|states| states.from("", &mut |_| ControlFlow::Continue(())));
    read.map_err(|error| ArchiveError::file(&path, error))?;
    let archive = fs::canonicalize(archive).unwrap_or_else(|_| archive.to_path_buf());
    let filed = Manifest { archive: Some(archive), ..manifest.clone() };
    filed.write(disk, &layout.base())?;
    let (segments, bytes) = remove(disk, &layout, &filed)?;
    Ok(Dropped { head: filed.head, segments, bytes })
}

/// Removes what is dropped: segments, their leaves, their databases, older states.
fn remove(disk: &dyn Disk, layout: &Layout, base: &Manifest) -> Result<(usize, u64), ArchiveError> {
    let (mut segments, mut bytes) = (0, 0);
    let mut listed = layout::list_segments(disk, layout)?;
    listed.retain(|(_, first)| *first <= base.head.position);
    for (month, first) in &listed {
        let path = layout.segment(month, *first);
        bytes += disk.open(&path, false).and_then(|file| file.size()).unwrap_or_default();
        disk.remove(&path).map_err(|error| ArchiveError::io("remove", &path, error))?;
        segments += 1;
    }
    let mut months: Vec<_> = base.segments.iter().map(|filed| filed.month.as_str()).collect();
    months.dedup();
    // What follows from the segments goes with them; a part that cannot be removed is in nobody's way.
    for month in months {
        let _ = fs::remove_dir(layout.month(month));
        for first in base.segments.iter().filter(|it| it.month == month).map(|it| it.first) {
            let _ = disk.remove(&layout.leaves(month, first));
        }
        let _ = fs::remove_dir(layout.leaves(month, 0).with_file_name(""));
        let _ = fs::remove_dir_all(layout.store().join(month));
        for name in [format!("{month}.done"), format!("{month}.opening")] {
            let _ = fs::remove_file(layout.store().join(name));
        }
    }
    let newest = layout.states(base.head.position);
    let directory = newest.parent().unwrap_or(&newest);
    for name in layout::list(disk, directory)? {
        if newest.file_name().is_none_or(|it| it != name.as_str()) {
            let _ = disk.remove(&directory.join(name));
        }
    }
    Ok((segments, bytes))
}
