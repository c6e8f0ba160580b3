//! What happens to a dependency. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};

use super::{Cause, Evidence, Mode, ObservationWindow, Settings};
use crate::codec::events;
use crate::time::Timestamp;

events! {
    /// What happens to a dependency.
    DependencyEvent {
        0x0101 v 1 DependencyConfigured,
        0x0102 v 1 DependencyRetired,
        0x0103 v 1 BreakerOpened,
        0x0104 v 1 BreakerHalfOpened,
        0x0105 v 1 BreakerClosed,
        0x0106 v 1 BreakerForced,
        0x0107 v 1 ThresholdCrossed,
        0x0108 v 1 WindowObserved,
        0x0109 v 1 BreakerAdopted,
    }
}

/// It has these settings from now on; state and window are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependencyConfigured {
    /// Counts from 1.
    pub configuration: u64,
    /// All settings.
    pub settings: Settings,
}

/// It vanished from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyRetired {
    /// When.
    pub at: Timestamp,
}

/// The breaker refuses calls from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerOpened {
    /// The breaker's generation from now on.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// When trial calls may begin; the jitter is in it.
    pub until: Timestamp,
    /// Openings without a close between them, this one included.
    pub attempt: u32,
    /// The numbers.
    pub evidence: Evidence,
    /// The settings it was decided under.
    pub configuration: u64,
}

/// A few trial calls are admitted from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerHalfOpened {
    /// The breaker's generation from now on.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// Open again by then, if there is no verdict.
    pub until: Timestamp,
    /// The timer, a caller, or by hand.
    pub cause: Cause,
}

/// Calls are admitted again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerClosed {
    /// The breaker's generation from now on.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// The numbers.
    pub evidence: Evidence,
}

/// By hand: forced open, disabled or metrics only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerForced {
    /// The breaker's generation from now on.
    pub generation: u64,
    /// Which of the three.
    pub to: Mode,
    /// When.
    pub at: Timestamp,
    /// When it closes by itself, if it does.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// Metrics only: the threshold was reached, and nothing else happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdCrossed {
    /// The generation the counts belong to.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// The numbers.
    pub evidence: Evidence,
}

/// A stretch of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowObserved {
    /// The generation at its end.
    pub generation: u64,
    /// When it was closed.
    pub at: Timestamp,
    /// The settings it was counted under.
    pub configuration: u64,
    /// Counts, latencies and rates.
    pub window: ObservationWindow,
}

/// The journal took nothing for a while, and the breaker went on without: this is where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerAdopted {
    /// The breaker's generation from now on.
    pub generation: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// When the first transition was made that is not in the journal.
    pub from: Timestamp,
    /// Which state.
    pub mode: Mode,
    /// Since when it is in it.
    pub since: Timestamp,
    /// Openings without a close between them.
    pub attempt: u32,
    /// When time ends it, if it does.
    pub until: Option<Timestamp>,
    /// Transitions that are not in the journal.
    pub transitions: u32,
    /// The numbers of the last verdict among them.
    pub evidence: Option<Evidence>,
    /// The settings they were decided under.
    pub configuration: u64,
}
