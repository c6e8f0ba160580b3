//! Whether a call is made again, and after which pause.
//!
//! | what came of it | again |
//! |---|---|
//! | failure | after chance × min(`max`, `base` × 2^(tries − 1)), full jitter |
//! | ignored | never |
//! | rejected, with `retry_after` up to `max` | not before it: the pause above is added |
//! | rejected otherwise | never |
//!
//! Only while tries are left and the budget has room.

mod budget;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::limit::{LimitError, check};
pub use budget::RetryBudget;

/// See the module. Clones share the budget.
#[derive(Debug, Clone)]
pub struct Retry {
    attempts: u32,
    base: Duration,
    max: Duration,
    budget: RetryBudget,
    chance: Arc<AtomicU64>,
}

/// What came of a try, as retrying sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It failed.
    Failed,
    /// It is classified as ignored.
    Ignored,
    /// It was not made.
    Rejected {
        /// When it is worth asking again, if that is known.
        retry_after: Option<Duration>,
    },
}

impl Retry {
    /// At most so many tries, the first included: 1 to 100. 50 ms base, 2 s at most, a budget of
    /// its own.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        Self {
            attempts,
            base: Duration::from_millis(50),
            max: Duration::from_secs(2),
            budget: RetryBudget::default(),
            chance: Arc::default(),
        }
    }

    /// Longest pause after the first try; it doubles with each: 1 ms to `max`.
    #[must_use]
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Longest pause, and longest `retry_after` that is waited for: up to 1 h.
    #[must_use]
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Takes its retries from this budget, which others may share.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Where the chances begin. Guards in several processes should begin elsewhere each.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.chance = Arc::new(AtomicU64::new(seed));
        self
    }

    /// Whether every setting can be.
    ///
    /// # Errors
    /// The first setting that is out of its range, with the range.
    pub fn check(&self) -> Result<(), LimitError> {
        check((1..=100).contains(&self.attempts), "attempts", "1 to 100")?;
        check(self.max <= Duration::from_hours(1), "retry.max", "base to 1 h")?;
        check(self.base >= Duration::from_millis(1), "retry.base", "1 ms to max")?;
        check(self.base <= self.max, "retry.base", "1 ms to max")
    }

    /// Counts a call, once and not for each of its tries: the budget is a share of calls. `now_ms`
    /// is of any clock that does not go back, the same for all who share the budget.
    pub fn called(&self, now_ms: u64) {
        self.budget.called(now_ms);
    }

    /// The pause before the next try, after `tried` tries (from 1); `None`: there is none. A pause
    /// is taken from the budget.
    #[must_use]
    pub fn next(&self, tried: u32, what: Again, now_ms: u64) -> Option<Duration> {
        let not_before = match what {
            Again::Failed => Duration::ZERO,
            Again::Rejected { retry_after } => retry_after.filter(|after| *after <= self.max)?,
            Again::Ignored => return None,
        };
        if tried >= self.attempts || !self.budget.take(now_ms) {
            return None;
        }
        Some(not_before + self.pause(tried, self.draw()))
    }

    /// The pause for a chance in 0 to 2^64.
    fn pause(&self, tried: u32, chance: u64) -> Duration {
        let doubled = 1_u32.checked_shl(tried.saturating_sub(1)).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(doubled).min(self.max);
        let nanos = (ceiling.as_nanos() * u128::from(chance)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// splitmix64: one counter, so that no two draws are of one state.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
