//! An experiment: calls of one dependency are disturbed on purpose, for a while.
//!
//! ```text
//!   absent ──Start──► running ──Stop, or its time──► over ──Start──► running …
//! ```
//!
//! It always has an end. Which calls are struck follows from its seed and the number of the call.

mod decide;
mod events;
mod fault;
mod fold;

pub(crate) use decide::check_reason;
pub use events::{ChaosEvent, EndCause, FaultEnded, FaultStarted};
pub use fault::{Fault, Latency, MAX_FLAP_MS, MAX_LATENCY_MS, Strike};

use serde::{Deserialize, Serialize};

use crate::health::Level;
use crate::machine::{Again, Context, Decision, Illegal, Machine};
use crate::rate::Rate;
use crate::time::Timestamp;

/// Longest run of an experiment, in milliseconds: a day.
pub const MAX_FOR_MS: u64 = 24 * 3_600 * 1_000;

/// The machine of one experiment; its stream is `chaos/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaos {}

/// What is done, to whose calls and to how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whose calls.
    pub dependency: String,
    /// What is done to them.
    pub fault: Fault,
    /// To which share of them; above 0.
    pub share: Rate,
    /// The same seed strikes the same calls.
    pub seed: u64,
    /// Why.
    pub reason: String,
}

/// An experiment that runs or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// What is done.
    pub plan: Plan,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// When and how it ended.
    pub ended: Option<Ended>,
}

/// The end of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = FaultEnd))]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub cause: EndCause,
}

/// What an experiment's stream folds to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChaosState {
    /// The newest one under this name; `None` before the first.
    pub last: Option<Experiment>,
}

/// What can be asked of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChaosCommand {
    /// Begin it.
    Start {
        /// What is done.
        plan: Box<Plan>,
        /// For so long, in milliseconds.
        for_ms: u64,
        /// What was found when it was asked for.
        seen: Seen,
    },
    /// End it before its time.
    Stop {
        /// Why; it is journaled.
        reason: String,
        /// As one of all.
        all: bool,
    },
    /// Its time may be over.
    Due,
    /// Show it.
    Show,
}

/// What a start depends on beside the experiment: the host looks it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether the dependency is configured.
    pub configured: bool,
    /// The global level.
    pub level: Level,
    /// The least level at which it may start.
    pub floor: Level,
}

/// What an experiment answers; nothing for a timer of one that never was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ChaosReply(pub Option<Experiment>);

/// Why an experiment says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ChaosReject {
    /// There was none of this name.
    #[error("no such experiment")]
    NotFound,
    /// It runs.
    #[error("an experiment of this name runs; stop it, or choose another name")]
    Running,
    /// Its dependency is not configured.
    #[error("the dependency {dependency} is not configured")]
    Unknown {
        /// Which.
        dependency: String,
    },
    /// The system is not well enough for it.
    #[error("the level is {level}; faults start at {floor} or better")]
    BelowFloor {
        /// What it is.
        level: Level,
        /// What it must be, at least.
        floor: Level,
    },
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Machine for Chaos {
    const KIND: &'static str = "chaos";
    type State = ChaosState;
    type Command = ChaosCommand;
    type Event = ChaosEvent;
    type Reply = ChaosReply;
    type Reject = ChaosReject;

    fn decide(
        state: &ChaosState,
        command: ChaosCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, ChaosReject> {
        decide::decide(state, command, context)
    }

    fn fold(state: &mut ChaosState, event: &ChaosEvent) -> Result<(), Illegal> {
        fold::fold(state, event)
    }

    fn deadline(state: &ChaosState) -> Option<Timestamp> {
        state.last.as_ref().filter(|it| it.ended.is_none()).map(|it| it.until)
    }

    fn due() -> ChaosCommand {
        ChaosCommand::Due
    }

    fn answer_again(
        state: &ChaosState,
        _request: &str,
        events: &[ChaosEvent],
        _now: Timestamp,
    ) -> Again<Self> {
        decide::answer_again(state, events)
    }
}
