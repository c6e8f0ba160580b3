//! What becomes of the last segment's file: the cut tail aside, the rest in a new file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Whole;
use crate::disk::{self, Disk, DiskFile};
use crate::error::OpenError;
use crate::layout::{self, Layout};

/// Keeps what is cut.
pub(super) fn move_aside(
    disk: &dyn Disk,
    layout: &Layout,
    path: &Path,
    offset: u64,
    bytes: &[u8],
) -> Result<PathBuf, OpenError> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("segment");
    let directory = layout.set_aside();
    let mut number = 0;
    let names = layout::list(disk, &directory)?;
    let name = loop {
        let name = format!("{stem}-{offset}-{number}.cut");
        if !names.contains(&name) {
            break name;
        }
        number += 1;
    };
    let target = directory.join(name);
    let made = disk
        .create_dir(&directory)
        .and_then(|()| disk.sync_dir(&layout.root))
        .and_then(|()| disk::write_durably(disk, &target, bytes));
    made.map_err(|error| OpenError::io("move a torn tail to", target.clone(), error))?;
    tracing::warn!(tail = %target.display(), bytes = bytes.len(), "torn tail moved aside");
    Ok(target)
}

/// Copies the kept groups to a new file and gives it the segment's name.
pub(super) fn rewrite(
    disk: &dyn Disk,
    source: &Arc<dyn DiskFile>,
    path: &Path,
    whole: &Whole,
    zero_to: Option<u64>,
) -> Result<Arc<dyn DiskFile>, OpenError> {
    let young = path.with_extension("new");
    let copy = || -> io::Result<Arc<dyn DiskFile>> {
        let file = disk.create(&young)?;
        let mut chunk = vec![0; 1 << 20];
        let mut at = 0;
        while at < whole.end {
            let wanted = usize::try_from(whole.end - at).unwrap_or(usize::MAX).min(chunk.len());
            let room = chunk.get_mut(..wanted).unwrap_or_default();
            room.fill(0);
            disk::read_full(&**source, room, at)?;
            file.write_at(room, at)?;
            at += wanted as u64;
        }
        for (offset, bytes) in &whole.patches {
            file.write_at(bytes, *offset)?;
        }
        if let Some(zero_to) = zero_to {
            let _ = crate::spare::fill(&*file, whole.end, zero_to);
        }
        file.sync()?;
        disk.rename(&young, path)?;
        disk.sync_dir(path.parent().unwrap_or(path))?;
        Ok(file)
    };
    copy().map_err(|error| OpenError::io("rewrite", path, error))
}
