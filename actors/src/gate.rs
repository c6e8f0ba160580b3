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
//!
//! | mode | admits | an outcome goes to | it may decide |
//! |---|---|---|---|
//! | closed | all | statistics, window | `Trip` |
//! | open, `forced_open` | none | statistics, window (probes) | – |
//! | `half_open` | `half_open_permits`, in flight and done together | statistics, window, trial | `Conclude`, with a permit of this generation |
//! | disabled | all | nothing | – |
//! | `metrics_only` | all | statistics, window | `Trip`, once |
//!
//! Statistics are the observation windows. An outcome of an older boot or generation goes there
//! only, whatever the mode.

mod permit;
mod traffic;
mod verdict;
mod window;

pub use permit::{Permit, PermitError};

use permit::{Permits, Standing};
use traffic::Traffic;
use verdict::Verdict;
use window::{SlidingWindow, Tally};

use crate::dependency::{
    Breaker, BreakerSettings, DependencyCommand, DependencyState, Mode, Observed,
};
use crate::planted::{self, Bug};
use crate::time::Timestamp;

/// Ask again after this, in milliseconds, when a state is about to change.
const SOON_MS: u64 = 100;
/// Longest `retry_after` of a half-open breaker, in milliseconds: its verdict may come any time.
const HALF_OPEN_RETRY_MS: u64 = 1_000;
/// So long before half-open ends, fewer probes than `half_open_permits` decide, in milliseconds.
const LAST_CHANCE_MS: u64 = 2_000;
/// A permit of a breaker that admits all is forgotten after this, in milliseconds.
const PERMIT_MS: u64 = 600_000;

/// What a caller reports about a call, or a probe about its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The permit it was made under, if it had one.
    pub permit: Option<Permit>,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// An active probe: feeds the window and never takes a half-open permit; it decides a half-open
    /// that no caller tries.
    pub probe: bool,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// The volatile half of one breaker; see the module.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The latest moment it was told; time does not go back.
    latest: Timestamp,
    /// What the journal says; `None` before the first [`sync`](Self::sync) and once retired.
    journaled: Option<Journaled>,
    window: SlidingWindow,
    /// Failures in a row in this generation.
    run: u32,
    permits: Permits,
    /// Outcomes of half-open trials.
    trial: Tally,
    /// Outcomes of probes while half-open: they decide where no caller tries (ADR-0009).
    probes: Tally,
    /// A caller has taken a permit in this half-open.
    tried: bool,
    verdict: Option<Verdict>,
    traffic: Traffic,
}

#[derive(Debug, Clone)]
struct Journaled {
    settings: BreakerSettings,
    breaker: Breaker,
    observed: Option<Observed>,
}

impl Gate {
    /// A gate that admits nothing until it is synced; `boot` is part of its permits.
    #[must_use]
    pub fn new(boot: u64) -> Self {
        Self {
            latest: Timestamp::default(),
            journaled: None,
            window: SlidingWindow::new(BreakerSettings::default().window),
            run: 0,
            permits: Permits::new(boot),
            trial: Tally::default(),
            probes: Tally::default(),
            tried: false,
            verdict: None,
            traffic: Traffic::new(),
        }
    }

    /// Follows the durable state. Another generation voids permits, trial and verdict; a breaker
    /// that begins to count for closing or `metrics_only` begins with an empty window. New
    /// settings alone keep everything. An older generation than the known one is ignored.
    pub fn sync(&mut self, state: &DependencyState, now: Timestamp) {
        let now = self.advance(now);
        let breaker = state.breaker;
        let Some(settings) = state.settings.as_ref().filter(|_| !state.retired) else {
            self.journaled = None;
            self.begin(&breaker);
            return;
        };
        let settings = settings.breaker.clone();
        self.window.reshape(settings.window);
        match self.journaled.as_ref().map(|known| known.breaker.generation) {
            None => {
                self.begin(&breaker);
                self.window.clear();
                self.traffic.begin(now);
                self.traffic.follow(state.observed);
            },
            Some(known) if breaker.generation < known => return,
            Some(known) if breaker.generation > known => {
                self.begin(&breaker);
                if matches!(breaker.mode, Mode::Closed | Mode::MetricsOnly) {
                    self.window.clear();
                }
                self.traffic.follow(state.observed);
            },
            Some(_) if breaker.crossed => self.verdict = None,
            Some(_) => {},
        }
        self.journaled = Some(Journaled { settings, breaker, observed: state.observed });
    }

    fn begin(&mut self, breaker: &Breaker) {
        self.permits.begin(breaker.generation);
        self.trial = Tally::default();
        self.probes = Tally::default();
        self.tried = false;
        self.run = 0;
        self.verdict = None;
    }

