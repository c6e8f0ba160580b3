//! What the keeper of a gate does with its face.

use std::sync::{Arc, PoisonError};

use super::{Face, Late, RUN, Taken};
use crate::gate::call_window::CallWindow;
use crate::gate::figures::Told;
use crate::gate::sync::{AtomicU32, Ordering};
use crate::gate::trial::Trial;
use crate::gate::window::Tally;
use crate::gate::word::Word;
use crate::time::Timestamp;

impl Face {
    /// From now on this state. What callers swapped in is kept within a generation.
    pub(in crate::gate) fn follow(&self, word: Word, until: Option<Timestamp>, drop: u64) {
        self.until_us.store(until.map_or(0, Timestamp::as_micros), Ordering::Relaxed);
        let mut now = self.word.load(Ordering::Acquire);
        loop {
            let before = Word::from_bits(now);
            if before.has_ended() {
                return;
            }
            let within = before.mode().is_some() && before.is_of(word);
            let kept = if within { Word::OURS } else { Word::KEPT };
            let next = word.bits() | (now & kept & !drop);
            match self.word.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Nothing is admitted any more, for good.
    pub(in crate::gate) fn end(&self) {
        self.word.swap(Word::ENDED.bits(), Ordering::AcqRel);
    }

    /// Sets or clears one of [`Word::KEPT`].
    pub(in crate::gate) fn mark(&self, flag: u64, is: bool) {
        if is {
            self.word.fetch_or(flag, Ordering::AcqRel);
        } else {
            self.word.fetch_and(!flag, Ordering::AcqRel);
        }
    }

    pub(in crate::gate) fn set_limits(&self, slow_us: Option<u64>, open_for_ms: u64) {
        self.slow_us.store(slow_us.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.behind.open_for_ms.store(open_for_ms, Ordering::Relaxed);
    }

    pub(in crate::gate) fn tell(&self, told: &Told) {
        self.behind.figures.write(told);
    }

    /// Begins a half-open; `reserved` permits are out already.
    pub(in crate::gate) fn begin_trial(&self, generation: u64, reserved: bool) {
        let trial = Trial::new(generation);
        let trial = if reserved { trial.take(1).unwrap_or(trial) } else { trial };
        self.trial.swap(trial.bits(), Ordering::AcqRel);
    }

    /// Failures in a row count anew.
    pub(in crate::gate) fn begin_run(&self, generation: u64) {
        self.run.swap((generation & RUN) << 32, Ordering::AcqRel);
        *self.behind.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Failures in a row of this generation.
    pub(in crate::gate) fn run(&self, generation: u64) -> u32 {
        let run = self.run.load(Ordering::Relaxed);
        let is_ours = run >> 32 == generation & RUN;
        if is_ours { u32::try_from(run & RUN).unwrap_or(u32::MAX) } else { 0 }
    }

    /// The window is over so many calls from now on, empty if `anew`.
    pub(in crate::gate) fn shape_calls(&self, generation: u64, calls: u32, anew: bool) {
        let before = self.behind.by_calls.load_full().filter(|_| !anew);
        let next = match before {
            Some(before) if before.calls() == u64::from(calls) => return,
            Some(before) => before.resized(calls),
            None => CallWindow::new(generation, calls),
        };
        let id = next.id();
        self.behind.by_calls.store(Some(Arc::new(next)));
        // Whoever sees the number finds the window.
        self.window.store(id, Ordering::Release);
    }

    pub(in crate::gate) fn calls_tally(&self) -> Tally {
        self.behind.by_calls.load().as_ref().map(|window| window.tally()).unwrap_or_default()
    }

    /// What has come beside the stripes.
    pub(in crate::gate) fn take(&self, generation: u64) -> Taken {
        let take = |count: &AtomicU32| count.swap(0, Ordering::Relaxed);
        let Late { calls, failures, slow, ignored, injected } = &self.behind.late;
        Taken {
            late: [take(calls), take(failures), take(slow), take(ignored)],
            injected: injected.each_ref().map(take),
            run: self.run(generation),
            longest_run: take(&self.longest_run),
        }
    }
}
