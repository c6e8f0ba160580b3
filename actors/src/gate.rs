//! The volatile half of a breaker: window, permits, trial outcomes. Pure: time is an argument.
//!
//! ```text
//!   admit ──► Permit ──► call ──► record(outcome) ──► maybe a verdict: Trip | Conclude
//!                                      tick ──► Observe windows, verdicts again
//!   sync(durable state) ──► mode, generation, settings follow the journal
//! ```
//!
//! Counts change without events, so they live here and not in the machine. A verdict takes effect
//! here at once (nothing more is admitted), and is recorded by the machine.

mod permit;
mod window;

pub use permit::{Permit, PermitError};

/// What a caller reports about a call, or a probe about its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The permit it was made under, if it had one.
    pub permit: Option<Permit>,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// An active probe: feeds the window, never takes or decides a half-open trial.
    pub probe: bool,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It worked.
    Success,
    /// It counts against the dependency.
    Failure,
    /// It counts nowhere, not even as slow; the permit is returned.
    Ignored,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes, and its outcome comes back with this permit.
    Admitted(Permit),
    /// No; try again in so many milliseconds, if a time is known.
    Rejected {
        /// Milliseconds until it is worth asking again.
        retry_after_ms: Option<u64>,
    },
    /// The open time is over and callers open the half: send
    /// [`TryHalfOpen`](crate::dependency::DependencyCommand::TryHalfOpen), wait, ask again.
    TryHalfOpen {
        /// The generation to name.
        generation: u64,
    },
}
