//! Why a backup or a restore did not happen. Each text says what to do.

use mainstay_journal::plant::PlantError;
use mainstay_journal::{OpenError, ReadError};

use super::manifest::BadManifest;
use super::piece::Gap;
use super::target::TargetError;

impl From<std::io::Error> for BackupError {
    fn from(error: std::io::Error) -> Self {
        Self::Here(error.to_string())
    }
}

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target does not do what it is asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nothing was ever backed up there.
    #[error("{target}: there is no backup; name the target that `mainstay backup --to` wrote to")]
    NotATarget {
        /// The target.
        target: String,
    },
    /// It is another journal's.
    #[error("{target} holds backups of the journal {found}; name a target of its own for this one")]
    Foreign {
        /// The target.
        target: String,
        /// Whose it is.
        found: String,
    },
    /// The target refuses this writer.
    #[error("refused: {0}; stop this server, or name another target")]
    Fenced(String),
    /// Another process writes to it.
    #[error("{target} is in use by {owner}; wait for that one, or stop it")]
    Busy {
        /// The target.
        target: String,
        /// Who.
        owner: String,
    },
    /// The target holds other records at the same positions.
    #[error(
        "{target} holds another history of epoch {epoch} from position {position} on: two servers \
         have run on copies of one journal; name another target for the one that counts"
    )]
    Diverged {
        /// The target.
        target: String,
        /// Of which epoch.
        epoch: u32,
        /// Where they part.
        position: u64,
    },
    /// There is none of that name.
    #[error("{target} has no backup {id}; `mainstay backups` lists them")]
    NoBackup {
        /// The target.
        target: String,
        /// What was asked for.
        id: String,
    },
    /// An object is missing.
    #[error(
        "{target}: the records {} to {} are in no piece of it; `mainstay backups` lists what was made \
         before them: choose one with --backup", gap.first, gap.last
    )]
    Gap {
        /// The target.
        target: String,
        /// What is missing.
        gap: Gap,
    },
    /// An object is not what was written.
    #[error("{object}: {reason}; choose an older backup with --backup, or another target")]
    Damaged {
        /// Which object.
        object: String,
        /// What was found.
        reason: String,
    },
    /// An object does not open.
    #[error("{object} was sealed for another key; name the file of the right one with --identity")]
    OtherKey {
        /// Which object.
        object: String,
    },
    /// The passphrase is not the one.
    #[error("the passphrase is wrong; nothing was written")]
    OtherPassphrase,
    /// Written by a newer version.
    #[error("{object} has format {found}, newer than {known}; use the version that wrote it")]
    Newer {
        /// Which object.
        object: String,
        /// Its format.
        found: u32,
        /// The newest that this version knows.
        known: u32,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The new directory holds something.
    #[error("{path} is not empty; a restore needs a directory of its own: name another with --to")]
    NotEmpty {
        /// The directory.
        path: String,
    },
    /// The blocks do not make a journal.
    #[error(transparent)]
    Plant(#[from] PlantError),
    /// The clock of this machine is wrong.
    #[error(
        "this machine's clock says {now}, and the target was last written at {shipped}: tokens would \
         go back; set the clock, or begin above that time with --accept-clock"
    )]
    Clock {
        /// What it says.
        now: String,
        /// The newest time in the target.
        shipped: String,
    },
    /// This machine said no.
    #[error("{0}")]
    Here(String),
}

impl From<BadManifest> for BackupError {
    fn from(bad: BadManifest) -> Self {
        match bad {
            BadManifest::Newer { object, found, known } => Self::Newer { object, found, known },
            BadManifest::Damaged { object, reason } => Self::Damaged { object, reason },
        }
    }
}
