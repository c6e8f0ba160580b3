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
}

impl Verdict {
    pub(super) const fn new(command: DependencyCommand, now: Timestamp) -> Self {
        Self { command, told_at: now }
    }

    pub(super) const fn command(&self) -> &DependencyCommand {
        &self.command
    }

    /// Once more, if it was told long enough ago.
    pub(super) fn again(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        if now < self.told_at.plus_ms(REPEAT_AFTER_MS) {
            return None;
        }
        self.told_at = now;
        Some(self.command.clone())
    }
}

/// The threshold that the window, or the run of failures, has reached.
pub(super) fn reached(
    settings: &BreakerSettings,
    observed: Observed,
    consecutive_failures: u32,
) -> Option<Evidence> {
    let by_rate = rate_reached(settings, observed);
    let by_run = || {
        let limit = settings.consecutive_failures?;
        (consecutive_failures >= limit).then_some((Cause::ConsecutiveFailures, None))
    };
    let (cause, threshold) = by_rate.or_else(by_run)?;
    Some(Evidence { cause, observed, threshold, consecutive_failures })
}

/// Whether the trial calls were healthy, once there are enough of them.
pub(super) fn on_trial(
    settings: &BreakerSettings,
    trial: Tally,
    run: u32,
) -> Option<(bool, Evidence)> {
    if trial.calls < u64::from(settings.half_open_permits) {
        return None;
    }
    Some(by_rates(settings, trial, run))
}

/// Whether the probes were healthy, where no caller tries: once there are as many as a trial has,
/// or at the last chance, if there is any.
pub(super) fn on_probes(
    settings: &BreakerSettings,
    probes: Tally,
    run: u32,
    last_chance: bool,
) -> Option<(bool, Evidence)> {
    let needed = if last_chance { 1 } else { u64::from(settings.half_open_permits) };
    (probes.calls >= needed).then(|| by_rates(settings, probes, run))
}

fn by_rates(settings: &BreakerSettings, trial: Tally, run: u32) -> (bool, Evidence) {
    // The trial is as long as it is: its rates are known whatever `minimum_calls` says.
    let observed = trial.observed(0);
    let unhealthy = rate_reached(settings, observed);
    let healthy = unhealthy.is_none();
    let (cause, threshold) = unhealthy.unwrap_or((Cause::Recovered, None));
    (healthy, Evidence { cause, observed, threshold, consecutive_failures: run })
}

fn rate_reached(settings: &BreakerSettings, observed: Observed) -> Option<(Cause, Option<Rate>)> {
    if observed.failure_rate? >= settings.failure_rate {
        return Some((Cause::FailureRate, Some(settings.failure_rate)));
    }
    let slow = settings.slow_call_ms.is_some() && observed.slow_rate? >= settings.slow_rate;
    slow.then_some((Cause::SlowRate, Some(settings.slow_rate)))
}
