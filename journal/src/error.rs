//! What can go wrong, one error per operation.

use std::io;

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
    /// The operating system said no.
    #[error("read journal: {0}")]
    Io(#[from] io::Error),
}
