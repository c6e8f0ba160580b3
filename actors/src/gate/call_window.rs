//! The window over the last `n` calls: any number of threads, each outcome in and out exactly once.
//!
//! ```text
//!   position ◄── head + 1            slots:  … │ p - n │ … │ p │ …
//!   1. what is at p - n goes out ─────────────────▲          ▲
//!   2. the totals change by both, in one addition            │
//!   3. the outcome goes in ──────────────────────────────────┘
//! ```
//!
//! A thread may be late with any step. Who replaces what lies in a slot takes it out, whoever that
//! was meant to be; who finds a later position in its slot was taken out before, and takes back what
//! it added. So each outcome is added once and subtracted once, and never before it was added.

use super::sync::{AtomicU64, Ordering};
use super::window::Tally;

/// See the module.
#[derive(Debug)]
pub(super) struct CallWindow {
    /// The generation it began with.
    began: u64,
    calls: u64,
    head: Line,
    /// Calls, failures and slow ones, 21 bits each.
    totals: Line,
    slots: Box<[AtomicU64]>,
}

/// Alone on its cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Line(AtomicU64);

/// Slots on a cache line: neighbours in time lie on different lines.
const ON_A_LINE: u64 = 8;
const FIELD: u32 = 21;
const MASK: u64 = (1 << FIELD) - 1;

/// What lies in a slot: the position and one of these.
const EMPTY: u64 = 0;
const COUNTED: u64 = 1;
const FAILED: u64 = 2;
const SLOW: u64 = 4;
const OUT: u64 = 8;
const KINDS: u32 = 4;

const fn weight(slot: u64) -> u64 {
    let (failed, slow) = ((slot & FAILED) >> 1, (slot & SLOW) >> 2);
    (slot & COUNTED) | (failed << FIELD) | (slow << (2 * FIELD))
}

impl CallWindow {
    /// An empty one over so many calls.
    pub(super) fn new(began: u64, calls: u32) -> Self {
        let calls = u64::from(calls.max(1));
        let slots = calls.next_power_of_two().max(ON_A_LINE * ON_A_LINE);
        Self {
            began,
            calls,
            head: Line(AtomicU64::new(0)),
            totals: Line(AtomicU64::new(0)),
            slots: (0..slots).map(|_| AtomicU64::new(EMPTY)).collect(),
        }
    }

    /// Of another length, with what this one holds; what is reported meanwhile may be left out.
    pub(super) fn resized(&self, calls: u32) -> Self {
        let new = Self::new(self.began, calls);
        let head = self.head.0.load(Ordering::Acquire);
        for position in head.saturating_sub(self.calls)..head {
            let slot = self.slot(position).map_or(EMPTY, |slot| slot.load(Ordering::Acquire));
            if slot >> KINDS == position && slot & COUNTED != 0 {
                new.add(slot & FAILED != 0, slot & SLOW != 0);
            }
        }
        new
    }

    pub(super) const fn began(&self) -> u64 {
        self.began
    }

    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    fn slot(&self, position: u64) -> Option<&AtomicU64> {
        let slots = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let at = position & (slots - 1);
        let lines = slots / ON_A_LINE;
        let spread = (at & (lines - 1)) * ON_A_LINE + (at >> lines.trailing_zeros());
        self.slots.get(usize::try_from(spread).ok()?)
    }

    /// Counts an outcome; what is in the window then.
    pub(super) fn add(&self, failed: bool, slow: bool) -> Tally {
        let position = self.head.0.fetch_add(1, Ordering::AcqRel);
        let kind = COUNTED | if failed { FAILED } else { 0 } | if slow { SLOW } else { 0 };
        let oldest = position.checked_sub(self.calls);
        let out = oldest.map_or(0, |oldest| self.replace(oldest, OUT).unwrap_or(0));
        let totals = self.change(weight(kind).wrapping_sub(out));
        let totals = match self.replace(position, kind) {
            Some(0) => totals,
            Some(out) => self.change(0_u64.wrapping_sub(out)),
            None => self.change(0_u64.wrapping_sub(weight(kind))),
        };
        tally(totals)
    }

    fn change(&self, by: u64) -> u64 {
        if by == 0 {
            return self.totals.0.load(Ordering::Acquire);
        }
        self.totals.0.fetch_add(by, Ordering::AcqRel).wrapping_add(by)
    }

    /// Puts something in at a position; what that has taken out weighed. `None` if a later position
    /// is there, or it was taken out itself.
    fn replace(&self, position: u64, with: u64) -> Option<u64> {
        let slot = self.slot(position)?;
        let (next, out) = ((position << KINDS) | with, (position << KINDS) | OUT);
        let mut now = slot.load(Ordering::Acquire);
        loop {
            if now >> KINDS > position || now == out {
                return None;
            }
            match slot.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(weight(now)),
                Err(other) => now = other,
            }
        }
    }

    /// What is in it.
    pub(super) fn tally(&self) -> Tally {
        tally(self.totals.0.load(Ordering::Acquire))
    }
}

fn tally(totals: u64) -> Tally {
    let field = |at: u32| (totals >> (at * FIELD)) & MASK;
    Tally { calls: field(0), failures: field(1), slow: field(2) }
}
