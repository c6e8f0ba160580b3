//! When counts reach a threshold, and what is said about it.
//!
//! | counts | reached when | evidence |
//! |---|---|---|
//! | window, `minimum_calls` or more | failures / calls ≥ `failure_rate` | `failure_rate` |
//! | window, `minimum_calls` or more | slow / calls ≥ `slow_rate`, if `slow_call` is set | `slow_rate` |
//! | failures in a row | ≥ `consecutive_failures`, if set | `consecutive_failures` |
//! | `half_open_permits` trial outcomes | the two rates | healthy otherwise |
//! | probes, while half-open and no caller tries | the two rates | healthy otherwise |

use super::window::Tally;
use crate::dependency::{BreakerSettings, Cause, DependencyCommand, Evidence, Observed};
use crate::rate::Rate;
use crate::time::Timestamp;

/// A verdict that is not recorded by then is told again, in milliseconds.
const REPEAT_AFTER_MS: u64 = 2_000;

/// A verdict on its way to the journal.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    command: DependencyCommand,
    told_at: Timestamp,
    told: u32,
}

impl Verdict {
    pub(super) const fn new(command: DependencyCommand, now: Timestamp) -> Self {
        Self { command, told_at: now, told: 1 }
    }

    /// The command, if it was told three times and is still here.
    pub(super) fn unanswered(&self) -> Option<DependencyCommand> {
        (self.told >= 3).then(|| self.command.clone())
    }

    /// Once more, if it was told long enough ago.
    pub(super) fn again(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        if now < self.told_at.plus_ms(REPEAT_AFTER_MS) {
            return None;
        }
        self.told_at = now;
        self.told = self.told.saturating_add(1);
        Some(self.command.clone())
    }
}

/// When a verdict is due: the part of the settings that a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Thresholds {
    /// Below it the rates of the window are unknown.
    pub(super) minimum_calls: u32,
    /// Trips at or above.
    pub(super) failure_rate: Rate,
    /// Trips at or above; `None`: no call is slow.
    pub(super) slow_rate: Option<Rate>,
    /// Trips at so many failures in a row.
    pub(super) run: Option<u32>,
    /// A trial is so many outcomes.
    pub(super) permits: u32,
}

impl Thresholds {
    pub(super) fn of(settings: &BreakerSettings) -> Self {
        Self {
            minimum_calls: settings.minimum_calls,
            failure_rate: settings.failure_rate,
            slow_rate: settings.slow_call_ms.map(|_| settings.slow_rate),
            run: settings.consecutive_failures,
            permits: settings.half_open_permits,
        }
    }

    /// The threshold that the window, or the run of failures, has reached.
    pub(super) fn reached(self, window: Tally, run: u32) -> Option<Evidence> {
        let observed = window.observed(self.minimum_calls);
        let by_run = || {
            let limit = self.run?;
            (run >= limit).then_some((Cause::ConsecutiveFailures, None))
        };
        let (cause, threshold) = self.rate_reached(observed).or_else(by_run)?;
        Some(Evidence { cause, observed, threshold, consecutive_failures: run })
    }

    /// Whether the trial calls were healthy, once there are enough of them.
    pub(super) fn on_trial(self, trial: Tally, run: u32) -> Option<(bool, Evidence)> {
        (trial.calls >= u64::from(self.permits)).then(|| self.by_rates(trial, run))
    }

    /// Whether the probes were healthy, where no caller tries: once there are as many as a trial
    /// has, or at the last chance, if there is any.
    pub(super) fn on_probes(
        self,
        probes: Tally,
        run: u32,
        last_chance: bool,
    ) -> Option<(bool, Evidence)> {
        let needed = if last_chance { 1 } else { u64::from(self.permits) };
        (probes.calls >= needed).then(|| self.by_rates(probes, run))
    }

    fn by_rates(self, trial: Tally, run: u32) -> (bool, Evidence) {
        // The trial is as long as it is: its rates are known whatever `minimum_calls` says.
        let observed = trial.observed(0);
        let unhealthy = self.rate_reached(observed);
        let healthy = unhealthy.is_none();
        let (cause, threshold) = unhealthy.unwrap_or((Cause::Recovered, None));
        (healthy, Evidence { cause, observed, threshold, consecutive_failures: run })
    }

    fn rate_reached(self, observed: Observed) -> Option<(Cause, Option<Rate>)> {
        if observed.failure_rate? >= self.failure_rate {
            return Some((Cause::FailureRate, Some(self.failure_rate)));
        }
        let slow_rate = self.slow_rate.filter(|limit| Some(*limit) <= observed.slow_rate)?;
        Some((Cause::SlowRate, Some(slow_rate)))
    }
}
