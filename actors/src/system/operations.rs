//! Backups and drills, as the journal tells of them.
//!
//! ```text
//!   system/backups    BackupMade, BackupFailed, BackupsStalled, BackupsResumed, …
//!   system/drills     DrillCompleted, …
//! ```

use serde::{Deserialize, Serialize};

use super::events::SystemEvent;
use crate::time::Timestamp;

/// A backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMade {
    /// Its name in the target.
    pub id: String,
    /// Its last event.
    pub position: u64,
    /// How many objects hold it.
    pub objects: u64,
    /// Their size.
    pub size_bytes: u64,
    /// How long it took.
    pub took_ms: u64,
    /// When it was there.
    pub at: Timestamp,
}

/// A backup was due, and was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFailed {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Events are not shipped any more, or a backup is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupsStalled {
    /// Why.
    pub reason: String,
    /// Events that are in no target.
    pub behind: u64,
    /// When that was seen.
    pub at: Timestamp,
}

/// Backups are up to date again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupsResumed {
    /// For how long they were not.
    pub lasted_ms: u64,
    /// Since when.
    pub at: Timestamp,
}

/// A disaster was practised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillCompleted {
    /// Which: `disk-loss`.
    pub scenario: String,
    /// Every check passed, and both targets were met.
    pub good: bool,
    /// From the disaster to the first durable write.
    pub rto_ms: u64,
    /// What it may be.
    pub rto_target_ms: u64,
    /// How much of what was acknowledged was lost, in time.
    pub rpo_ms: u64,
    /// What it may be.
    pub rpo_target_ms: u64,
    /// And in events.
    pub lost_events: u64,
    /// Entities whose states were compared.
    pub compared: u64,
    /// Those that were not the same.
    pub different: u64,
    /// How long the whole drill took.
    pub took_ms: u64,
    /// What was wrong, if anything was.
    pub findings: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// What is recorded of backups and drills; the moment is added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// See [`BackupMade`].
    BackupMade {
        /// Its name.
        id: String,
        /// Its last event.
        position: u64,
        /// How many objects hold it.
        objects: u64,
        /// Their size.
        size_bytes: u64,
        /// How long it took.
        took_ms: u64,
    },
    /// See [`BackupFailed`].
    BackupFailed {
        /// Why.
        reason: String,
    },
    /// See [`BackupsStalled`].
    BackupsStalled {
        /// Why.
        reason: String,
        /// Events that are in no target.
        behind: u64,
    },
    /// See [`BackupsResumed`].
    BackupsResumed {
        /// For how long.
        lasted_ms: u64,
    },
    /// See [`DrillCompleted`]; its `at` is replaced.
    DrillCompleted(Box<DrillCompleted>),
}

/// What the streams of backups and drills fold to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Operations {
    /// When the last backup was made.
    pub backed_up: Option<Timestamp>,
    /// When one last failed.
    pub backup_failed: Option<Timestamp>,
    /// Since when they are stalled.
    pub stalled: Option<Timestamp>,
    /// When the last drill was.
    pub drilled: Option<Timestamp>,
    /// When the last good one was.
    pub good_drill: Option<Timestamp>,
    /// How long recovery took in the last one.
    pub drill_rto_ms: u64,
}

/// Longest reason that is recorded, in bytes.
const MAX_REASON_BYTES: usize = 500;

impl Operation {
    /// As it happened.
    pub(super) fn happened(self, at: Timestamp) -> SystemEvent {
        match self {
            Self::BackupMade { id, position, objects, size_bytes, took_ms } => {
                BackupMade { id, position, objects, size_bytes, took_ms, at }.into()
            },
            Self::BackupFailed { reason } => BackupFailed { reason: cut(reason), at }.into(),
            Self::BackupsStalled { reason, behind } => {
                BackupsStalled { reason: cut(reason), behind, at }.into()
            },
            Self::BackupsResumed { lasted_ms } => BackupsResumed { lasted_ms, at }.into(),
            Self::DrillCompleted(drill) => {
                let findings = drill.findings.into_iter().take(20).map(cut).collect();
                DrillCompleted { findings, at, ..*drill }.into()
            },
        }
    }
}

/// A reason from elsewhere, no longer than it may be.
fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    reason
}

impl Operations {
    pub(super) fn backup_made(&mut self, event: &BackupMade) {
        self.backed_up = Some(event.at);
    }

    pub(super) fn backup_failed(&mut self, event: &BackupFailed) {
        self.backup_failed = Some(event.at);
    }

    pub(super) fn stalled(&mut self, event: &BackupsStalled) {
        self.stalled = Some(event.at);
    }

    pub(super) fn drill_completed(&mut self, event: &DrillCompleted) {
        self.drilled = Some(event.at);
        self.drill_rto_ms = event.rto_ms;
        if event.good {
            self.good_drill = Some(event.at);
        }
    }
}
