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
//! only; while disabled nothing is counted.

mod board;
mod call_window;
mod face;
mod figures;
mod follow;
mod front;
mod gather;
mod judge;
#[cfg(all(test, loom))]
mod models;
mod permit;
mod recent;
mod slot;
mod stripe;
mod sync;
mod thrift;
mod traffic;
mod trial;
mod verdict;
mod window;
mod word;

pub use board::Board;
pub use face::{Entry, Lane, Plain, Shut, Ticket};
pub use front::Front;
pub use permit::{Permit, PermitError};

use board::Spot;
use figures::Told;
use gather::Gathered;
use permit::{Permits, Standing};
use traffic::Traffic;
use trial::Trial;
use verdict::Verdict;
use window::{SlidingWindow, Tally};

use crate::dependency::{Breaker, BreakerSettings, DependencyCommand, Mode, Observed, Window};
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
    /// It was under an injected fault: the statistics count it apart.
    pub injected: bool,
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

/// The volatile half of one breaker, as its keeper has it; see the module.
#[derive(Debug)]
pub struct Gate {
    /// The latest moment it was told; time does not go back.
    latest: Timestamp,
    /// What the journal says; `None` before the first [`sync`](Self::sync) and once retired.
    journaled: Option<Journaled>,
    /// What callers see and count.
    spot: Spot,
    front: Option<Front>,
    gathered: Gathered,
    told: Told,
    /// What the rates are taken over.
    shape: Window,
    /// The window over seconds; the one over calls is where callers count.
    window: SlidingWindow,
    permits: Permits,
    /// How often it was configured anew after a retirement: what was given before is older.
    life: u64,
    /// Ticks in which the face had a verdict that nobody has.
    orphaned: u32,
    /// A caller has asked to open the half: the first permit is its own.
    opener: bool,
    /// Outcomes of probes while half-open: they decide where no caller tries (ADR-0009).
    probes: Tally,
    verdict: Option<Verdict>,
    traffic: Traffic,
}

#[derive(Debug, Clone)]
struct Journaled {
    settings: BreakerSettings,
    breaker: Breaker,
    observed: Option<Observed>,
}

/// A slow call that is told apart at less than this needs a finer clock than the tick, in
/// milliseconds.
const EXACT_BELOW_MS: u64 = 50;
/// Lives that are told apart.
const LIFE_BITS: u32 = 3;

impl Gate {
    /// A gate that admits nothing until it is synced; `boot` is part of its permits.
    #[must_use]
    pub fn new(boot: u64) -> Self {
        Self::at(boot, Spot::alone(), None)
    }

    /// The keeper's side of a front.
    #[must_use]
    pub fn behind(front: Front, boot: u64) -> Self {
        Self::at(boot, front.spot().clone(), Some(front))
    }

    fn at(boot: u64, spot: Spot, front: Option<Front>) -> Self {
        Self {
            latest: Timestamp::default(),
            journaled: None,
            spot,
            front,
            gathered: Gathered::default(),
            told: Told::default(),
            shape: Window::Seconds(0),
            window: SlidingWindow::new(0),
            permits: Permits::new(boot),
            life: 0,
            orphaned: 0,
            opener: false,
            probes: Tally::default(),
            verdict: None,
            traffic: Traffic::new(),
        }
    }

    /// Takes what callers have counted.
    fn gather(&mut self, now: Timestamp) {
        let generation = self.tag();
        let news = self.gathered.read(&self.spot, generation);
        if self.journaled.is_none() || news.is_empty() {
            return;
        }
        let observed = self.counts(now);
        if !self.is_over_calls() && news.tally.calls > 0 {
            self.window.add(news.tally, now);
        }
        self.traffic.add_all(&news.batch, observed, now);
    }

