//! Verifies checkpoints and proofs as `docs/proofs.md` describes them.
//!
//! ```text
//!   proof file ─► notes: signed by a key that is trusted? ─► sizes and roots ─┐
//!       └───────► leaf and path ────────────────────────────► roots ──────────┴─ equal?
//! ```
//!
//! It shares nothing with what makes proofs but SHA-256 and Ed25519, so that one mistake is not made
//! on both sides.

mod note;
mod path;
mod proof;

pub use note::{Note, PublicKey, notes};
pub use proof::{Proved, What, verify};

/// Why a proof, a checkpoint or a key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is not what it should be.
    #[error("{0}")]
    Unreadable(String),
    /// It can be read, and is not true.
    #[error("{0}")]
    False(String),
}

fn unreadable(reason: impl Into<String>) -> Invalid {
    Invalid::Unreadable(reason.into())
}
