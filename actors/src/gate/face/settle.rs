//! How calls went: counted, and looked at where they may decide.

use std::sync::PoisonError;

use super::{Face, Found, Lane, RUN, Settled, Ticket, sum};
use crate::dependency::Mode;
use crate::gate::Outcome;
use crate::gate::recent;
use crate::gate::stripe::Stripe;
use crate::gate::sync::{AtomicU32, Ordering, fence};
use crate::gate::trial::Trial;
use crate::gate::window::Tally;
use crate::gate::word::Word;

impl Face {
    /// Counts a success of a wholly plain state by the thread that owns the stripe; false, and
    /// nothing is counted, if the state is another one now or a row of failures ends with it. A
    /// window over calls is the caller's to count in.
    #[inline]
    pub(in crate::gate) fn settle_plainly(&self, ticket: Ticket, stripe: &Stripe) -> bool {
        let is_same = self.word() == ticket.word && self.run.load(Ordering::Relaxed) & RUN == 0;
        if is_same {
            stripe.call(ticket.word.generation(), false);
        }
        is_same
    }

    /// Counts a success that was settled plainly in the window over calls; true if a verdict was
    /// found by it.
    pub(in crate::gate) fn succeed_by_calls<'s, I: Iterator<Item = &'s Stripe>>(
        &self,
        ticket: Ticket,
        stripes: impl FnOnce() -> I,
    ) -> bool {
        let counted = self.count_by_calls(ticket.word.generation(), false, false);
        counted.is_some() && self.look(ticket.word, counted, stripes)
    }

    /// Tells how a call went.
    #[inline]
    pub(in crate::gate) fn settle<'s, I: Iterator<Item = &'s Stripe>>(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        slow: bool,
        lane: Lane<'_>,
        stripes: impl FnOnce() -> I,
    ) -> Settled {
        let word = self.word();
        let plain = word.is_plain() && word.is_of(ticket.word) && !lane.is_shared;
        if plain && outcome == Outcome::Success && !slow {
            lane.stripe.call(word.generation(), false);
            self.end_run(word.generation());
            return Settled::COUNTED;
        }
        self.settle_otherwise((word, ticket), outcome, slow, lane, stripes)
    }

    fn settle_otherwise<'s, I: Iterator<Item = &'s Stripe>>(
        &self,
        (word, ticket): (Word, Ticket),
        outcome: Outcome,
        slow: bool,
        lane: Lane<'_>,
        stripes: impl FnOnce() -> I,
    ) -> Settled {
        let Some(mode) = word.mode() else { return Settled::NOWHERE };
        let (failed, ignored) = (outcome == Outcome::Failure, outcome == Outcome::Ignored);
        let generation = word.generation();
        if mode == Mode::Disabled {
            return Settled::NOWHERE;
        }
        if !word.is_of(ticket.word) {
            self.count_late(failed, slow, ignored);
            return if ignored { Settled::NOWHERE } else { Settled::LATE };
        }
        let trial = mode == Mode::HalfOpen;
        if ignored {
            if !lane.other(generation, false, true) {
                self.count_late(false, false, true);
            }
            if trial {
                self.swap_trial(generation, Trial::give_back);
            }
            return Settled::NOWHERE;
        }
        if !lane.call(generation, failed) {
            self.count_late(failed, slow, false);
            return Settled::LATE;
        }
        if slow {
            // Of a later generation now: then this is none of its slow calls.
            let _ = lane.other(generation, true, false);
        }
        self.count_run(generation, failed);
        let by_calls = word.has(Word::BY_CALLS);
        let counted = if by_calls { self.count_by_calls(generation, failed, slow) } else { None };
        if trial {
            let found = self.settle_trial(generation, failed, slow);
            return Settled { found, ..Settled::COUNTED };
        }
        // A window over calls that has not changed is not looked at: who changed it has.
        let looks =
            if by_calls { counted.is_some() } else { failed || slow || word.has(Word::WATCH) };
        let may_trip = match mode {
            Mode::Closed => !word.has(Word::PENDING),
            Mode::MetricsOnly => !word.has(Word::PENDING | Word::CROSSED),
            Mode::Open | Mode::HalfOpen | Mode::ForcedOpen | Mode::Disabled => false,
        };
        let found = looks && may_trip && self.look(word, counted, stripes);
        Settled { found, ..Settled::COUNTED }
    }

