//! What can go wrong, one error per operation.

use std::io;
use std::path::PathBuf;

/// Why a journal directory could not be opened. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error(
        "open {path}: another process has this journal open; stop it, or read beside it with `mainstay verify`"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or the file system cannot be written.
    #[error(
        "open {path}: the directory is read-only; mount it writable or give its user the right to write"
    )]
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// Written by a newer version of this program.
    #[error(
        "open {path}: format {found} is newer than {known}, the newest this version knows; use the version that wrote it"
    )]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format number.
        found: u64,
        /// [`crate::FORMAT`].
        known: u16,
    },
    /// There is something, but not a journal.
    #[error("open {path}: not a journal ({reason}); name an empty directory or a journal's")]
    NotAJournal {
        /// The directory or file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// Acknowledged records are unreadable, and the store could not give them either.
    #[error(
        "open {path}: damaged at offset {offset}, position {position}: {reason}; nothing was changed: run `mainstay verify --repair`, or restore a backup"
    )]
    Damaged {
        /// The segment file.
        path: PathBuf,
        /// Where the bad block begins, in bytes.
        offset: u64,
        /// The first position that is missing.
        position: u64,
        /// What was found instead.
        reason: String,
    },
    /// Its blocks are sealed under a key that is not at hand.
    #[error(
        "open {path}: {reason}; nothing was changed: name the file that holds the key with \
         --journal-key, or as journal.key_file"
    )]
    Sealed {
        /// The segment file.
        path: PathBuf,
        /// Which key it needs, and which there are.
        reason: String,
    },
    /// What was dropped into an archive cannot be told.
    #[error(
        "open: {reason}; nothing was changed: if months were dropped, `mainstay archive --drop \
         --archive DIR` writes BASE and base/ again; else run `mainstay verify --repair`, or restore \
         a backup"
    )]
    Base {
        /// Which file, and what is wrong with it.
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

impl OpenError {
    /// Tells a read-only directory from other trouble.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path }
            },
            _ => Self::Io { doing, path, source },
        }
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Neither copy could give these records whole.
    #[error("read position {position}: {reason}; run `mainstay verify` for all findings")]
    Damaged {
        /// The first position that is missing.
        position: u64,
        /// What was found instead.
        reason: String,
    },
    /// They were dropped into an archive that is not there.
    #[error(transparent)]
    Archived(#[from] Away),
    /// The state of a stream where the journal begins cannot be read.
    #[error(
        "read the states at position {position}: {reason}; `mainstay archive --drop \
             --archive DIR` writes base/ again"
    )]
    Base {
        /// The last position that was dropped.
        position: u64,
        /// What was found instead.
        reason: String,
    },
    /// The operating system said no.
    #[error("read journal: {0}")]
    Io(io::Error),
}

/// A month that was dropped into an archive, and the archive is not where it is looked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "{month} was dropped into an archive, and {path} cannot be read ({source}): bring it back there, \
     name its place as journal.archive or with --archive, or ask for later times"
)]
pub struct Away {
    /// `2026-08`.
    pub month: String,
    /// The file that is missing.
    pub path: PathBuf,
    /// What the operating system answered.
    pub source: io::Error,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        error.downcast::<Away>().map_or_else(Self::Io, Self::Archived)
    }
}
