//! Why a drill came to no report.

use mainstay_journal::OpenError;

use crate::backup::{BackupError, TargetError};

/// See the module. What goes wrong after the disaster is a finding of the report and no error.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// Somebody asked it to stop.
    #[error("stopped; everything that was made is removed")]
    Stopped,
    /// The backup that it begins with cannot be taken or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A journal cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server that is to be the victim does not work before anything happened to it.
    #[error("the server of the drill: {0}")]
    Server(String),
    /// This machine said no.
    #[error("{doing}: {reason}")]
    Here {
        /// What was being done.
        doing: String,
        /// What it answered.
        reason: String,
    },
}

impl DrillError {
    /// What this machine says about a path or a process.
    pub(super) fn here(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Here { doing, reason: error.to_string() }
    }
}

impl From<TargetError> for DrillError {
    fn from(error: TargetError) -> Self {
        BackupError::from(error).into()
    }
}
