//! A directory of its own for everything that a drill makes; it goes with it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::error::DrillError;

/// What the name of each begins with.
pub(super) const PREFIX: &str = "drill-";

/// The directory. Nobody else may read it: it holds a copy of the data.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes one inside `parent`, which is made if it is missing.
    pub(super) fn make(parent: &Path, keep: bool) -> Result<Self, DrillError> {
        let doing = format!("make a directory in {}", parent.display());
        fs::create_dir_all(parent).map_err(DrillError::here(doing.clone()))?;
        let path = parent.join(format!("{PREFIX}{}", chance()?));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(DrillError::here(doing))?;
        // A server in it must not depend on where it was started.
        let path = path.canonicalize().map_err(DrillError::here("name the directory"))?;
        Ok(Self { path, keep })
    }

    /// A directory inside, made.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, DrillError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(DrillError::here(format!("make {}", path.display())))?;
        Ok(path)
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.keep
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "a drill's copy is not removed");
        }
    }
}

/// How much a drill writes at most, for each byte of the journal's segments: the baseline and what is
/// shipped are as large as they, the victim and the recovered journal have a store and an index besides.
const COPIES: u64 = 8;
/// And for files that are made in advance, in bytes.
const AT_LEAST: u64 = 256 << 20;

/// Refuses to fill a disk, which may be that of the live data.
pub(super) fn check_room(parent: &Path, segments_bytes: u64) -> Result<(), DrillError> {
    let doing = format!("look at the room in {}", parent.display());
    fs::create_dir_all(parent).map_err(DrillError::here(doing.clone()))?;
    let found = rustix::fs::statvfs(parent).map_err(std::io::Error::from);
    let found = found.map_err(DrillError::here(doing))?;
    fits(segments_bytes, found.f_bavail.saturating_mul(found.f_frsize))
        .map_err(|reason| DrillError::Here { doing: parent.display().to_string(), reason })
}

fn fits(segments_bytes: u64, free_bytes: u64) -> Result<(), String> {
    let needed = segments_bytes.saturating_mul(COPIES).saturating_add(AT_LEAST);
    if free_bytes >= needed {
        return Ok(());
    }
    let (needed, free) = (needed >> 20, free_bytes >> 20);
    Err(format!(
        "the copies of this journal need {needed} MiB, and {free} are free; name a directory on a larger \
         disk with --report, or as drill.reports"
    ))
}

/// Eight hexadecimal digits that nobody has used.
pub(super) fn chance() -> Result<String, DrillError> {
    let number = getrandom::u32();
    let number = number.map_err(|error| DrillError::Here {
        doing: "ask for random bytes".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(format!("{number:08x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_not_filled_with_copies() {
        assert_eq!(fits(1_000, AT_LEAST + 8_000), Ok(()));
        let refused = fits(1_000, AT_LEAST + 7_999).unwrap_err();
        assert!(refused.starts_with("the copies of this journal need 256 MiB"), "{refused}");
        assert!(fits(u64::MAX, u64::MAX - 1).is_err());
    }
}
