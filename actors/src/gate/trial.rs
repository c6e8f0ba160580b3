//! Half-open: permits that are out and outcomes that are back, in one integer that is compared and
//! swapped.
//!
//! ```text
//!   63 ... 40  | 39 .. 30  | 29 .. 20 | 19 .. 10 | 9 .. 0
//!   generation | in flight | calls    | failures | slow
//! ```
//!
//! The generation is in it, so an outcome of an earlier half-open cannot be swapped in.

use super::window::Tally;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trial(u64);

const FIELD: u64 = 0x3ff;
const IN_FLIGHT: u32 = 30;
const CALLS: u32 = 20;
const FAILURES: u32 = 10;
const GENERATION: u32 = 40;

impl Trial {
    /// A half-open that begins.
    pub(super) const fn new(generation: u64) -> Self {
        Self(generation << GENERATION)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn is_of(self, generation: u64) -> bool {
        (self.0 >> GENERATION) == (generation & 0xff_ffff)
    }

    pub(super) const fn in_flight(self) -> u64 {
        (self.0 >> IN_FLIGHT) & FIELD
    }

    /// Outcomes that are back.
    pub(super) fn tally(self) -> Tally {
        let field = |at: u32| (self.0 >> at) & FIELD;
        Tally { calls: field(CALLS), failures: field(FAILURES), slow: field(0) }
    }

    /// A caller has a permit, or its outcome is back.
    pub(super) fn is_tried(self) -> bool {
        self.in_flight() > 0 || self.tally().calls > 0
    }

    /// One more permit is out, if it is among the first `permits`.
    pub(super) fn take(self, permits: u32) -> Option<Self> {
        let taken = self.in_flight() + self.tally().calls;
        (taken < u64::from(permits).min(FIELD)).then_some(Self(self.0 + (1 << IN_FLIGHT)))
    }

    /// A permit is back without an outcome.
    pub(super) fn give_back(self) -> Option<Self> {
        (self.in_flight() > 0).then_some(Self(self.0 - (1 << IN_FLIGHT)))
    }

    /// A permit is back with its outcome.
    pub(super) fn count(self, failed: bool, slow: bool) -> Option<Self> {
        let Self(bits) = self.give_back()?;
        let more = (1 << CALLS) | (u64::from(failed) << FAILURES) | u64::from(slow);
        Some(Self(bits + more))
    }
}