    /// Whether a call may be made now. A permit is out until its outcome is recorded.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        let now = self.advance(now);
        self.expire(now);
        match self.spot.face().enter(now.as_micros()) {
            Entry::Admitted(_) => Admission::Admitted(self.permits.give(now)),
            Entry::Rejected { retry_after_ms, mode: _ } => Admission::Rejected { retry_after_ms },
            Entry::TryHalfOpen => Admission::TryHalfOpen { generation: self.permits.generation() },
            Entry::Unknown | Entry::Ended => Admission::Rejected { retry_after_ms: None },
        }
    }

    /// The next half-open begins with a permit for who asked to open it.
    pub fn reserve(&mut self) {
        self.opener = true;
    }

    /// The permit of who asked to open the half; as [`admit`](Self::admit) if it did not open, or
    /// was open before.
    pub fn admit_opener(&mut self, now: Timestamp) -> Admission {
        let now = self.advance(now);
        let half = self.journaled.as_ref().is_some_and(|it| it.breaker.mode == Mode::HalfOpen);
        if std::mem::take(&mut self.opener) && half {
            return Admission::Admitted(self.permits.give(now));
        }
        self.admit(now)
    }

    /// Permits that were given too long ago are given back.
    fn expire(&mut self, now: Timestamp) {
        let Some(Journaled { settings, breaker, .. }) = &self.journaled else { return };
        if breaker.mode != Mode::HalfOpen {
            self.permits.expire(PERMIT_MS, now);
            return;
        }
        for _ in 0..self.permits.expire(settings.half_open_max_ms / 2, now) {
            self.spot.face().swap_trial(self.tag(), Trial::give_back);
        }
    }

    /// Takes an outcome. What comes back, a verdict or an observation, is for the machine; a
    /// verdict holds here at once.
    #[must_use = "a verdict or an observation is for the machine"]
    pub fn record(&mut self, report: Report, now: Timestamp) -> Option<DependencyCommand> {
        let now = self.advance(now);
        self.gather(now);
        let standing = report.permit.map(|permit| match self.permits.take_back(permit) {
            Standing::Older if planted::has(Bug::CountLateOutcomes) => Standing::Current,
            standing => standing,
        });
        let Journaled { settings, breaker, .. } = self.journaled.as_ref()?;
        if breaker.mode == Mode::Disabled || standing == Some(Standing::Void) {
            return None;
        }
        let generation = self.tag();
        let on_trial = breaker.mode == Mode::HalfOpen && standing == Some(Standing::Current);
        let slow_us = settings.slow_call_ms.map(|ms| ms.saturating_mul(1_000));
        let observed = self.counts(now);
        if report.outcome == Outcome::Ignored {
            if on_trial {
                self.spot.face().swap_trial(generation, Trial::give_back);
            }
            self.traffic.ignored(observed, now);
            self.tell(now);
            return self.observation(now);
        }
        let failed = report.outcome == Outcome::Failure;
        let slow = slow_us.is_some_and(|slow_us| report.duration_us > slow_us);
        let tally = Tally::one(failed, slow);
        let probes = breaker.mode == Mode::HalfOpen && report.probe && self.verdict.is_none();
        let duration_us = Some(report.duration_us).filter(|_| !report.injected);
        self.traffic.add(tally, duration_us, observed, now);
        if standing != Some(Standing::Older) {
            let face = self.spot.face();
            if self.is_over_calls() {
                face.count_by_calls(generation, failed, slow);
            } else {
                self.window.add(tally, now);
            }
            face.count_run(generation, failed);
            if probes {
                self.probes.add(tally);
            } else if on_trial {
                face.swap_trial(generation, |trial| trial.count(failed, slow));
            }
        }
        self.tell(now);
        self.judge(now).or_else(|| self.observation(now))
    }

    /// What time alone brings: thresholds reached because successes have left the window, verdicts
    /// that were not recorded, observations. A few times a second.
    #[must_use = "verdicts and observations are for the machine"]
    pub fn tick(&mut self, now: Timestamp) -> Vec<DependencyCommand> {
        let now = self.advance(now);
        self.gather(now);
        if let Some(front) = &self.front {
            self.gathered.latencies(&self.spot, front.round(), &mut self.traffic);
        }
        self.window.slide(now);
        self.expire(now);
        self.tell(now);
        let mut commands = Vec::new();
        commands.extend(self.verdict.as_mut().and_then(|verdict| verdict.again(now)));
        commands.extend(self.heard(now));
        self.adopt_orphan();
        commands.extend(self.judge(now));
        commands.extend(std::iter::from_fn(|| self.observation(now)));
        commands
    }

    /// The sliding window at `now`, with its rates.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> Observed {
        let Some(Journaled { settings, .. }) = &self.journaled else { return Observed::default() };
        if self.is_over_calls() {
            return self.spot.face().calls_tally().observed(settings.minimum_calls);
        }
        self.window.tally(now).observed(settings.minimum_calls)
    }

    /// Permits that were given in this generation and have not come back.
    #[must_use]
    pub fn permits_in_flight(&self) -> usize {
        self.permits.in_flight()
    }

    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }
}
