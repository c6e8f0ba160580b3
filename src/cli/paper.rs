//! A new file that only its owner can read: for what is shown once, and for what is personal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::exit::Failed;

/// What is written on. One that nothing was written on is gone again.
pub(super) struct Paper {
    path: PathBuf,
    file: File,
}

impl Paper {
    /// Before there is anything to write: what cannot be written down is lost.
    /// `what` names the flag or argument that the path is of.
    pub(super) fn new(what: &str, path: PathBuf) -> Result<Self, Failed> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| {
            let way_out = "name a file that does not exist";
            Failed::usage(format!("{what} {}: {error}; {way_out}", path.display()))
        })?;
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It is on the disk then.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Failed> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        // Its name, too.
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

impl Drop for Paper {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|it| it.len() == 0) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}
