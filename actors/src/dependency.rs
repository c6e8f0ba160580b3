//! A dependency: its circuit breaker and the facts its score is made of.
//!
//! ```text
//!              Trip                     timer | caller
//!   closed ───────────► open ─────────────────────────► half_open
//!      ▲                  ▲                               │    │
//!      │ healthy          └──── unhealthy, half_open_max ─┘    │
//!      └───────────────────────────────────────────────────────┘
//!   by hand, from any state: forced_open · disabled · metrics_only · closed · open
//!   illegal by hand: closed → half_open, metrics_only → open | half_open
//! ```
//!
//! Counts change without events: they live in the [`Gate`](crate::gate::Gate), whose verdicts
//! and windows are this machine's commands.

mod decide;
mod events;
mod fold;
mod latencies;
mod settings;
mod stay;

pub use events::{
    BreakerAdopted, BreakerClosed, BreakerForced, BreakerHalfOpened, BreakerOpened,
    DependencyConfigured, DependencyEvent, DependencyRetired, ThresholdCrossed, WindowObserved,
};
pub(crate) use latencies::empty_histogram;
pub use latencies::{Latencies, LatencySummary};
pub use settings::{BreakerSettings, Settings, SettingsError, Window};

use serde::{Deserialize, Serialize};

use crate::machine::{Again, Context, Decision, Illegal, Machine};
use crate::rate::{Rate, Score};
use crate::time::Timestamp;

/// Longest dependency name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// Longest manual transition, in milliseconds.
pub const MAX_FORCE_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// The machine of one dependency; its stream is `dependency/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {}

/// What a dependency's stream folds to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DependencyState {
    /// Weight and breaker; `None` before it was configured.
    pub settings: Option<Settings>,
    /// How often it was configured; events name the version they were decided under.
    pub configuration: u64,
    /// It vanished from the configuration: out of the weights, its calls refused.
    pub retired: bool,
    /// The breaker.
    pub breaker: Breaker,
    /// What the last observation said; `None` before the first outcome.
    pub observed: Option<Observed>,
}

/// The breaker's durable part: it survives a restart with deadline and attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Breaker {
    /// Which state.
    pub mode: Mode,
    /// Bumped by every transition; a permit of another generation decides nothing.
    pub generation: u64,
    /// Since when.
    pub since: Timestamp,
    /// Openings without a close between them; 0 while it is closed.
    pub attempt: u32,
    /// When time ends this state, if it does.
    pub until: Option<Timestamp>,
    /// `metrics_only`: the threshold was crossed in this generation, and is not reported again.
    pub crossed: bool,
}

/// The breaker's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BreakerMode))]
pub enum Mode {
    /// Admits all, counts all.
    #[default]
    Closed,
    /// Admits none until its time is over.
    Open,
    /// Admits a few; their outcomes decide.
    HalfOpen,
    /// By hand: admits none.
    ForcedOpen,
    /// By hand: admits all, counts nothing.
    Disabled,
    /// By hand: counts, reports a crossed threshold once, never trips.
    MetricsOnly,
}

impl Mode {
    /// All six, for tables.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// As written in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// Whether its calls are refused or on trial: both health caps hold here.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Open | Self::HalfOpen | Self::ForcedOpen)
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The rates of the sliding window when it was last observed. Part of events: frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Observed {
    /// Calls in the window.
    pub calls: u64,
    /// Failures in the window.
    pub failures: u64,
    /// Slow calls in the window.
    pub slow: u64,
    /// Failures by calls; `None` below `minimum_calls`.
    pub failure_rate: Option<Rate>,
    /// Slow calls by calls; `None` below `minimum_calls`.
    pub slow_rate: Option<Rate>,
}

/// Why the breaker moved. Part of events: frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The failure rate reached its threshold.
    FailureRate,
    /// The slow-call rate reached its threshold.
    SlowRate,
    /// So many failures in a row.
    ConsecutiveFailures,
    /// Half-open lasted `half_open_max` without a verdict.
    HalfOpenTimeout,
    /// The trial calls were healthy.
    Recovered,
    /// Its time was over.
    Timer,
    /// A caller came after its time was over.
    Caller,
    /// By hand.
    Manual {
        /// Why.
        reason: String,
    },
}

/// The numbers behind a verdict. Part of events: frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was reached.
    pub cause: Cause,
    /// The window, or the trial calls, at that moment.
    pub observed: Observed,
    /// The threshold that was reached, if it is a rate.
    pub threshold: Option<Rate>,
    /// Failures in a row.
    pub consecutive_failures: u32,
}

