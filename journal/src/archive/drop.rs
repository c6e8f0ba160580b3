//! Months out of the journal, once the archive was read back whole.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::manifest::{Filed, Manifest};
use super::months::identity;
use super::states::States;
use super::{ArchiveError, ArchiveOptions, Shelf};
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
    /// The index of the states that stay: its hash covers all of them.
    pub states_hash: [u8; 32],
}

/// Removes from a journal what an archive holds, after every byte of the archive was read back. No
/// other process may have the journal open.
///
/// # Errors
/// See [`ArchiveError`]; the journal is as it was.
pub fn drop_months(
    directory: &Path,
    archive: &Path,
    options: &ArchiveOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Dropped, ArchiveError> {
    let layout = Layout { root: directory.to_path_buf() };
    let shelf = Shelf { root: archive.to_path_buf() };
    let disk = &*options.disk;
    let identity = identity(disk, &layout)?;
    let held = disk.lock(&layout.lock());
    let held = held.map_err(|error| OpenError::io("lock", layout.lock(), error))?;
    let _held = held.ok_or_else(|| OpenError::InUse { path: layout.root.clone() })?;
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

    let path = layout.states(position);
    let kept = disk::read_all(disk, &shelf.states(position));
    let kept = kept.and_then(|bytes| {
        disk.create_dir(path.parent().unwrap_or(&path))?;
        disk.sync_dir(&layout.root)?;
        disk::write_durably(disk, &path, &bytes)
    });
    kept.map_err(|error| ArchiveError::io("write", &path, error))?;
    let archive = fs::canonicalize(archive).unwrap_or_else(|_| archive.to_path_buf());
    let states_hash = manifest.states_hash;
    let filed = Manifest { archive: Some(archive), ..manifest };
    filed.write(disk, &layout.base())?;
    let (segments, bytes) = remove(disk, &layout, &filed)?;
    Ok(Dropped { head: filed.head, segments, bytes, states_hash })
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
        let found = found.map_err(|error| ArchiveError::io("read", &path, error))?;
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
    read.map_err(|error| ArchiveError::io("read", &path, error))?;
    if count != manifest.states {
        let reason = format!("it has {count} states in place of {}", manifest.states);
        return Err(ArchiveError::Damaged { path, reason });
    }
    Ok(())
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
