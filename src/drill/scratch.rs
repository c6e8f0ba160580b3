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

/// Eight hexadecimal digits that nobody has used.
pub(super) fn chance() -> Result<String, DrillError> {
    let number = getrandom::u32();
    let number = number.map_err(|error| DrillError::Here {
        doing: "ask for random bytes".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(format!("{number:08x}"))
}