    /// Whether the window has reached a threshold, and we are the first to see it.
    fn look<'s, I: Iterator<Item = &'s Stripe>>(
        &self,
        word: Word,
        counted: Option<Tally>,
        stripes: impl FnOnce() -> I,
    ) -> bool {
        if counted.is_none() {
            // Of two threads that count at the same time, at least one sees the other's count.
            fence(Ordering::SeqCst);
        }
        let generation = word.generation();
        let told = self.behind.figures.read();
        if told.generation != generation {
            return false;
        }
        let window = counted.unwrap_or_else(|| told.with(sum(stripes(), generation)));
        let minimum = u64::from(told.thresholds.minimum_calls);
        if let Some(evidence) = told.thresholds.reached(window, self.run(generation)) {
            return self.find(Found { generation, healthy: None, evidence });
        }
        let watch = window.calls < minimum && window.failures + window.slow > 0;
        if watch != word.has(Word::WATCH) {
            self.change(generation, |word| {
                if watch { word.with(Word::WATCH) } else { word.without(Word::WATCH) }
            });
        }
        false
    }

    /// Counts a trial's outcome; true if it was the last one, and nobody had found the verdict.
    fn settle_trial(&self, generation: u64, failed: bool, slow: bool) -> bool {
        let Some(trial) = self.swap_trial(generation, |trial| trial.count(failed, slow)) else {
            return false;
        };
        let told = self.behind.figures.read();
        let verdict = told.thresholds.on_trial(trial.tally(), self.run(generation));
        verdict.filter(|_| told.generation == generation).is_some_and(|(healthy, evidence)| {
            self.find(Found { generation, healthy: Some(healthy), evidence })
        })
    }

    /// Swaps `pending` in; true if nobody had.
    pub(in crate::gate) fn pend(&self, generation: u64) -> bool {
        let pending = self.change(generation, |word| word.with(Word::PENDING));
        pending.is_some_and(|before| !before.has(Word::PENDING))
    }

    fn find(&self, found: Found) -> bool {
        let is_first = self.pend(found.generation);
        if is_first {
            let mut held = self.behind.found.lock().unwrap_or_else(PoisonError::into_inner);
            // A thread that comes late leaves what was found after it.
            if held.as_ref().is_none_or(|other| other.generation < found.generation) {
                *held = Some(found);
            }
        }
        is_first
    }

    /// A verdict that nobody has is none: it may be found again.
    pub(in crate::gate) fn forget_pending(&self, generation: u64) {
        self.change(generation, |word| word.without(Word::PENDING));
    }

    /// What a caller has found and the keeper has not yet heard.
    pub(in crate::gate) fn take_found(&self) -> Option<Found> {
        self.behind.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    #[inline]
    fn end_run(&self, generation: u64) {
        // Read first: the line stays with everybody while nothing fails.
        if self.run.load(Ordering::Relaxed) & RUN != 0 {
            self.count_run(generation, false);
        }
    }

    /// Counts a failure in a row, or ends the row; nothing for another generation's.
    pub(in crate::gate) fn count_run(&self, generation: u64, failed: bool) {
        let mut now = self.run.load(Ordering::Relaxed);
        loop {
            let run = now & RUN;
            if now >> 32 != generation & RUN || (run == 0 && !failed) {
                return;
            }
            let run = if failed { (run + 1).min(RUN) } else { 0 };
            let next = (now & !RUN) | run;
            match self.run.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    let run = u32::try_from(run).unwrap_or(u32::MAX);
                    self.longest_run.fetch_max(run, Ordering::Relaxed);
                    return;
                },
                Err(other) => now = other,
            }
        }
    }

    fn count_late(&self, failed: bool, slow: bool, ignored: bool) {
        let one = |count: &AtomicU32, is: bool| {
            if is {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        one(&self.behind.late.calls, !ignored);
        one(&self.behind.late.failures, failed);
        one(&self.behind.late.slow, slow && !ignored);
        one(&self.behind.late.ignored, ignored);
    }

    /// Counts a call that its stripe has counted, or that came too late for it, as one under an
    /// injected fault.
    pub(in crate::gate) fn count_injected(&self, failed: bool, slow: bool, late: bool) {
        for (count, more) in self.behind.late.injected.iter().zip([true, failed, slow, late]) {
            count.fetch_add(u32::from(more), Ordering::Relaxed);
        }
    }

    /// Counts in the window over calls, unless it began with a later generation; what is in it then,
    /// if that has changed.
    pub(in crate::gate) fn count_by_calls(
        &self,
        generation: u64,
        failed: bool,
        slow: bool,
    ) -> Option<Tally> {
        let fetch = || self.behind.by_calls.load_full();
        let counted = recent::window(self.window.load(Ordering::Acquire), fetch, |window| {
            if window.began() <= generation { window.add(failed, slow) } else { None }
        });
        counted.flatten()
    }
}
