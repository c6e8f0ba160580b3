//! A dependency's settings, their defaults and their limits.

use serde::{Deserialize, Serialize};

use crate::health::Level;
use crate::rate::Rate;

/// Weight, caps and breaker of a dependency. Part of events: its layout is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
