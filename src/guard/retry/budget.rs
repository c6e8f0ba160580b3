//! How many retries a dependency is asked to bear: a share of the calls of the last ten seconds.
//!
//! Ten buckets of a second, each one word: the second it counts, its calls and its retries. A
//! bucket of an older second is begun anew by the first who counts in it. No locks.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    buckets: Arc<[AtomicU64; SPAN_S]>,
}

/// Seconds that count.
const SPAN_S: usize = 10;
/// Retries that are always in the budget.
const AT_LEAST: u64 = 3;
/// One retry for so many calls.
const CALLS_FOR_ONE: u64 = 5;

/// Second (24 bits, which come round after 194 days), calls (24 bits), retries (16 bits).
#[derive(Clone, Copy)]
struct Bucket {
    second: u64,
    calls: u64,
    retries: u64,
}

const MAX_CALLS: u64 = (1 << 24) - 1;
const MAX_RETRIES: u64 = (1 << 16) - 1;
const SECONDS: u64 = 1 << 24;

impl Bucket {
    const fn of(word: u64) -> Self {
        let (calls, retries) = ((word >> 16) & MAX_CALLS, word & MAX_RETRIES);
        Self { second: word >> 40, calls, retries }
    }

    const fn word(self) -> u64 {
        (self.second << 40) | (self.calls << 16) | self.retries
    }
}

impl Default for RetryBudget {
    /// 20 % of the calls of the last ten seconds, at least 3.
    fn default() -> Self {
        Self { buckets: Arc::new(array::from_fn(|_| AtomicU64::new(0))) }
    }
}

impl RetryBudget {
    pub(super) fn called(&self, now_ms: u64) {
        self.count(now_ms / 1_000, |bucket| {
            let calls = (bucket.calls + 1).min(MAX_CALLS);
            Some(Bucket { calls, ..bucket })
        });
    }

    /// Takes one retry, if there is room. It is counted first and given back where it is too many:
    /// two who take the last at once may both go without, but never both have it.
    pub(super) fn take(&self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        let taken = self.count(second, |bucket| {
            (bucket.retries < MAX_RETRIES).then(|| Bucket { retries: bucket.retries + 1, ..bucket })
        });
        if !taken {
            return false;
        }
        let (calls, retries) = self.sum(second);
        if retries <= AT_LEAST.max(calls / CALLS_FOR_ONE) {
            return true;
        }
        self.count(second, |bucket| {
            bucket.retries.checked_sub(1).map(|retries| Bucket { retries, ..bucket })
        });
        false
    }

    fn count(&self, second: u64, change: impl Fn(Bucket) -> Option<Bucket>) -> bool {
        let second_mod = second % SECONDS;
        let change = |word| {
            let bucket = Bucket::of(word);
            let begun = if bucket.second == second_mod {
                bucket
            } else {
                Bucket { second: second_mod, calls: 0, retries: 0 }
            };
            change(begun).map(Bucket::word)
        };
        let at = usize::try_from(second % SPAN_S as u64).unwrap_or_default();
        let bucket = self.buckets.get(at);
        bucket.is_some_and(|bucket| {
            bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
        })
    }

    /// Calls and retries of the ten seconds up to `second`, and of seconds that others have already
    /// begun.
    fn sum(&self, second: u64) -> (u64, u64) {
        let span = SPAN_S as u64;
        let counted = |word: &AtomicU64| Bucket::of(word.load(Ordering::Relaxed));
        let live = |bucket: &Bucket| {
            let age = (second % SECONDS).wrapping_sub(bucket.second) % SECONDS;
            age < span || age > SECONDS - span
        };
        let live = self.buckets.iter().map(counted).filter(live);
        live.fold((0, 0), |(calls, retries), b| (calls + b.calls, retries + b.retries))
    }
}
