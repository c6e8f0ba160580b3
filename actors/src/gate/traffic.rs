//! Observation windows: the traffic since the last one, in buckets of a second.
//!
//! | traffic since the last observation | it is due |
//! |---|---|
//! | calls | 10 s after their first second began, or early when a rate becomes known or moves by 5 points, at most once a second |
//! | none | 10 s after the last one, when the window has emptied or its rates are no longer those in the journal |

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::window::{Tally, second_of};
use crate::dependency::{Latencies, ObservationWindow, Observed, Second, empty_histogram};
use crate::rate::Rate;
use crate::time::Timestamp;

/// Length of an observation window, in milliseconds.
const PERIOD_MS: u64 = 10_000;
/// Shortest distance of two of them, in milliseconds.
const EARLIEST_MS: u64 = 1_000;
/// A rate that has moved by so much is observed early.
const STEP_TEN_THOUSANDTHS: u32 = 500;
/// Most closed windows that wait for somebody to fetch them.
const MAX_READY: usize = 32;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// Start of the first second with an outcome.
    from: Option<Timestamp>,
    seconds: Vec<Second>,
    calls: bool,
    run: u32,
    longest_run: u32,
    injected: u64,
    latencies: Option<Histogram<u32>>,
    /// Closed, but not handed out yet.
    ready: VecDeque<ObservationWindow>,
    /// When the last one was closed, or the wait for the first one began.
    closed_at: Timestamp,
    /// Before this none is closed early.
    early_from: Timestamp,
    /// What the last one said.
    said: Option<Observed>,
}

