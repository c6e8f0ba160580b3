//! The side of a gate that callers see: read and swapped from any thread, without a lock.
//!
//! ```text
//!   enter ──► word: closed ──────────────► admitted
//!             word: half-open ──► trial: one permit more, swapped in ──► admitted
//!   settle ─► the caller's stripe counts
//!             failed, slow ──► window = figures + stripes ──► a threshold is reached?
//!             half-open ─────► trial: its outcome, swapped in ──► the last one?
//!                                         └──► swap `pending` into the word; who wins has found
//!                                              the verdict, and nothing more is admitted
//! ```
//!
//! The decision is the same pure one that the keeper makes. What a caller finds holds at once; the
//! keeper takes it to the journal.

mod keeper;
mod settle;

use std::marker::PhantomData;

use arc_swap::ArcSwapOption;

use super::call_window::CallWindow;
use super::figures::Figures;
use super::stripe::Stripe;
use super::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use super::trial::Trial;
use super::verdict::Thresholds;
use super::word::Word;
use super::{HALF_OPEN_RETRY_MS, SOON_MS};
use crate::dependency::{Evidence, Mode};
use crate::time::Timestamp;

/// See the module. What a call looks at lies on one cache line, and the faces of many gates side by
/// side.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Face {
    word: AtomicU64,
    /// A call that took longer is slow, in microseconds.
    slow_us: AtomicU64,
    /// When the state ends, in microseconds; 0: never.
    until_us: AtomicU64,
    /// The number of the window over calls, if it is one.
    window: AtomicU64,
    trial: AtomicU64,
    /// Failures in a row: the generation they are of, and how many.
    run: AtomicU64,
    /// Most failures in a row since it was asked.
    longest_run: AtomicU32,
    behind: Box<Behind>,
}

const _: () = assert!(size_of::<Face>() == 64 || cfg!(loom));

/// What most calls do not look at.
#[derive(Debug)]
struct Behind {
    /// The first stay in open, in milliseconds: the best guess while a trip is on its way.
    open_for_ms: AtomicU64,
    figures: Figures,
    late: Late,
    /// The window over calls.
    by_calls: ArcSwapOption<CallWindow>,
    found: Mutex<Option<Found>>,
}

/// Outcomes of earlier generations, and calls under an injected fault.
#[derive(Debug)]
struct Late {
    calls: AtomicU32,
    failures: AtomicU32,
    slow: AtomicU32,
    ignored: AtomicU32,
    injected: [AtomicU32; 4],
}

/// What is taken from [`Face`] beside the stripes, since the last time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    /// Calls, failures, slow and ignored ones of earlier generations.
    pub(super) late: [u32; 4],
    /// Calls under an injected fault; failures, slow and late ones among them.
    pub(super) injected: [u32; 4],
    pub(super) run: u32,
    pub(super) longest_run: u32,
}

/// What became of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    /// Its stripe has counted it as a call.
    pub(super) counted: bool,
    /// It is counted for the statistics only: it came too late for the window.
    pub(super) late: bool,
    /// A verdict was found by it.
    pub(super) found: bool,
}

impl Settled {
    const COUNTED: Self = Self { counted: true, late: false, found: false };
    const LATE: Self = Self { counted: false, late: true, found: false };
    const NOWHERE: Self = Self { counted: false, late: false, found: false };
}

/// The lower half of [`Face::run`].
const RUN: u64 = 0xffff_ffff;

/// A verdict that a caller has found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) generation: u64,
    /// Of a trial: whether it was healthy.
    pub(super) healthy: Option<bool>,
    pub(super) evidence: Evidence,
}

/// The right to make one call, in the process that was given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub(super) word: Word,
    /// When, by the tick, in microseconds.
    pub(super) began_us: u64,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Yes.
    Admitted(Ticket),
    /// No; try again in so many milliseconds, if a time is known.
    Rejected {
        /// Milliseconds until it is worth asking again.
        retry_after_ms: Option<u64>,
        /// The breaker's state.
        mode: Mode,
    },
    /// The open time is over, and callers open the half: ask the keeper.
    TryHalfOpen,
    /// The dependency is not configured, or retired.
    Unknown,
    /// The host has ended.
    Ended,
}

/// A breaker that is open: its answer to a caller, small enough for registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shut {
    /// [`UNKNOWN_MS`] or the milliseconds until it is worth asking again.
    retry_after_ms: u64,
    /// The breaker's state.
    pub mode: Mode,
}

const UNKNOWN_MS: u64 = u64::MAX;

impl Shut {
    /// Milliseconds until it is worth asking again, if that is known.
    #[inline]
    #[must_use]
    pub const fn retry_after_ms(self) -> Option<u64> {
        if self.retry_after_ms == UNKNOWN_MS { None } else { Some(self.retry_after_ms) }
    }
}

/// Where a thread counts; it stays on its thread.
#[derive(Debug, Clone, Copy)]
pub struct Lane<'s> {
    pub(super) stripe: &'s Stripe,
    /// Other threads count here, too.
    pub(super) is_shared: bool,
    pub(super) on_its_thread: PhantomData<*const ()>,
}

/// A call on the short way; it stays on its thread.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'s> {
    pub(super) ticket: Ticket,
    pub(super) lane: Lane<'s>,
}

impl Plain<'_> {
    /// The right to make the call.
    #[inline]
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Lane<'_> {
    fn call(self, generation: u64, failed: bool) -> bool {
        if self.is_shared {
            return self.stripe.call_shared(generation, failed);
        }
        self.stripe.call(generation, failed);
        true
    }

    fn other(self, generation: u64, slow: bool, ignored: bool) -> bool {
        if self.is_shared {
            return self.stripe.other_shared(generation, slow, ignored);
        }
        self.stripe.other(generation, slow, ignored);
        true
    }
}

