//! Proofs as JSON: each is all that a verifier needs, but a key that it trusts.

use std::fmt::Write as _;

use serde::Serialize;
use utoipa::ToSchema;

/// Shows that an event is under a checkpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InclusionProof)]
pub(crate) struct Inclusion {
    /// Of this document: 1.
    pub(crate) format: u32,
    /// `inclusion`
    #[schema(value_type = String, example = "inclusion")]
    pub(crate) proves: &'static str,
    /// Of the event; its leaf has the index before it.
    pub(crate) position: u64,
    /// SHA-256, hexadecimal.
    pub(crate) leaf_hash: String,
    /// What was hashed, Base64; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) leaf: Option<String>,
    /// Hashes, hexadecimal, from the leaf's sibling upwards.
    pub(crate) path: Vec<String>,
    /// A signed checkpoint of the journal.
    pub(crate) checkpoint: String,
    /// Public lines of the journal's keys, the newest last. Trust one that you have from elsewhere.
    pub(crate) keys: Vec<String>,
}

/// Shows that a checkpoint continues another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsistencyProof)]
pub(crate) struct Consistency {
    /// Of this document: 1.
    pub(crate) format: u32,
    /// `consistency`
    #[schema(value_type = String, example = "consistency")]
    pub(crate) proves: &'static str,
    /// The earlier checkpoint, signed.
    pub(crate) from: String,
    /// The later one, signed.
    pub(crate) to: String,
    /// Hashes, hexadecimal, in the order of RFC 6962.
    pub(crate) path: Vec<String>,
    /// Public lines of the journal's keys, the newest last. Trust one that you have from elsewhere.
    pub(crate) keys: Vec<String>,
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
