//! A gate follows the durable state, and callers see it.

use super::figures::Told;
use super::verdict::Thresholds;
use super::window::Tally;
use super::word::Word;
use super::{EXACT_BELOW_MS, Gate, Journaled, LIFE_BITS};
use crate::dependency::{Breaker, BreakerSettings, DependencyState, Mode, Window};
use crate::time::Timestamp;

impl Gate {
    /// Follows the durable state. Another generation voids permits, trial and verdict; a breaker
    /// that begins to count for closing or `metrics_only` begins with an empty window. New
    /// settings alone keep everything. An older generation than the known one is ignored.
    pub fn sync(&mut self, state: &DependencyState, now: Timestamp) {
        let now = self.advance(now);
        self.gather(now);
        let breaker = state.breaker;
        let Some(settings) = state.settings.as_ref().filter(|_| !state.retired) else {
            self.journaled = None;
            self.begin(&breaker);
            self.spot.face().follow(Word::NONE, None, !Word::FAULTED);
            return;
        };
        let settings = settings.breaker.clone();
        let known = self.journaled.as_ref().map(|known| known.breaker.generation);
        if known.is_some_and(|known| breaker.generation < known) {
            return;
        }
        // Another length keeps what is in the window; another kind cannot.
        let mut anew =
            std::mem::discriminant(&self.shape) != std::mem::discriminant(&settings.window);
        self.shape = settings.window;
        if let Window::Seconds(seconds) = settings.window {
            self.window.resize(seconds);
        }
        let mut dropped = 0;
        match known {
            None => {
                self.life += 1;
                self.begin(&breaker);
                self.gathered.skip_latencies();
                anew = true;
                self.traffic.begin(now);
                self.traffic.follow(state.observed);
            },
            Some(known) if breaker.generation > known => {
                self.begin(&breaker);
                anew |= matches!(breaker.mode, Mode::Closed | Mode::MetricsOnly);
                self.traffic.follow(state.observed);
            },
            Some(_) if breaker.crossed => {
                self.verdict = None;
                dropped = Word::PENDING;
            },
            Some(_) => {},
        }
        if anew {
            self.window.clear();
        }
        self.show(&settings, &breaker, anew, dropped);
        self.journaled = Some(Journaled { settings, breaker, observed: state.observed });
        self.tell(now);
    }

    /// The state that it follows is, or is not, one that the journal does not have yet.
    pub fn mark_unjournaled(&self, is: bool) {
        self.spot.face().mark(Word::UNJOURNALED, is);
    }

    pub(super) fn begin(&mut self, breaker: &Breaker) {
        self.permits.begin(breaker.generation);
        self.probes = Tally::default();
        self.verdict = None;
        let (face, tag) = (self.spot.face(), self.tag());
        face.begin_run(tag);
        if breaker.mode == Mode::HalfOpen {
            face.begin_trial(tag, self.opener);
        } else {
            self.opener = false;
        }
    }

    /// What callers know the generation by: it differs in every life.
    pub(super) const fn tag(&self) -> u64 {
        (self.permits.generation() << LIFE_BITS) | (self.life & ((1 << LIFE_BITS) - 1))
    }

    pub(super) const fn is_over_calls(&self) -> bool {
        matches!(self.shape, Window::Calls(_))
    }

    /// Callers see this state from now on.
    pub(super) fn show(
        &self,
        settings: &BreakerSettings,
        breaker: &Breaker,
        anew: bool,
        dropped: u64,
    ) {
        let face = self.spot.face();
        let exact = settings.slow_call_ms.is_some_and(|ms| ms < EXACT_BELOW_MS);
        let by_calls = self.is_over_calls();
        if let Window::Calls(calls) = settings.window {
            face.shape_calls(self.tag(), calls, anew);
        }
        let slow_us = settings.slow_call_ms.map(|ms| ms.saturating_mul(1_000));
        face.set_limits(slow_us, settings.open_for_ms);
        let flag = |is: bool, flag: u64| if is { flag } else { 0 };
        let flags = flag(exact, Word::EXACT)
            | flag(by_calls, Word::BY_CALLS)
            | flag(breaker.crossed, Word::CROSSED)
            | flag(!settings.auto_half_open, Word::CALLERS_OPEN);
        // Whoever sees the new generation finds its thresholds.
        let window = if anew { Tally::default() } else { self.told.window };
        let thresholds = Thresholds::of(settings);
        let tag = self.tag();
        let read = self.gathered.of(tag);
        face.tell(&Told { generation: tag, window, read, thresholds });
        face.follow(Word::new(breaker.mode, tag, flags), breaker.until, dropped);
    }

    /// Tells callers the window as it is now.
    pub(super) fn tell(&mut self, now: Timestamp) {
        let Some(Journaled { settings, .. }) = &self.journaled else { return };
        let generation = self.tag();
        let thresholds = Thresholds::of(settings);
        let read = self.gathered.of(generation);
        let told = Told { generation, window: self.window.tally(now), read, thresholds };
        if told != self.told {
            self.spot.face().tell(&told);
            self.told = told;
        }
    }
}
