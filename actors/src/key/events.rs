//! What happens to a key. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};

use super::{KeyHash, Role};
use crate::codec::events;
use crate::time::Timestamp;

events! {
    /// What happens to a key.
    KeyEvent {
        0x0501 v 1 KeyCreated,
        0x0502 v 1 KeyRotated,
        0x0503 v 1 KeyRevoked,
        0x0504 v 1 AccessRefused,
    }
}

/// A key was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// What its holder may do.
    pub role: Role,
    /// Whose sessions and locks it reaches; `None` is everybody's.
    pub tenant: Option<String>,
    /// Of its first secret.
    pub hash: KeyHash,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A key got another secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotated {
    /// Of its newest secret.
    pub hash: KeyHash,
    /// When.
    pub at: Timestamp,
    /// Until when the secrets before it are taken, too.
    pub older_until: Timestamp,
}

/// A key is taken no more, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A request under this key was refused. At most one a minute for each reason is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRefused {
    /// Why.
    pub because: RefusedBecause,
    /// What was asked for: `POST /api/v1/keys`.
    pub operation: String,
    /// When.
    pub at: Timestamp,
}

/// Why a request under a known key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RefusedBecause {
    /// The secret is not, or no more, the key's.
    Secret,
    /// The key has expired.
    Expired,
    /// The key was revoked.
    Revoked,
    /// Its role is too low.
    Role,
    /// It is of another tenant.
    Tenant,
}