    /// Whether a call may be made now. A permit is out until its outcome is recorded.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        let now = self.advance(now);
        let Some(Journaled { settings, breaker, .. }) = &self.journaled else {
            return Admission::Rejected { retry_after_ms: None };
        };
        if let Some(verdict) = &self.verdict
            && breaker.mode != Mode::MetricsOnly
        {
            let closes =
                matches!(verdict.command(), DependencyCommand::Conclude { healthy: true, .. });
            let retry_after_ms = Some(if closes { SOON_MS } else { settings.open_for_ms });
            return Admission::Rejected { retry_after_ms };
        }
        let left_ms = breaker.until.map(|until| until.ms_since(now));
        match breaker.mode {
            Mode::Closed | Mode::Disabled | Mode::MetricsOnly => {
                Admission::Admitted(self.permits.give(now))
            },
            Mode::Open => match left_ms {
                Some(0) | None if !settings.auto_half_open => {
                    Admission::TryHalfOpen { generation: breaker.generation }
                },
                Some(0) | None => Admission::Rejected { retry_after_ms: Some(SOON_MS) },
                Some(left_ms) => Admission::Rejected { retry_after_ms: Some(left_ms) },
            },
            Mode::HalfOpen => {
                self.permits.expire(settings.half_open_max_ms / 2, now);
                let in_flight = u64::try_from(self.permits.in_flight()).unwrap_or(u64::MAX);
                let taken = in_flight.saturating_add(self.trial.calls);
                if taken < u64::from(settings.half_open_permits) && left_ms != Some(0) {
                    self.tried = true;
                    return Admission::Admitted(self.permits.give(now));
                }
                let retry_after_ms = left_ms.unwrap_or(SOON_MS).clamp(SOON_MS, HALF_OPEN_RETRY_MS);
                Admission::Rejected { retry_after_ms: Some(retry_after_ms) }
            },
            Mode::ForcedOpen => Admission::Rejected { retry_after_ms: left_ms },
        }
    }

    /// Takes an outcome. What comes back, a verdict or an observation, is for the machine; a
    /// verdict holds here at once.
    #[must_use = "a verdict or an observation is for the machine"]
    pub fn record(&mut self, report: Report, now: Timestamp) -> Option<DependencyCommand> {
        let now = self.advance(now);
        let standing = report.permit.map(|permit| match self.permits.take_back(permit) {
            Standing::Older if planted::has(Bug::CountLateOutcomes) => Standing::Current,
            standing => standing,
        });
        let Journaled { settings, breaker, .. } = self.journaled.as_ref()?;
        if breaker.mode == Mode::Disabled || standing == Some(Standing::Void) {
            return None;
        }
        let slow_us = settings.slow_call_ms.map(|ms| ms.saturating_mul(1_000));
        let observed = self.window.observed(settings, now);
        if report.outcome == Outcome::Ignored {
            self.traffic.ignored(observed, now);
            return self.observation(now);
        }
        let failed = report.outcome == Outcome::Failure;
        let tally = Tally::one(failed, slow_us.is_some_and(|slow_us| report.duration_us > slow_us));
        self.traffic.add(tally, report.duration_us, observed, now);
        if standing != Some(Standing::Older) {
            self.window.add(tally, now);
            self.run = if failed { self.run.saturating_add(1) } else { 0 };
            if breaker.mode == Mode::HalfOpen && self.verdict.is_none() {
                if report.probe {
                    self.probes.add(tally);
                } else if standing == Some(Standing::Current) {
                    self.trial.add(tally);
                }
            }
        }
        self.judge(now).or_else(|| self.observation(now))
    }

    /// What time alone brings: thresholds reached because successes have left the window, verdicts
    /// that were not recorded, observations. About once a second.
    #[must_use = "verdicts and observations are for the machine"]
    pub fn tick(&mut self, now: Timestamp) -> Vec<DependencyCommand> {
        let now = self.advance(now);
        self.window.slide(now);
        let Some(Journaled { settings, breaker, .. }) = &self.journaled else { return Vec::new() };
        let half = breaker.mode == Mode::HalfOpen;
        let permit_ms = if half { settings.half_open_max_ms / 2 } else { PERMIT_MS };
        self.permits.expire(permit_ms, now);
        let mut commands = Vec::new();
        commands.extend(self.verdict.as_mut().and_then(|verdict| verdict.again(now)));
        commands.extend(self.judge(now));
        commands.extend(std::iter::from_fn(|| self.observation(now)));
        commands
    }

    /// The sliding window at `now`, with its rates.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> Observed {
        let settings = self.journaled.as_ref().map(|journaled| &journaled.settings);
        settings.map(|settings| self.window.observed(settings, now)).unwrap_or_default()
    }

    /// Permits that were given in this generation and have not come back.
    #[must_use]
    pub fn permits_in_flight(&self) -> usize {
        self.permits.in_flight()
    }

    /// A verdict, if the counts give one and none is on its way.
    fn judge(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        let Journaled { settings, breaker, .. } = self.journaled.as_ref()?;
        if self.verdict.is_some() || breaker.crossed {
            return None;
        }
        let generation = breaker.generation;
        let command = match breaker.mode {
            Mode::Closed | Mode::MetricsOnly => {
                let observed = self.window.observed(settings, now);
                let evidence = verdict::reached(settings, observed, self.run)?;
                DependencyCommand::Trip { generation, evidence }
            },
            Mode::HalfOpen => {
                let (healthy, evidence) = if self.tried {
                    verdict::on_trial(settings, self.trial, self.run)?
                } else {
                    let last_chance =
                        breaker.until.is_some_and(|until| until.ms_since(now) <= LAST_CHANCE_MS);
                    verdict::on_probes(settings, self.probes, self.run, last_chance)?
                };
                DependencyCommand::Conclude { generation, healthy, evidence }
            },
            Mode::Open | Mode::ForcedOpen | Mode::Disabled => return None,
        };
        self.verdict = Some(Verdict::new(command.clone(), now));
        Some(command)
    }

    fn observation(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        let Journaled { settings, observed, .. } = self.journaled.as_ref()?;
        let counts = self.window.observed(settings, now);
        let window = self.traffic.next(counts, *observed, now)?;
        Some(DependencyCommand::Observe(Box::new(window)))
    }

    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }
}
