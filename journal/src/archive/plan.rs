//! Which months go into an archive.

use std::path::Path;
use std::sync::Arc;

use super::copy::Archived;
use super::manifest::Manifest;
use super::months::identity;
use super::{ArchiveError, ArchiveOptions, Shelf, apart};
use crate::disk::Disk;
use crate::layout::{self, Identity, Layout};
use crate::record::Cursor;
use crate::segment::Segment;

/// What [`archive`](super::archive) would do now; nothing is written.
///
/// # Errors
/// See [`ArchiveError`].
pub fn plan(
    directory: &Path,
    to: &Path,
    before: &str,
    options: &ArchiveOptions,
) -> Result<Archived, ArchiveError> {
    apart(directory, to)?;
    let layout = Layout { root: directory.to_path_buf() };
    let chosen = choose(&layout, &Shelf { root: to.to_path_buf() }, before, options)?;
    let size = |(month, first, _): &(String, u64, u64)| {
        let file = options.disk.open(&layout.segment(month, *first), false);
        file.and_then(|file| file.size()).unwrap_or_default()
    };
    let mut done = chosen.done();
    done.bytes = chosen.segments.iter().map(size).sum();
    if let Some((.., last)) = chosen.segments.last() {
        done.head.position = *last;
    }
    Ok(done)
}

/// What is to be archived.
pub(super) struct Chosen {
    pub(super) identity: Identity,
    /// What the archive holds already.
    pub(super) manifest: Manifest,
    /// Month, first and last position of each.
    pub(super) segments: Vec<(String, u64, u64)>,
}

impl Chosen {
    pub(super) fn done(&self) -> Archived {
        let mut months: Vec<String> = self.segments.iter().map(|it| it.0.clone()).collect();
        months.dedup();
        Archived {
            months,
            segments: self.segments.len(),
            bytes: 0,
            head: self.manifest.head,
            states: self.manifest.states,
        }
    }
}

/// Which segments an archive lacks.
pub(super) fn choose(
    layout: &Layout,
    shelf: &Shelf,
    before: &str,
    options: &ArchiveOptions,
) -> Result<Chosen, ArchiveError> {
    let disk = &*options.disk;
    let identity = identity(disk, layout)?;
    let held = reach(disk, layout, shelf, &identity.journal)?;
    let start = held.as_ref().map_or(0, |held| held.head.position);
    let mut listed = layout::list_segments(disk, layout)?;
    listed.retain(|(_, first)| *first > start);
    // The newest month still grows.
    let newest = listed.last().map_or_else(String::new, |(month, _)| month.clone());
    let ends: Vec<u64> = listed.iter().skip(1).map(|(_, next)| *next - 1).collect();
    let segments = listed
        .into_iter()
        .zip(ends)
        .map(|((month, first), last)| (month, first, last))
        .take_while(|(month, ..)| month.as_str() < before && *month != newest)
        .collect();
    let nothing = Manifest {
        journal: identity.journal,
        head: Cursor { epoch: identity.epoch, position: 0 },
        at_us: 0,
        block: [0; 32],
        tree: Vec::new(),
        states: 0,
        states_hash: [0; 32],
        archive: None,
        segments: Vec::new(),
    };
    let chosen = Chosen { identity, manifest: held.unwrap_or(nothing), segments };
    if let Some((month, first, _)) = chosen.segments.first().filter(|_| start > 0) {
        let path = layout.segment(month, *first);
        let segment = Segment::new(*first, month.clone(), path, Arc::clone(&options.disk));
        if segment.previous().is_some_and(|hash| hash != chosen.manifest.block) {
            let reason = "the journal does not continue it: it is of another history".into();
            return Err(ArchiveError::Foreign { path: shelf.root.clone(), reason });
        }
    }
    Ok(chosen)
}

/// What the archive holds; an error if it cannot go on with this journal.
fn reach(
    disk: &dyn Disk,
    layout: &Layout,
    shelf: &Shelf,
    journal: &[u8; 16],
) -> Result<Option<Manifest>, ArchiveError> {
    let held = Manifest::read(disk, &shelf.manifest())?;
    let base = Manifest::read(disk, &layout.base())?;
    let path = shelf.root.clone();
    let dropped = base.map_or(0, |base| base.head.position);
    match &held {
        Some(held) if held.journal != *journal => {
            let reason = "it is the archive of another journal".into();
            return Err(ArchiveError::Foreign { path, reason });
        },
        None if dropped > 0 => return Err(ArchiveError::NotThere { path }),
        Some(held) if held.head.position < dropped => {
            let upto = held.head.position;
            let reason = format!("it ends at {upto}, and everything to {dropped} was dropped");
            return Err(ArchiveError::Foreign { path, reason });
        },
        _ => {},
    }
    Ok(held)
}
