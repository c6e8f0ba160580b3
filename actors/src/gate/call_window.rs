//! The window over the last `n` calls: any number of threads, each outcome in and out exactly once.
//!
//! ```text
//!   position ◄── head + 1        slots:  │ 0 │ … │ position mod n │ … │ n - 1 │
//!   1. the outcome is swapped in, what lay there is out ──┘
//!   2. the totals change by both, in one addition; by nothing if both weigh the same
//! ```
//!
//! A thread may be late with any step. Who swaps an outcome out subtracts it, and it was swapped in
//! once: so each is added once and subtracted once. One that is late by a whole round takes the place
//! of a later one. What is swapped out before it was added makes a total too low for that moment, and
//! who added it sees the right one.
//!
//! A success that follows a success, as most do, changes nothing but the head.

use std::sync::atomic::AtomicU64 as Counter;

use super::sync::{AtomicU8, AtomicU64, Ordering};
use super::window::Tally;

/// See the module.
#[derive(Debug)]
pub(super) struct CallWindow {
    /// No other has it in this process.
    id: u64,
    /// The generation it began with.
    began: u64,
    calls: u64,
    /// 2^64 by `calls`, rounded up: a remainder by it is two multiplications and no division.
    reciprocal: u64,
    slots: Box<[AtomicU8]>,
    head: Line,
    /// Calls, failures and slow ones, 21 bits each, signed.
    totals: Line,
}

/// Alone on its cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Line(AtomicU64);

const FIELD: u32 = 21;

/// What lies in a slot: nothing, or a call.
const EMPTY: u8 = 0;
const COUNTED: u8 = 1;
const FAILED: u8 = 2;
const SLOW: u8 = 4;

/// Numbers of windows: of no window is 0.
static NEXT: Counter = Counter::new(1);

fn weight(slot: u8) -> u64 {
    let of = |bit: u8, at: u32| u64::from(slot & bit != 0) << (at * FIELD);
    of(COUNTED, 0) | of(FAILED, 1) | of(SLOW, 2)
}

impl CallWindow {
    /// An empty one over so many calls.
    pub(super) fn new(began: u64, calls: u32) -> Self {
        let calls = calls.max(1);
        let reciprocal = (u64::MAX / u64::from(calls)).wrapping_add(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            began,
            calls: u64::from(calls),
            reciprocal,
            slots: (0..calls).map(|_| AtomicU8::new(EMPTY)).collect(),
            head: Line(AtomicU64::new(0)),
            totals: Line(AtomicU64::new(0)),
        }
    }

    /// Of another length, with what this one holds; what is reported meanwhile may be left out.
    pub(super) fn resized(&self, calls: u32) -> Self {
        let new = Self::new(self.began, calls);
        let head = self.head.0.load(Ordering::Acquire);
        for position in head.saturating_sub(self.calls)..head {
            let slot = self.slot(position).map_or(EMPTY, |slot| slot.load(Ordering::Acquire));
            if slot & COUNTED != 0 {
                new.add(slot & FAILED != 0, slot & SLOW != 0);
            }
        }
        new
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) const fn began(&self) -> u64 {
        self.began
    }

    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    fn slot(&self, position: u64) -> Option<&AtomicU8> {
        self.slots.get(usize::try_from(self.place(position)).ok()?)
    }

    /// `position` modulo `calls`. Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019;
    /// exact for 32 bits.
    fn place(&self, position: u64) -> u64 {
        if u32::try_from(position).is_err() {
            return position % self.calls;
        }
        let (_, place) = self.reciprocal.wrapping_mul(position).carrying_mul(self.calls, 0);
        place
    }

    /// Counts an outcome; what is in the window then, if that has changed.
    pub(super) fn add(&self, failed: bool, slow: bool) -> Option<Tally> {
        let position = self.head.0.fetch_add(1, Ordering::Relaxed);
        let kind = COUNTED | if failed { FAILED } else { 0 } | if slow { SLOW } else { 0 };
        let slot = self.slot(position)?;
        // Read first: the line stays with everybody while nothing fails.
        if kind == COUNTED && slot.load(Ordering::Relaxed) == COUNTED {
            return None;
        }
        let out = slot.swap(kind, Ordering::AcqRel);
        let by = weight(kind).wrapping_sub(weight(out));
        let before = (by != 0).then(|| self.totals.0.fetch_add(by, Ordering::AcqRel))?;
        Some(tally(before.wrapping_add(by)))
    }

    /// What is in it.
    pub(super) fn tally(&self) -> Tally {
        tally(self.totals.0.load(Ordering::Acquire))
    }
}

/// A field that is below zero for a moment has borrowed from the next, and counts as zero; what is
/// added before the call that it is of counts with it.
fn tally(totals: u64) -> Tally {
    let above = 64 - FIELD;
    let mut rest = totals.cast_signed();
    let mut field = || {
        let low = (rest << above) >> above;
        rest = rest.wrapping_sub(low) >> FIELD;
        low.max(0).cast_unsigned()
    };
    let calls = field();
    Tally { calls, failures: field().min(calls), slow: field().min(calls) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::CallWindow;

    #[test]
    fn a_place_is_the_remainder_of_the_position() {
        for calls in (1..300).chain([999, 1_000, 1_024, 4_095, 8_192, 9_999, 10_000]) {
            let window = CallWindow::new(1, calls);
            let n = u64::from(calls);
            let top = u64::from(u32::MAX);
            let edges =
                [0, 1, n - 1, n, n + 1, top / n * n, top / n * n - 1, top - 1, top, top + 1];
            for position in edges.into_iter().chain((0..200).map(|k| k * 21_474_836 + k)) {
                assert_eq!(window.place(position), position % n, "{position} by {n}");
            }
        }
    }
}