impl Face {
    pub(super) fn new() -> Self {
        let zero = || AtomicU32::new(0);
        Self {
            word: AtomicU64::new(Word::NONE.bits()),
            until_us: AtomicU64::new(0),
            slow_us: AtomicU64::new(u64::MAX),
            run: AtomicU64::new(0),
            longest_run: zero(),
            window: AtomicU64::new(0),
            trial: AtomicU64::new(0),
            behind: Box::new(Behind {
                open_for_ms: AtomicU64::new(0),
                figures: Figures::new(),
                late: Late {
                    calls: zero(),
                    failures: zero(),
                    slow: zero(),
                    ignored: zero(),
                    injected: [zero(), zero(), zero(), zero()],
                },
                by_calls: ArcSwapOption::empty(),
                found: Mutex::new(None),
            }),
        }
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn slow_us(&self) -> u64 {
        self.slow_us.load(Ordering::Relaxed)
    }

    /// Whether a call may be made at `now_us`.
    #[inline]
    pub(super) fn enter(&self, now_us: u64) -> Entry {
        let word = self.word();
        if word.is_plainly_closed() {
            return Entry::Admitted(Ticket { word, began_us: now_us });
        }
        self.enter_otherwise(word, now_us)
    }

    /// The answer of a breaker that is open; `None`: [`enter`](Self::enter) says more.
    #[inline]
    pub(super) fn shut(&self, word: Word, now_us: u64) -> Option<Shut> {
        let mode = word.mode()?;
        let retry_after_ms = match (mode, self.left_ms(now_us)) {
            (Mode::Open, 0 | UNKNOWN_MS) if word.has(Word::CALLERS_OPEN) => return None,
            (Mode::Open, 0 | UNKNOWN_MS) => SOON_MS,
            (Mode::Open | Mode::ForcedOpen, left_ms) => left_ms,
            _ => return None,
        };
        Some(Shut { retry_after_ms, mode })
    }

    /// Until the state ends, in milliseconds; [`UNKNOWN_MS`] if time does not end it.
    #[inline]
    fn left_ms(&self, now_us: u64) -> u64 {
        match self.until_us.load(Ordering::Relaxed) {
            0 => UNKNOWN_MS,
            us => Timestamp::from_micros(us).ms_since(Timestamp::from_micros(now_us)),
        }
    }

    fn enter_otherwise(&self, word: Word, now_us: u64) -> Entry {
        let Some(mode) = word.mode() else {
            return if word.has_ended() { Entry::Ended } else { Entry::Unknown };
        };
        let admitted = Entry::Admitted(Ticket { word, began_us: now_us });
        let no = |retry_after_ms| Entry::Rejected { retry_after_ms, mode };
        match mode {
            Mode::Closed if word.has(Word::PENDING) => {
                // It opens: the keeper records it.
                let open_for_ms = self.behind.open_for_ms.load(Ordering::Relaxed);
                Entry::Rejected { retry_after_ms: Some(open_for_ms), mode: Mode::Open }
            },
            // It opens, or it closes after a moment.
            Mode::HalfOpen if word.has(Word::PENDING) => no(Some(SOON_MS)),
            Mode::Closed | Mode::Disabled | Mode::MetricsOnly => admitted,
            Mode::HalfOpen => {
                let left_ms = self.left_ms(now_us);
                if left_ms > 0 && self.take_permit(word.generation()) {
                    return admitted;
                }
                let left_ms = if left_ms == UNKNOWN_MS { SOON_MS } else { left_ms };
                no(Some(left_ms.clamp(SOON_MS, HALF_OPEN_RETRY_MS)))
            },
            Mode::Open | Mode::ForcedOpen => match self.shut(word, now_us) {
                Some(shut) => no(shut.retry_after_ms()),
                None => Entry::TryHalfOpen,
            },
        }
    }

    /// Changes the word within a generation; what it was before, `None` if it has another one.
    fn change(&self, generation: u64, to: impl Fn(Word) -> Word) -> Option<Word> {
        let mut now = self.word.load(Ordering::Acquire);
        loop {
            let word = Word::from_bits(now);
            if word.generation() != generation || word.mode().is_none() {
                return None;
            }
            let next = to(word).bits();
            match self.word.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(word),
                Err(other) => now = other,
            }
        }
    }

    fn take_permit(&self, generation: u64) -> bool {
        let Thresholds { permits, .. } = self.behind.figures.read().thresholds;
        self.swap_trial(generation, |trial| trial.take(permits)).is_some()
    }

    /// Changes the trial of a generation; `None` if it is another's or there is nothing to change.
    pub(super) fn swap_trial(
        &self,
        generation: u64,
        to: impl Fn(Trial) -> Option<Trial>,
    ) -> Option<Trial> {
        let mut now = self.trial.load(Ordering::Acquire);
        loop {
            let trial = Some(Trial::from_bits(now)).filter(|trial| trial.is_of(generation))?;
            let next = to(trial)?;
            let swapped = self.trial.compare_exchange_weak(
                now,
                next.bits(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Ok(_) => return Some(next),
                Err(other) => now = other,
            }
        }
    }

    pub(super) fn trial(&self) -> Trial {
        Trial::from_bits(self.trial.load(Ordering::Acquire))
    }
}

/// Calls, failures and slow ones of a generation over all stripes.
pub(super) fn sum<'s>(stripes: impl Iterator<Item = &'s Stripe>, generation: u64) -> [u64; 3] {
    stripes.fold([0; 3], |[calls, failures, slow], stripe| {
        let [more, failed, slowly] = stripe.of(generation);
        [calls + more, failures + failed, slow + slowly]
    })
}
