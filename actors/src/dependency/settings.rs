//! A dependency's settings, their defaults and their limits.

use serde::{Deserialize, Serialize};

use crate::health::Level;
use crate::rate::Rate;

/// Weight, caps and breaker of a dependency. Part of events: its layout is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// Its share in the global score, beside the other weights; 0 to 1,000,000.
    pub weight: u32,
    /// While it is down the global level is at most this one (`critical` dependencies only).
    pub cap: Option<Level>,
    /// The circuit breaker.
    pub breaker: BreakerSettings,
    /// The configuration file names it: the API does not change it.
    pub from_file: bool,
}

/// The circuit breaker's settings. Part of events: its layout is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BreakerSettings {
    /// What the rates are taken over.
    pub window: Window,
    /// Below it the rates are unknown.
    pub minimum_calls: u32,
    /// Trips at or above.
    pub failure_rate: Rate,
    /// A call is slow when it takes strictly longer, in milliseconds; `None`: never.
    pub slow_call_ms: Option<u64>,
    /// Trips at or above.
    pub slow_rate: Rate,
    /// Trips at so many failures in a row; `None`: off.
    pub consecutive_failures: Option<u32>,
    /// First stay in open, in milliseconds.
    pub open_for_ms: u64,
    /// Each reopening without a close stays so much longer, in hundredths: 150 is × 1.5.
    pub backoff_percent: u32,
    /// Longest stay in open, in milliseconds.
    pub open_max_ms: u64,
    /// The stay varies by at most this share, up or down.
    pub jitter: Rate,
    /// Trial calls in flight at most; the verdict is over so many outcomes.
    pub half_open_permits: u32,
    /// Half-open longer than this opens again, in milliseconds.
    pub half_open_max_ms: u64,
    /// Go half-open by timer; else with the next caller.
    pub auto_half_open: bool,
}

/// What the rates are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Window {
    /// The last so many seconds, in buckets of one.
    Seconds(u32),
    /// The last so many calls.
    Calls(u32),
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window: Window::Seconds(60),
            minimum_calls: 10,
            failure_rate: Rate::from_ten_thousandths(5_000),
            slow_call_ms: None,
            slow_rate: Rate::ONE,
            consecutive_failures: None,
            open_for_ms: 30_000,
            backoff_percent: 150,
            open_max_ms: 600_000,
            jitter: Rate::from_ten_thousandths(1_000),
            half_open_permits: 5,
            half_open_max_ms: 60_000,
            auto_half_open: true,
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field} must be {rule}")]
pub struct SettingsError {
    /// The setting, as the configuration file names it.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

/// Heaviest weight.
const MAX_WEIGHT: u32 = 1_000_000;
/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

impl Settings {
    /// Whether they can be.
    ///
    /// # Errors
    /// The first setting that is out of its range, with the range.
    pub fn check(&self) -> Result<(), SettingsError> {
        check(self.weight <= MAX_WEIGHT, "weight", "at most 1000000")?;
        let caps = self.cap != Some(Level::Optimal);
        check(caps, "cap", "DEGRADED, LIMITED, MINIMAL or EMERGENCY")?;
        self.breaker.check()
    }
}

impl BreakerSettings {
    /// Whether they can be.
    ///
    /// # Errors
    /// The first setting that is out of its range, with the range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let least = self.minimum_calls;
        match self.window {
            Window::Seconds(seconds) => {
                check((1..=3_600).contains(&seconds), "window", "1 s to 1 h")?;
                let countable = (1..=1_000_000).contains(&least);
                check(countable, "minimum_calls", "1 to 1000000")?;
            },
            Window::Calls(calls) => {
                check((1..=10_000).contains(&calls), "window", "1 to 10000 calls")?;
                let reachable = (1..=calls).contains(&least);
                check(reachable, "minimum_calls", "1 to the calls of the window")?;
            },
        }
        check(self.failure_rate > Rate::default(), "failure_rate", "more than 0, at most 1")?;
        check(self.slow_rate > Rate::default(), "slow_rate", "more than 0, at most 1")?;
        let slow = self.slow_call_ms.is_none_or(|ms| (1..=3_600_000).contains(&ms));
        check(slow, "slow_call", "1 ms to 1 h")?;
        let run = self.consecutive_failures != Some(0);
        check(run, "consecutive_failures", "at least 1")?;
        self.check_times()
    }

    fn check_times(&self) -> Result<(), SettingsError> {
        check((1..=DAY_MS).contains(&self.open_for_ms), "open_for", "1 ms to 1 d")?;
        check((100..=1_000).contains(&self.backoff_percent), "backoff", "1 to 10")?;
        let max = (self.open_for_ms..=7 * DAY_MS).contains(&self.open_max_ms);
        check(max, "open_max", "open_for to 7 d")?;
        check(self.jitter.ten_thousandths() <= 5_000, "jitter", "0 to 0.5")?;
        let permits = (1..=1_000).contains(&self.half_open_permits);
        check(permits, "half_open_permits", "1 to 1000")?;
        let half = (1..=DAY_MS).contains(&self.half_open_max_ms);
        check(half, "half_open_max", "1 ms to 1 d")
    }
}

fn check(holds: bool, field: &'static str, rule: &'static str) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError { field, rule }) }
}
