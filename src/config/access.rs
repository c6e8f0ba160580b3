//! `[access]`: whom a server lets in, and how often.

use serde::{Deserialize, Serialize};

use super::Count;

/// `[access]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// Whether requests from this machine need a key; those from elsewhere, and over TLS, always do.
    pub keys: KeysNeeded,
    /// Requests of a key in a second, in the long run; 0 sets no limit.
    pub rate_per_second: Count,
    /// Requests of a key at once, before it is held to its rate.
    pub burst: Count,
}

impl Default for AccessConfig {
    fn default() -> Self {
        let (rate_per_second, burst) = (Count::of(2_000), Count::of(4_000));
        Self { keys: KeysNeeded::default(), rate_per_second, burst }
    }
}

impl AccessConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        self.rate_per_second.check("access.rate_per_second", 0, 1_000_000)?;
        self.burst.check("access.burst", 1, 10_000_000)
    }
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
