//! The window over seconds: buckets of one; those older than its length leave, and stop counting.

use std::collections::VecDeque;

use crate::dependency::Observed;
use crate::rate::Rate;
use crate::time::Timestamp;

/// Counts of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

impl Tally {
    /// One call.
    pub(super) fn one(failed: bool, slow: bool) -> Self {
        Self { calls: 1, failures: u64::from(failed), slow: u64::from(slow) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }

    /// With rates, if there are calls enough to know them.
    pub(super) fn observed(self, minimum_calls: u32) -> Observed {
        let Self { calls, failures, slow } = self;
        let rate =
            |part| (calls >= u64::from(minimum_calls)).then(|| Rate::of(part, calls)).flatten();
        Observed { calls, failures, slow, failure_rate: rate(failures), slow_rate: rate(slow) }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct SlidingWindow {
    seconds: u64,
    buckets: VecDeque<Bucket>,
    total: Tally,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Seconds since the Unix epoch.
    second: u64,
    tally: Tally,
}

impl SlidingWindow {
    pub(super) fn new(seconds: u32) -> Self {
        Self { seconds: u64::from(seconds), buckets: VecDeque::new(), total: Tally::default() }
    }

    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        self.total = Tally::default();
    }

    /// Another length keeps what is in it.
    pub(super) fn resize(&mut self, seconds: u32) {
        self.seconds = u64::from(seconds);
    }

    pub(super) fn add(&mut self, tally: Tally, now: Timestamp) {
        self.slide(now);
        self.total.add(tally);
        let second = second_of(now);
        match self.buckets.back_mut() {
            Some(last) if last.second == second => last.tally.add(tally),
            _ => self.buckets.push_back(Bucket { second, tally }),
        }
    }

    /// Lets go of what has left the window.
    pub(super) fn slide(&mut self, now: Timestamp) {
        while self.buckets.front().is_some_and(|bucket| self.has_left(bucket, now)) {
            self.drop_oldest();
        }
    }

    /// What is in the window at `now`.
    pub(super) fn tally(&self, now: Timestamp) -> Tally {
        let mut tally = self.total;
        for bucket in self.buckets.iter().take_while(|bucket| self.has_left(bucket, now)) {
            tally.subtract(bucket.tally);
        }
        tally
    }

    const fn has_left(&self, bucket: &Bucket, now: Timestamp) -> bool {
        bucket.second.saturating_add(self.seconds) <= second_of(now)
    }

    fn drop_oldest(&mut self) {
        if let Some(bucket) = self.buckets.pop_front() {
            self.total.subtract(bucket.tally);
        }
    }
}

pub(super) const fn second_of(moment: Timestamp) -> u64 {
    moment.as_micros() / 1_000_000
}