/// Ten seconds of traffic, or less: see `docs/glossary.md`, observation window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationWindow {
    /// Start of the first second.
    pub from: Timestamp,
    /// One per second, from `from`; seconds without calls are in it as zeros.
    pub seconds: Vec<Second>,
    /// Most failures in a row inside it, injected ones among them.
    pub longest_failure_run: u32,
    /// Calls under an injected fault: neither the seconds nor the latencies count them.
    pub injected: u64,
    /// Latencies in microseconds: an `HdrHistogram` in its V2 serialisation; empty without one.
    pub latencies: Latencies,
    /// The breaker's sliding window at its end.
    pub observed: Observed,
}

/// Counts of one second. Part of events: frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Second {
    /// Outcomes that counted.
    pub calls: u32,
    /// Failures among them.
    pub failures: u32,
    /// Slow ones among them.
    pub slow: u32,
    /// Outcomes that were ignored.
    pub ignored: u32,
}

/// What can be asked of a dependency.
#[derive(Debug, Clone, PartialEq)]
pub enum DependencyCommand {
    /// Register it, or change its settings; keeps state and window.
    Configure(Box<Settings>),
    /// It vanished from the configuration.
    Retire,
    /// The gate saw a threshold reached.
    Trip {
        /// The generation the counts belong to.
        generation: u64,
        /// The numbers.
        evidence: Evidence,
    },
    /// The open time is over and a caller is here (`auto_half_open = false`).
    TryHalfOpen {
        /// The generation the caller saw.
        generation: u64,
    },
    /// The trial calls have a verdict.
    Conclude {
        /// The generation the permits belong to.
        generation: u64,
        /// Close, or open again.
        healthy: bool,
        /// The numbers.
        evidence: Evidence,
    },
    /// A stretch of traffic, for the record and the score.
    Observe {
        /// The generation that it was counted in. When the breaker has moved since, its sliding
        /// window is of the past: it is no part of the record.
        generation: u64,
        /// What was counted.
        window: Box<ObservationWindow>,
    },
    /// What the gate did while the journal took nothing.
    Adopt(Box<Adoption>),
    /// A transition by hand.
    Force {
        /// Into which state.
        to: Mode,
        /// For how long, in milliseconds; then closed.
        for_ms: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Show it.
    Show,
    /// A deadline has come.
    Due,
}

/// What a gate did while the journal took nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// Where it stands.
    pub breaker: Breaker,
    /// The generation that it left from.
    pub departed: u64,
    /// When it left.
    pub since: Timestamp,
    /// Transitions from there to here.
    pub transitions: u32,
    /// The numbers of the last verdict among them.
    pub evidence: Option<Evidence>,
}

/// What a dependency answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DependencyReply {
    /// The state after the command, undisturbed or changed.
    State(Box<DependencyState>),
    /// Recorded, or nothing to do (a stale verdict changes nothing).
    Done,
}

/// Why a dependency says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum DependencyReject {
    /// It was never configured, or is retired.
    #[error("no such dependency")]
    Unknown,
    /// A transition that is illegal by hand.
    #[error("a breaker cannot go from {from} to {to} by hand")]
    IllegalTransition {
        /// The state it is in.
        from: Mode,
        /// The state asked for.
        to: Mode,
    },
    /// A setting that cannot be.
    #[error("{0}")]
    Settings(SettingsError),
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl DependencyState {
    /// Its health, 0 to 100 points; `None` while it is unknown, disabled, retired or unconfigured:
    /// outside the weights.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        fold::score(self)
    }
}

impl Machine for Dependency {
    const KIND: &'static str = "dependency";
    type State = DependencyState;
    type Command = DependencyCommand;
    type Event = DependencyEvent;
    type Reply = DependencyReply;
    type Reject = DependencyReject;

    fn decide(
        state: &DependencyState,
        command: DependencyCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, DependencyReject> {
        decide::decide(state, command, context)
    }

    fn fold(state: &mut DependencyState, event: &DependencyEvent) -> Result<(), Illegal> {
        fold::fold(state, event)
    }

    fn deadline(state: &DependencyState) -> Option<Timestamp> {
        fold::deadline(state)
    }

    fn due() -> DependencyCommand {
        DependencyCommand::Due
    }

    fn answer_again(
        state: &DependencyState,
        _request: &str,
        events: &[DependencyEvent],
        _now: Timestamp,
    ) -> Again<Self> {
        decide::answer_again(state, events)
    }
}
