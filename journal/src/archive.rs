//! Months that leave a journal: whole segments go into an archive, and a base of every stream's state
//! stays, so that what follows can be folded and proved without them.
//!
//! ```text
//!   segments/2026-08 ─ copy, check ─► ARCHIVE/2026-08      then --drop:
//!            └─ fold ─► states ─────► ARCHIVE/…4711.states ─► base/…4711.states, BASE
//!                                     ARCHIVE/MANIFEST        segments/2026-08 is removed
//! ```
//!
//! | at a crash | |
//! |---|---|
//! | before `MANIFEST` names them | the archive holds what it held; the next run copies again |
//! | before `BASE` has its name | nothing was dropped |
//! | behind it | what is left of the dropped segments is passed over, and removed by the next run |
//!
//! What is asked of a dropped month is read where its archive lies.

mod base;
mod check;
mod copy;
mod drop;
mod manifest;
mod months;
mod plan;
mod states;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::base::Base;
pub use self::check::{Checked, check};
pub use self::copy::{Archived, Before, Fold, archive};
pub use self::drop::{Dropped, drop_months};
pub use self::months::{Lies, Month, base, months, place};
pub use self::plan::plan;
use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::keyring::Keyring;

/// How a journal's months are read and archived.
#[derive(Debug, Clone)]
pub struct ArchiveOptions {
    /// The keys of blocks at rest; blocks go into the archive as they are.
    pub keyring: Keyring,
    /// Where files lie.
    pub disk: Arc<dyn Disk>,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self { keyring: Keyring::default(), disk: Arc::new(RealDisk) }
    }
}

/// Why months could not be archived or dropped. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The journal cannot be read, or another process has it open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no archive.
    #[error(
        "{path}: there is no archive; name the directory that holds MANIFEST, or make one with \
         `mainstay archive --before MONTH --archive DIR`"
    )]
    NotThere {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It would lie among the files that are dropped.
    #[error("{path}: an archive lies elsewhere than its journal; name a directory outside {data}")]
    Inside {
        /// The archive.
        path: PathBuf,
        /// The journal's directory.
        data: PathBuf,
    },
    /// Another process writes to it.
    #[error("{path}: another process archives into it; wait for that one")]
    InUse {
        /// The archive.
        path: PathBuf,
    },
    /// It is an archive of another journal, or of another history of this one.
    #[error("{path}: {reason}; name the archive of this journal")]
    Foreign {
        /// The archive.
        path: PathBuf,
        /// How that is seen.
        reason: String,
    },
    /// A file of the archive or of the journal is not what it should be.
    #[error("{path}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// Written by a newer version of this program.
    #[error("{path}: format {found} is newer than {known}; use the version that wrote it")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format number.
        found: u64,
        /// The newest that this version knows.
        known: u64,
    },
    /// A record contradicts those before it.
    #[error("position {position}: {reason}; run `mainstay verify` for all findings")]
    Meaningless {
        /// Which record.
        position: u64,
        /// What it contradicts.
        reason: String,
    },
    /// The operating system said no.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
}

impl ArchiveError {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }

    /// A file of an archive that cannot be read: one that is gone or wrong is damage.
    fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData => {
                Self::Damaged { path, reason: source.to_string() }
            },
            io::ErrorKind::PermissionDenied => {
                Self::Open(OpenError::Sealed { path, reason: source.to_string() })
            },
            _ => Self::Io { doing: "read", path, source },
        }
    }
}

/// Refuses an archive among the journal's own files.
fn apart(directory: &Path, archive: &Path) -> Result<(), ArchiveError> {
    let (data, path) = (real(directory), real(archive));
    if path.starts_with(&data) { Err(ArchiveError::Inside { path, data }) } else { Ok(()) }
}

/// Where a path leads, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|known| {
        let rest = path.strip_prefix(known).ok()?;
        let known = if known.as_os_str().is_empty() { Path::new(".") } else { known };
        Some(std::fs::canonicalize(known).ok()?.join(rest))
    });
    found.unwrap_or_else(|| path.to_path_buf())
}

/// The paths in an archive.
#[derive(Debug, Clone)]
struct Shelf {
    root: PathBuf,
}

impl Shelf {
    fn manifest(&self) -> PathBuf {
        self.root.join("MANIFEST")
    }

    fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    fn segment(&self, month: &str, first: u64) -> PathBuf {
        self.root.join(month).join(format!("{first:020}.seg"))
    }

    fn states(&self, position: u64) -> PathBuf {
        self.root.join(format!("{position:020}.states"))
    }
}