/// What callers have counted since the last time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Batch {
    /// Calls, failures, slow and ignored ones.
    pub(super) counts: [u32; 4],
    /// Calls under an injected fault: counted apart.
    pub(super) injected: u32,
    /// Failures in a row now, and the most of them.
    pub(super) run: u32,
    pub(super) longest_run: u32,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            from: None,
            seconds: Vec::new(),
            calls: false,
            run: 0,
            longest_run: 0,
            injected: 0,
            latencies: None,
            ready: VecDeque::new(),
            closed_at: Timestamp::default(),
            early_from: Timestamp::default(),
            said: None,
        }
    }

    /// The journal says this from now on; what it says is not told again.
    pub(super) fn follow(&mut self, said: Option<Observed>) {
        self.said = said;
    }

    /// Begins the wait for a first observation.
    pub(super) fn begin(&mut self, now: Timestamp) {
        *self = Self { closed_at: now, ..Self::new() };
    }

    pub(super) fn ignored(&mut self, observed: Observed, now: Timestamp) {
        if let Some(second) = self.second(observed, now) {
            second.ignored = second.ignored.saturating_add(1);
        }
    }

    /// Counts a call; `observed` is the sliding window before it. One without a duration was under
    /// an injected fault.
    pub(super) fn add(
        &mut self,
        tally: Tally,
        duration_us: Option<u64>,
        observed: Observed,
        now: Timestamp,
    ) {
        let failed = tally.failures > 0;
        let second = self.second(observed, now);
        if let Some(second) = second.filter(|_| duration_us.is_some()) {
            second.calls = second.calls.saturating_add(1);
            second.failures = second.failures.saturating_add(u32::from(failed));
            second.slow = second.slow.saturating_add(u32::from(tally.slow > 0));
        }
        self.calls = true;
        self.run = if failed { self.run.saturating_add(1) } else { 0 };
        self.longest_run = self.longest_run.max(self.run);
        match duration_us {
            Some(duration_us) => self.add_latency(duration_us, 1),
            None => self.injected = self.injected.saturating_add(1),
        }
    }

    /// Counts many calls that callers have counted; `observed` is the sliding window before them.
    pub(super) fn add_all(&mut self, batch: &Batch, observed: Observed, now: Timestamp) {
        let [calls, failures, slow, ignored] = batch.counts;
        if let Some(second) = self.second(observed, now) {
            second.calls = second.calls.saturating_add(calls);
            second.failures = second.failures.saturating_add(failures);
            second.slow = second.slow.saturating_add(slow);
            second.ignored = second.ignored.saturating_add(ignored);
        }
        self.calls |= calls > 0 || batch.injected > 0;
        self.injected = self.injected.saturating_add(u64::from(batch.injected));
        self.run = batch.run;
        self.longest_run = self.longest_run.max(batch.longest_run);
    }

    /// Counts a latency so many times.
    pub(super) fn add_latency(&mut self, duration_us: u64, times: u32) {
        if let Some(latencies) = self.latencies.get_or_insert_default_histogram() {
            latencies.saturating_record_n(duration_us, times);
        }
    }

    /// The next observation, if one is due. `journaled` is what the journal says now.
    pub(super) fn next(
        &mut self,
        observed: Observed,
        journaled: Option<Observed>,
        now: Timestamp,
    ) -> Option<ObservationWindow> {
        if self.ready.is_empty() && self.is_due(observed, journaled, now) {
            self.close(observed, now);
        }
        self.ready.pop_front()
    }

    fn is_due(&self, observed: Observed, journaled: Option<Observed>, now: Timestamp) -> bool {
        match self.from {
            Some(from) if self.calls => {
                let early = now >= self.early_from;
                now >= from.plus_ms(PERIOD_MS) || (early && has_moved(observed, self.said))
            },
            Some(_) | None => journaled.is_some_and(|journaled| {
                let emptied = observed.calls == 0 && journaled.calls > 0;
                let unknown = observed.failure_rate.is_none() && journaled.failure_rate.is_some();
                now >= self.closed_at.plus_ms(PERIOD_MS)
                    && (emptied || unknown || has_moved(observed, Some(journaled)))
            }),
        }
    }

    fn close(&mut self, observed: Observed, now: Timestamp) {
        let latencies = self.latencies.as_ref().map(Latencies::of).unwrap_or_default();
        if self.ready.len() >= MAX_READY {
            self.ready.pop_front();
        }
        self.ready.push_back(ObservationWindow {
            from: self.from.unwrap_or_else(|| start_of_second(now)),
            seconds: std::mem::take(&mut self.seconds),
            longest_failure_run: self.longest_run,
            injected: std::mem::take(&mut self.injected),
            latencies,
            observed,
        });
        self.from = None;
        self.calls = false;
        self.run = 0;
        self.longest_run = 0;
        if let Some(latencies) = &mut self.latencies {
            latencies.reset();
        }
        self.closed_at = now;
        self.early_from = now.plus_ms(EARLIEST_MS);
        self.said = Some(observed);
    }

    /// The bucket of `now`; a window whose time is over is closed first.
    fn second(&mut self, observed: Observed, now: Timestamp) -> Option<&mut Second> {
        if self.from.is_some_and(|from| now >= from.plus_ms(PERIOD_MS)) {
            if self.calls {
                self.close(observed, now);
            } else {
                self.from = None; // Only ignored outcomes: no observation.
                self.seconds.clear();
            }
        }
        let from = *self.from.get_or_insert_with(|| start_of_second(now));
        let index = usize::try_from(second_of(now).saturating_sub(second_of(from))).ok()?;
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        self.seconds.get_mut(index)
    }
}

/// A rate became known, or moved by a step.
fn has_moved(observed: Observed, said: Option<Observed>) -> bool {
    let said = said.unwrap_or_default();
    let moved = |new: Option<Rate>, old: Option<Rate>| match (new, old) {
        (Some(new), Some(old)) => {
            new.ten_thousandths().abs_diff(old.ten_thousandths()) >= STEP_TEN_THOUSANDTHS
        },
        (Some(_), None) => true,
        (None, _) => false,
    };
    moved(observed.failure_rate, said.failure_rate) || moved(observed.slow_rate, said.slow_rate)
}

const fn start_of_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_micros(second_of(moment) * 1_000_000)
}

/// A histogram costs 13 KB: it is made with the first call.
trait LazyHistogram {
    fn get_or_insert_default_histogram(&mut self) -> Option<&mut Histogram<u32>>;
}

impl LazyHistogram for Option<Histogram<u32>> {
    fn get_or_insert_default_histogram(&mut self) -> Option<&mut Histogram<u32>> {
        if self.is_none() {
            *self = empty_histogram();
        }
        self.as_mut()
    }
}
