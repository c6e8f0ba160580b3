//! How a verb ends when it does not end well.

use std::io::{self, Write};
use std::process::ExitCode;

use mainstay_journal::ReadError;

/// A message for stderr, empty for none, and an exit code from the table.
#[derive(Debug)]
pub(super) struct Failed {
    code: u8,
    message: String,
}

impl Failed {
    /// 1: the work failed.
    pub(super) fn work(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// 2: flags, configuration, arguments.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// 3: no server answers, or it is not ready.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// 4: integrity violated.
    pub(super) fn integrity(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into() }
    }

    /// 5: refused.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }

    /// What is wrong, for whoever tells it elsewhere.
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// Says it on stderr, if there is anything to say.
    pub(super) fn tell(self) -> ExitCode {
        if !self.message.is_empty() {
            drop(writeln!(io::stderr(), "mainstay: {}", self.message));
        }
        ExitCode::from(self.code)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        // `mainstay audit | head` closes the pipe early: that is no failure of ours.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 0, message: String::new() };
        }
        Self::work(format!("write output: {error}"))
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } | ReadError::Base { .. } => {
                Self::integrity(error.to_string())
            },
            ReadError::Archived(_) => Self::usage(error.to_string()),
            ReadError::Io(_) => Self::work(error.to_string()),
        }
    }
}
