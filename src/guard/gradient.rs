//! How many calls at a time a dependency serves well, from how long they take.
//!
//! Gradient2 as Netflix's concurrency-limits documents it: the limit shrinks by the ratio of the
//! long-term to the short-term duration of a call and grows by a small queue:
//!
//! ```text
//!   gradient = clamp(tolerance × long / short, 0.5, 1)
//!   limit'   = limit × (1 − smoothing) + (limit × gradient + queue) × smoothing
//! ```
//!
//! There the long term is the average of all calls: under steady load it takes a queue that stays
//! for how the dependency is, and the limit drifts up. Here it learns only from calls that ran
//! beside few others, and every [`PROBE_EVERY`] samples the limit is halved for a moment to see
//! some. Pure: the same samples give the same limits.

#[cfg(test)]
mod tests;

use super::limit::{LimitError, check};

/// The settings. See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gradient {
    /// Never fewer calls: 1 to `max`.
    pub min: u32,
    /// Never more: up to 1,000,000.
    pub max: u32,
    /// At the start: `min` to `max`.
    pub initial: u32,
    /// Calls may take so many times as long as the long term before the limit shrinks: 1 to 10.
    pub tolerance: f64,
    /// How much of a new limit is taken on with one sample: more than 0, at most 1.
    pub smoothing: f64,
    /// Calls that may wait inside the dependency: 1 to 1,000.
    pub queue: u32,
}

/// One call that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// How long it took, in microseconds.
    pub(crate) rtt_us: u64,
    /// Calls that were inside when it ended, itself included.
    pub(crate) inside: u32,
    /// It was refused or timed out for too much load: its duration says nothing.
    pub(crate) dropped: bool,
}

/// What is known after some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct State {
    limit: f64,
    /// Microseconds; 0: no sample yet.
    long_us: f64,
    short_us: f64,
    /// Samples until the next probe begins.
    until_probe: u32,
    /// Samples beside few others that the probe under way still wants; 0: none is.
    probing: u32,
    least: u32,
}

/// Samples under load from one probe to the next.
const PROBE_EVERY: u32 = 500;
/// Samples beside few others that end a probe.
const PROBE_FOR: u32 = 20;
/// What one sample moves: the long term, the same in a probe, the short term.
const LONG: f64 = 2.0 / 601.0;
const LONG_IN_PROBE: f64 = 0.2;
const SHORT: f64 = 0.1;

impl Default for Gradient {
    fn default() -> Self {
        Self { min: 1, max: 200, initial: 20, tolerance: 1.5, smoothing: 0.2, queue: 4 }
    }
}

impl Gradient {
    /// Whether the settings can be.
    ///
    /// # Errors
    /// The first that is out of its range, with the range.
    pub fn check(&self) -> Result<(), LimitError> {
        check((1..=1_000_000).contains(&self.max), "gradient.max", "1 to 1000000")?;
        check((1..=self.max).contains(&self.min), "gradient.min", "1 to max")?;
        let starts = (self.min..=self.max).contains(&self.initial);
        check(starts, "gradient.initial", "min to max")?;
        check((1.0..=10.0).contains(&self.tolerance), "gradient.tolerance", "1 to 10")?;
        let smooth = self.smoothing > 0.0 && self.smoothing <= 1.0;
        check(smooth, "gradient.smoothing", "more than 0, at most 1")?;
        check((1..=1_000).contains(&self.queue), "gradient.queue", "1 to 1000")
    }
}

impl State {
    pub(crate) fn new(gradient: &Gradient) -> Self {
        Self {
            limit: f64::from(gradient.initial),
            long_us: 0.0,
            short_us: 0.0,
            until_probe: PROBE_EVERY,
            probing: 0,
            least: gradient.min.max(1),
        }
    }

    /// The limit that holds now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1000000")]
    pub(crate) fn limit(&self) -> u32 {
        let limit = if self.probing > 0 { self.limit / 2.0 } else { self.limit };
        (limit as u32).max(self.least)
    }

    /// After one more sample.
    #[must_use]
    pub(crate) fn after(mut self, gradient: &Gradient, sample: Sample) -> Self {
        let half = self.limit / 2.0;
        // In a probe one call is as few as there can be.
        let few = if self.probing > 0 { half.max(f64::from(self.least)) } else { half };
        let beside_few = f64::from(sample.inside) <= few;
        if !sample.dropped {
            self.measure(sample.rtt_us, beside_few);
        }
        // Fewer calls than it may have say nothing about more, and no service is held against its
        // idle hours.
        if self.probing > 0 || beside_few {
            return self;
        }
        self.until_probe = self.until_probe.saturating_sub(1);
        if self.until_probe == 0 {
            self.until_probe = PROBE_EVERY;
            self.probing = PROBE_FOR;
            return self;
        }
        let ratio = if sample.dropped { 0.0 } else { self.long_us / self.short_us };
        let step = (gradient.tolerance * ratio).clamp(0.5, 1.0);
        let room = if sample.dropped { 0.0 } else { f64::from(gradient.queue) };
        let wanted = self.limit.mul_add(step, room);
        let smoothed = self.limit + (wanted - self.limit) * gradient.smoothing;
        let (min, max) = (f64::from(gradient.min), f64::from(gradient.max));
        self.limit = smoothed.max(min).min(max);
        self
    }

    fn measure(&mut self, rtt_us: u64, beside_few: bool) {
        #[expect(clippy::cast_precision_loss, reason = "durations of calls")]
        let rtt_us = rtt_us.max(1) as f64;
        if self.long_us == 0.0 {
            (self.long_us, self.short_us) = (rtt_us, rtt_us);
            return;
        }
        // The limit is halved in a probe: what calls take then says nothing about it.
        if self.probing == 0 {
            self.short_us += (rtt_us - self.short_us) * SHORT;
        }
        if beside_few {
            let weight = if self.probing > 0 { LONG_IN_PROBE } else { LONG };
            self.long_us += (rtt_us - self.long_us) * weight;
            self.probing = self.probing.saturating_sub(1);
        } else if self.long_us > 2.0 * self.short_us {
            // It has become faster: the long term follows sooner.
            self.long_us *= 0.95;
        }
    }
}
