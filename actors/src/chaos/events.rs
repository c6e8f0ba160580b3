//! What happens to an experiment. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::codec::events;
use crate::time::Timestamp;

events! {
    /// What happens to an experiment.
    ChaosEvent {
        0x0701 v 1 FaultStarted,
        0x0702 v 1 FaultEnded,
    }
}

/// Calls of a dependency are disturbed from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultStarted {
    /// What, for whom and how often.
    pub plan: Plan,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// They are no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultEnded {
    /// When.
    pub at: Timestamp,
    /// How it came to its end.
    pub cause: EndCause,
}

/// How an experiment came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = FaultEndCause))]
pub enum EndCause {
    /// Its time was over.
    Timer,
    /// Somebody stopped it.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Somebody stopped every experiment.
    StoppedAll {
        /// Why.
        reason: String,
    },
}
