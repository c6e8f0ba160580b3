//! `[access]`: whom a server on loopback lets in.

use serde::{Deserialize, Serialize};

/// `[access]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// Whether requests from this machine need a key; those from elsewhere always do.
    pub keys: KeysNeeded,
}

/// Whether requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeysNeeded {
    /// Whoever reaches a loopback address is an admin.
    #[default]
    Optional,
    /// Every request but those of health checks and documents.
    Required,
}
