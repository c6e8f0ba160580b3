//! Why there is no key, and the way out.

use std::io;

/// Why a value cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The subject was erased; it gets no key any more.
    #[error("the subject was erased; nothing about it can be written or read any more")]
    Erased,
    /// The slot of the subject's key does not match its checksum.
    #[error(
        "the key of this subject is damaged; put keys/subjects back from a copy, or end its \
         sessions and erase the subject"
    )]
    Damaged,
    /// The subject has no key.
    #[error("there is no key for this subject")]
    Missing,
    /// Values that were sealed under a key that is gone, or that are damaged themselves.
    #[error(
        "the key that sealed {} is gone; put keys/subjects back from a copy, or set these \
         attributes anew", .names.join(", ")
    )]
    Unopened {
        /// The attributes.
        names: Vec<String>,
    },
    /// The vault is not open yet.
    #[error("the keys are not open yet")]
    Closed,
    /// Too many keys are being made. Nothing happened.
    #[error("the queue for keys is full")]
    Busy,
    /// The disk is full. Nothing happened.
    #[error("the disk is full")]
    NoRoom,
    /// The keys cannot be read or written; the text says what to do.
    #[error("{0}")]
    Failed(String),
}

impl From<io::Error> for VaultError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom,
            _ => Self::Failed(format!("keys of subjects: {error}")),
        }
    }
}
