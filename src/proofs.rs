//! Proofs: signed checkpoints of the journal, and what shows that an event is under one, or that one
//! continues another.
//!
//! ```text
//!   journal ─► tree ─► root of the newest durable size ─► checkpoint: origin, size, root, epoch
//!                └───► path ─► proof                            └─ signed by signing/key
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `key` | an Ed25519 key, as a line of text |
//! | `keyring` | the key that signs, and the public halves of all that ever did, in files |
//! | `notary` | checkpoints and proofs of an open journal |
//! | `document` | proofs as JSON |
//!
//! Who verifies shares none of this: see [`crate::verifier`]. Formats: `docs/proofs.md`.

mod document;
mod key;
mod keyring;
mod notary;

pub(crate) use document::{Consistency, Inclusion, hex};
pub use keyring::KeyringError;
pub(crate) use notary::public_lines;
pub use notary::{Checkpoint, Notary, ProofError};

/// The name of a journal in its checkpoints: `mainstay/` and its id in hexadecimal.
pub(crate) fn origin(journal: &[u8; 16]) -> String {
    format!("mainstay/{}", hex(journal))
}
