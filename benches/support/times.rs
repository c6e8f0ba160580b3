//! Durations: medians and tails.

use std::time::Duration;

/// Where most of a set of durations lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        let count = times.len();
        Self { p50: at(count / 2), p99: at(count * 99 / 100), max: at(count.saturating_sub(1)) }
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub(crate) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000_000.0
}
