//! What happens to a session. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Attributes, Sealed};
use crate::codec::{Payload, events};
use crate::time::Timestamp;

events! {
    /// What happens to a session.
    SessionEvent {
        0x0201 v 1 SessionCreated,
        0x0202 v 1 SessionTouched,
        0x0203 v 1 SessionPatched,
        0x0204 v 1 SessionEnded,
        0x0205 v 1 SessionImported,
        0x0206 v 1 SessionFenced,
    }
}

/// A session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCreated {
    /// Whose it is.
    pub tenant: SmolStr,
    /// Whom it is about; opaque.
    pub subject: SmolStr,
    /// The idle TTL in milliseconds.
    pub ttl_ms: u64,
    /// When it began.
    pub at: Timestamp,
    /// When it ends unless it is touched.
    pub idle_until: Timestamp,
    /// When it ends whatever happens.
    pub ends_at: Option<Timestamp>,
    /// Values by name.
    pub attributes: Attributes,
}

/// It was in use; journaled once a tenth of the TTL has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTouched {
    /// When.
    pub at: Timestamp,
    /// When it ends unless it is touched again.
    pub idle_until: Timestamp,
}

/// Attributes were set or removed; counts as a touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPatched {
    /// The revision from now on.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// When it ends unless it is touched.
    pub idle_until: Timestamp,
    /// `Some` was set, `None` was removed.
    pub changes: Attributes<Option<Sealed>>,
}

/// It is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// How.
    pub reason: EndReason,
    /// When.
    pub at: Timestamp,
}

/// It came from another server, as it stood there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionImported {
    /// Whose it is.
    pub tenant: SmolStr,
    /// Whom it is about; opaque.
    pub subject: SmolStr,
    /// Of its attributes, there.
    pub revision: u64,
    /// The idle TTL in milliseconds.
    pub ttl_ms: u64,
    /// When it began, there.
    pub created_at: Timestamp,
    /// The last activity that was journaled there.
    pub active_at: Timestamp,
    /// When it ends unless it is touched.
    pub idle_until: Timestamp,
    /// When it ends whatever happens.
    pub ends_at: Option<Timestamp>,
    /// When it came.
    pub at: Timestamp,
    /// Values by name.
    pub attributes: Attributes,
}

/// It is over, for the journal was restored since: its holder may have lost it behind the fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFenced {
    /// When the journal was restored.
    pub at: Timestamp,
}

impl SessionEvent {
    /// Whether the session is over after it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::SessionEnded(_) | Self::SessionFenced(_))
    }

    /// The type ids of those with which a session begins.
    #[must_use]
    pub fn beginnings() -> Vec<u16> {
        let begins = |name: &str| matches!(name, "SessionCreated" | "SessionImported");
        let all = Self::catalogue().iter();
        all.filter(|(name, _)| begins(name)).map(|(_, id)| *id).collect()
    }
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EndReason {
    /// By its caller.
    Ended,
    /// Nobody touched it for its TTL.
    Idle,
    /// It reached its absolute age.
    MaxAge,
    /// Its subject was erased.
    Erased,
    /// The journal was restored from a backup.
    Restored,
}
