//! What happens to a subject. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};

use crate::codec::events;
use crate::time::Timestamp;

events! {
    /// What happens to a subject.
    SubjectEvent {
        0x0401 v 1 ConsentRecorded,
        0x0402 v 1 HoldPlaced,
        0x0403 v 1 HoldLifted,
        0x0404 v 1 SubjectExported,
        0x0405 v 1 SubjectRectified,
        0x0406 v 1 SubjectImported,
        0x0407 v 1 SubjectErased,
        0x0408 v 1 ErasureFinished,
    }
}

/// They decided about a use of their data; the last decision about it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRecorded {
    /// About what.
    pub consent: String,
    /// What; `false` withdraws.
    pub granted: bool,
    /// Which version of the text they read.
    pub text_version: String,
    /// Who recorded it.
    pub by: String,
    /// When they decided.
    pub at: Timestamp,
}

/// It must not be erased from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPlaced {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// It may be erased again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLifted {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Everything about it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectExported {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Attributes of its sessions were put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRectified {
    /// Their names.
    pub names: Vec<String>,
    /// In how many sessions.
    pub sessions: u64,
    /// When.
    pub at: Timestamp,
}

/// It came from another server; its consents and sessions follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectImported {
    /// How many consents.
    pub consents: u64,
    /// How many sessions.
    pub sessions: u64,
    /// When.
    pub at: Timestamp,
}

/// It is to be forgotten: its key is destroyed and its sessions end from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectErased {
    /// When.
    pub at: Timestamp,
}

/// It is forgotten: its key is destroyed, and its sessions are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureFinished {
    /// How many sessions lived until then.
    pub sessions_ended: u64,
    /// When.
    pub at: Timestamp,
}
