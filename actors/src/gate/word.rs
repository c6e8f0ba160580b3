//! All that an admission looks at, in one integer that is compared and swapped.
//!
//! ```text
//!   63 ........ 16 | 15 ................. 4 | 3 | 2 .. 0
//!   generation     | what to look at        | P | mode
//! ```
//!
//! `P`, pending: a verdict over this generation was found and is on its way to the journal. Who
//! swaps it in has found it; there is one finder a generation.

use crate::dependency::Mode;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

/// Where the generation begins.
const GENERATION: u32 = 16;
const MODE: u64 = 0b111;

impl Word {
    /// A verdict is on its way.
    pub(super) const PENDING: u64 = 1 << 3;
    /// Failures were counted below `minimum_calls`: a success may make the rate known.
    pub(super) const WATCH: u64 = 1 << 4;
    /// Faults are injected.
    pub(super) const FAULTED: u64 = 1 << 5;
    /// Slow calls are told apart by less than the tick of the clock can.
    pub(super) const EXACT: u64 = 1 << 6;
    /// The window is over calls.
    pub(super) const BY_CALLS: u64 = 1 << 7;
    /// `metrics_only`: the threshold was crossed in this generation.
    pub(super) const CROSSED: u64 = 1 << 8;
    /// Callers open the half, when the time is over.
    pub(super) const CALLERS_OPEN: u64 = 1 << 9;
    /// The state is not in the journal yet.
    pub(super) const UNJOURNALED: u64 = 1 << 10;
    /// What the journal does not say: kept when it is followed within a generation.
    pub(super) const OURS: u64 = Self::PENDING | Self::WATCH | Self::KEPT;
    /// Kept over generations, too.
    pub(super) const KEPT: u64 = Self::FAULTED | Self::UNJOURNALED;

    /// Of a dependency that is not configured, or was retired.
    pub(super) const NONE: Self = Self(0);
    /// Its host has ended.
    pub(super) const ENDED: Self = Self(7);

    pub(super) const fn new(mode: Mode, generation: u64, flags: u64) -> Self {
        let mode = match mode {
            Mode::Closed => 1,
            Mode::Open => 2,
            Mode::HalfOpen => 3,
            Mode::ForcedOpen => 4,
            Mode::Disabled => 5,
            Mode::MetricsOnly => 6,
        };
        Self((generation << GENERATION) | flags | mode)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// `None`: unconfigured, retired or ended.
    pub(super) const fn mode(self) -> Option<Mode> {
        Some(match self.0 & MODE {
            1 => Mode::Closed,
            2 => Mode::Open,
            3 => Mode::HalfOpen,
            4 => Mode::ForcedOpen,
            5 => Mode::Disabled,
            6 => Mode::MetricsOnly,
            _ => return None,
        })
    }

    pub(super) const fn has_ended(self) -> bool {
        self.0 & MODE == Self::ENDED.0
    }

    /// The lower 48 bits of it.
    pub(super) const fn generation(self) -> u64 {
        self.0 >> GENERATION
    }

    pub(super) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    pub(super) const fn with(self, flag: u64) -> Self {
        Self(self.0 | flag)
    }

    pub(super) const fn without(self, flag: u64) -> Self {
        Self(self.0 & !flag)
    }

    /// The common case, in one comparison: closed, no verdict on its way, no faults.
    pub(super) const fn is_plainly_closed(self) -> bool {
        self.0 & (MODE | Self::PENDING | Self::FAULTED) == 1
    }

    /// Plainly closed, calls are timed by the tick, and no failure makes a second look necessary.
    pub(super) const fn is_wholly_plain(self) -> bool {
        let other = Self::PENDING | Self::FAULTED | Self::WATCH | Self::EXACT;
        self.0 & (MODE | other) == 1
    }

    /// A success needs no second look: closed, over seconds, no failures that make it one.
    pub(super) const fn is_plain(self) -> bool {
        self.0 & (MODE | Self::WATCH | Self::BY_CALLS) == 1
    }

    /// Another generation: a permit of the one decides nothing in the other.
    pub(super) const fn is_of(self, other: Self) -> bool {
        (self.0 ^ other.0) >> GENERATION == 0
    }
}
