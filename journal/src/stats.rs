//! How long the last syncs took. Times here are for people; no record carries them.

use std::sync::Mutex;
use std::time::Duration;

use crate::view::lock;

const KEPT: usize = 1024;

/// A ring of durations.
#[derive(Debug, Default)]
pub(crate) struct SyncTimes(Mutex<(Vec<u64>, usize)>);

/// Runs `work` and says how long it took.
#[expect(clippy::disallowed_methods, reason = "measures a duration; no record carries it")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let done = work();
    (done, start.elapsed())
}

impl SyncTimes {
    pub(crate) fn add(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (ring, next) = &mut *lock(&self.0);
        if let Some(slot) = ring.get_mut(*next) {
            *slot = took;
        } else {
            ring.push(took);
        }
        *next = (*next + 1) % KEPT;
    }

    /// 50th and 99th percentile, in microseconds.
    pub(crate) fn percentiles(&self) -> (u64, u64) {
        let mut sorted = lock(&self.0).0.clone();
        sorted.sort_unstable();
        let at = |percent| sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default();
        (at(50), at(99))
    }
}
