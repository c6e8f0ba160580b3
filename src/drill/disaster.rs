//! What is done to the victim, and what is kept of it to compare with.
//!
//! ```text
//!   disk-loss, bad-release    the directory is moved away: it is the evidence
//!   the others                the evidence is its segments under other names; the newest is copied,
//!                             for it grows or is damaged
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Keeps what the journal was at this moment, in a directory that can be read like one.
pub(super) fn keep(victim: &Path, evidence: &Path) -> io::Result<()> {
    fs::create_dir_all(evidence)?;
    for name in ["JOURNAL", "BASE"] {
        if victim.join(name).exists() {
            fs::copy(victim.join(name), evidence.join(name))?;
        }
    }
    if victim.join("base").exists() {
        link_all(&victim.join("base"), &evidence.join("base"), None)?;
    }
    let newest = newest_segment(victim)?;
    for entry in fs::read_dir(victim.join("segments"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let into = evidence.join("segments").join(entry.file_name());
            link_all(&entry.path(), &into, newest.as_deref())?;
        }
    }
    Ok(())
}

/// The files of a folder under other names; one is copied.
fn link_all(from: &Path, into: &Path, copied: Option<&Path>) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let target = into.join(name);
        if copied == Some(&*path) || fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Where the first bit is flipped, and how far the next one lies behind it, in bytes.
const FLIPS: (usize, usize) = (100, 4_096);

/// Whether there is something in the store to be damaged.
pub(super) fn is_stored(victim: &Path) -> bool {
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |it| it.len());
    let files = files(&victim.join("store")).unwrap_or_default();
    files.iter().any(|path| size(path) > FLIPS.0 as u64)
}

/// Flips a bit in every four kilobytes of every file of the store.
pub(super) fn damage_store(victim: &Path) -> io::Result<u64> {
    let mut flipped = 0;
    for path in files(&victim.join("store"))? {
        let mut bytes = fs::read(&path)?;
        for byte in bytes.iter_mut().skip(FLIPS.0).step_by(FLIPS.1) {
            *byte ^= 4;
            flipped += 1;
        }
        fs::write(&path, bytes)?;
    }
    if flipped == 0 {
        return Err(io::Error::other("nothing of the store is on the disk"));
    }
    Ok(flipped)
}

/// Flips a bit of the newest segment, at a third of what is written: blocks that were synced lie behind.
pub(super) fn damage_segment(victim: &Path) -> io::Result<(PathBuf, usize)> {
    let path = newest_segment(victim)?.ok_or_else(|| io::Error::other("there is no segment"))?;
    let mut bytes = fs::read(&path)?;
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
    let at = written / 3;
    let byte = bytes.get_mut(at).ok_or_else(|| io::Error::other("the segment is empty"))?;
    *byte ^= 4;
    fs::write(&path, bytes)?;
    Ok((path, at))
}

/// The segment that grew last.
fn newest_segment(victim: &Path) -> io::Result<Option<PathBuf>> {
    let all = files(&victim.join("segments"))?;
    let segments = all.into_iter().filter(|path| path.extension().is_some_and(|it| it == "seg"));
    // Names are first positions, zero padded.
    Ok(segments.max_by_key(|path| path.file_name().map(ToOwned::to_owned)))
}

/// Every file below a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let into = if entry.file_type()?.is_dir() { &mut folders } else { &mut found };
            into.push(entry.path());
        }
    }
    Ok(found)
}
