//! One thread's counts of one breaker: a load and a store each, no read-modify-write.
//!
//! ```text
//!   63 ..... 40 | 39 ...... 16 | 15 ... 0            63 .... 40 | 39 ...... 16 | 15 ... 0
//!   calls       | failures     | generation          slow       | ignored      | generation
//! ```
//!
//! Counts rise within a generation and begin anew with the next, so an outcome of an earlier one is
//! never taken for one of this. Readers compare with what they have read before, modulo 2^24.
//!
//! A few latencies are kept beside the counts until the next reading: the first one of each round,
//! then every eighth, and those that took long apart from the rest.

use super::sync::{AtomicU32, AtomicU64, Ordering};

/// Latencies of short calls that are kept in a round.
const SHORT: usize = 16;
/// Latencies of long calls that are kept in a round.
const LONG: usize = 8;
/// A call is long from here, in microseconds: the tick of the clock tells it well enough.
pub(super) const LONG_US: u64 = 8_000;
/// Of calls after the first of a round, so many are counted for one whose latency is kept.
const EVERY: u64 = 8;

const HIGH: u32 = 40;
const LOW: u32 = 16;
const FIELD: u64 = 0xff_ffff;
const TAG: u64 = 0xffff;

/// See the module. What most calls touch is small: a thread's stripes lie side by side, two on a
/// cache line.
#[derive(Debug)]
#[repr(C, align(32))]
pub(super) struct Stripe {
    /// Calls and failures.
    calls: AtomicU64,
    /// The round in which no latency of a short call is wanted any more.
    sated: AtomicU32,
    /// The round of the samples.
    round: AtomicU32,
    /// Slow and ignored ones.
    others: AtomicU64,
    behind: Box<Behind>,
}

const _: () = assert!(size_of::<Stripe>() == 32 || cfg!(loom));

/// What few calls touch.
#[derive(Debug)]
struct Behind {
    calls_before: AtomicU64,
    others_before: AtomicU64,
    /// Calls that took long.
    long: AtomicU32,
    shorts: AtomicU32,
    longs: AtomicU32,
    short_us: [AtomicU32; SHORT],
    long_us: [AtomicU32; LONG],
}

/// What a pair of fields held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pair(u64);

/// What a stripe was read as.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    calls: Pair,
    others: Pair,
    long: u32,
}

/// What has come since an earlier reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Since {
    /// Calls, failures, slow, ignored of the generation that was asked for.
    pub(super) ours: [u32; 4],
    /// Those of others.
    pub(super) older: [u32; 4],
    /// Calls among both that took long.
    pub(super) long: u32,
}

impl Pair {
    const fn new(generation: u64) -> Self {
        Self(generation & TAG)
    }

    pub(super) const fn is_of(self, generation: u64) -> bool {
        self.0 & TAG == generation & TAG
    }

    pub(super) const fn high(self) -> u64 {
        self.0 >> HIGH
    }

    pub(super) const fn low(self) -> u64 {
        (self.0 >> LOW) & FIELD
    }

    /// The high field wraps at the end of the integer; the low one must not run into it.
    const fn plus(self, high: bool, low: bool) -> Self {
        let Self(bits) = self;
        let bits = if high { bits.wrapping_add(1 << HIGH) } else { bits };
        if !low {
            return Self(bits);
        }
        let lower = ((bits >> LOW) + 1) & FIELD;
        Self((bits & !(FIELD << LOW)) | (lower << LOW))
    }

    const fn since(self, Self(then): Self) -> [u32; 2] {
        let high = self.high().wrapping_sub(then >> HIGH) & FIELD;
        let low = self.low().wrapping_sub(then >> LOW) & FIELD;
        [high as u32, low as u32]
    }
}

/// Both fields since `then`: of the generation, and of others. `before` is what the pair held
/// before its generation.
fn since(then: Pair, before: Pair, now: Pair, generation: u64) -> ([u32; 2], [u32; 2]) {
    let none = [0, 0];
    if now.0 & TAG == then.0 & TAG {
        let fresh = now.since(then);
        return if now.is_of(generation) { (fresh, none) } else { (none, fresh) };
    }
    let begin = |pair: Pair| Pair::new(pair.0);
    let known = if before.0 & TAG == then.0 & TAG { then } else { begin(before) };
    let [old_high, old_low] = before.since(known);
    let [high, low] = now.since(begin(now));
    if now.is_of(generation) {
        ([high, low], [old_high, old_low])
    } else {
        (none, [high + old_high, low + old_low])
    }
}

impl Stripe {
    pub(super) fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            sated: AtomicU32::new(0),
            round: AtomicU32::new(0),
            others: AtomicU64::new(0),
            behind: Box::new(Behind {
                calls_before: AtomicU64::new(0),
                others_before: AtomicU64::new(0),
                long: AtomicU32::new(0),
                shorts: AtomicU32::new(0),
                longs: AtomicU32::new(0),
                short_us: std::array::from_fn(|_| AtomicU32::new(0)),
                long_us: std::array::from_fn(|_| AtomicU32::new(0)),
            }),
        }
    }

    /// Counts a call. By the thread that owns the stripe.
    #[inline]
    pub(super) fn call(&self, generation: u64, failed: bool) {
        step(&self.calls, &self.behind.calls_before, generation, true, failed);
    }

    /// Counts what is not on every call's way.
    pub(super) fn other(&self, generation: u64, slow: bool, ignored: bool) {
        step(&self.others, &self.behind.others_before, generation, slow, ignored);
    }

    /// As [`call`](Self::call), from threads that share the stripe. Not counted, and false, if
    /// another thread has counted for a later generation already.
    #[must_use]
    pub(super) fn call_shared(&self, generation: u64, failed: bool) -> bool {
        swap(&self.calls, &self.behind.calls_before, generation, true, failed)
    }

    /// As [`other`](Self::other), from threads that share the stripe.
    #[must_use]
    pub(super) fn other_shared(&self, generation: u64, slow: bool, ignored: bool) -> bool {
        swap(&self.others, &self.behind.others_before, generation, slow, ignored)
    }

    /// Whether the next call's latency is wanted: the first of a round in any case, others unless
    /// the thread `is_spent`.
    #[inline]
    pub(super) fn wants_latency(&self, round: u32, is_spent: impl FnOnce() -> bool) -> bool {
        if self.sated.load(Ordering::Relaxed) == round {
            return false;
        }
        if self.round.load(Ordering::Relaxed) != round {
            return true;
        }
        // In this order: which of many breakers is called next cannot be foretold, and what lies
        // there is late; that the thread is spent is known at once.
        !is_spent() && Pair(self.calls.load(Ordering::Relaxed)).high().is_multiple_of(EVERY)
    }

    /// Keeps a latency, if there is room for it in this round.
    pub(super) fn keep_latency(&self, round: u32, us: u64) {
        if self.round.load(Ordering::Relaxed) != round {
            self.behind.shorts.store(0, Ordering::Relaxed);
            self.behind.longs.store(0, Ordering::Relaxed);
            self.round.store(round, Ordering::Relaxed);
        }
        let value = u32::try_from(us).unwrap_or(u32::MAX);
        let Behind { long, shorts, longs, short_us, long_us, .. } = &*self.behind;
        let is_short = us < LONG_US;
        let (kept, slots) = if is_short {
            (shorts, short_us.as_slice())
        } else {
            long.store(long.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            (longs, long_us.as_slice())
        };
        let at = kept.load(Ordering::Relaxed);
        if let Some(slot) = usize::try_from(at).ok().and_then(|at| slots.get(at)) {
            slot.store(value, Ordering::Relaxed);
            kept.store(at + 1, Ordering::Relaxed);
        } else if is_short {
            self.sated.store(round, Ordering::Relaxed);
        }
    }

    /// Calls, failures and slow ones of a generation, as counted now; modulo 2^24.
    pub(super) fn of(&self, generation: u64) -> [u64; 3] {
        let calls = Pair(self.calls.load(Ordering::Acquire));
        let others = Pair(self.others.load(Ordering::Acquire));
        let [calls, failures] =
            if calls.is_of(generation) { [calls.high(), calls.low()] } else { [0, 0] };
        [calls, failures, if others.is_of(generation) { others.high() } else { 0 }]
    }

    /// What has come since an earlier reading, which becomes this one.
    pub(super) fn read(&self, reading: &mut Reading, generation: u64) -> Since {
        let calls = Pair(self.calls.load(Ordering::Acquire));
        let calls_before = Pair(self.behind.calls_before.load(Ordering::Acquire));
        let others = Pair(self.others.load(Ordering::Acquire));
        let others_before = Pair(self.behind.others_before.load(Ordering::Acquire));
        let long = self.behind.long.load(Ordering::Relaxed);
        let ([a, b], [old_a, old_b]) = since(reading.calls, calls_before, calls, generation);
        let ([c, d], [old_c, old_d]) = since(reading.others, others_before, others, generation);
        let since_long = long.wrapping_sub(reading.long);
        *reading = Reading { calls, others, long };
        Since { ours: [a, b, c, d], older: [old_a, old_b, old_c, old_d], long: since_long }
    }

    /// The latencies of a round in microseconds: of short calls, and of long ones.
    pub(super) fn latencies(&self, round: u32) -> [Vec<u64>; 2] {
        if self.round.load(Ordering::Relaxed) != round {
            return [Vec::new(), Vec::new()];
        }
        let kept = |count: &AtomicU32, slots: &[AtomicU32]| {
            let count = usize::try_from(count.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
            slots.iter().take(count).map(|us| u64::from(us.load(Ordering::Relaxed))).collect()
        };
        let Behind { shorts, longs, short_us, long_us, .. } = &*self.behind;
        [kept(shorts, short_us), kept(longs, long_us)]
    }
}

impl Reading {
    /// Calls, failures and slow ones of a generation in it; modulo 2^24.
    pub(super) const fn of(&self, generation: u64) -> [u64; 3] {
        let Self { calls, others, long: _ } = self;
        let [calls, failures] =
            if calls.is_of(generation) { [calls.high(), calls.low()] } else { [0, 0] };
        [calls, failures, if others.is_of(generation) { others.high() } else { 0 }]
    }
}

/// One more, by the only thread that writes.
#[inline]
fn step(pair: &AtomicU64, before: &AtomicU64, generation: u64, high: bool, low: bool) {
    let mut now = Pair(pair.load(Ordering::Relaxed));
    if !now.is_of(generation) {
        before.store(now.0, Ordering::Release);
        now = Pair::new(generation);
    }
    pair.store(now.plus(high, low).0, Ordering::Release);
}

/// One more, by one of several threads; false if the pair is of a later generation.
fn swap(pair: &AtomicU64, before: &AtomicU64, generation: u64, high: bool, low: bool) -> bool {
    let mut now = pair.load(Ordering::Relaxed);
    loop {
        let is_ours = Pair(now).is_of(generation);
        if !is_ours && is_later(now, generation) {
            return false;
        }
        let next = if is_ours { Pair(now) } else { Pair::new(generation) };
        let next = next.plus(high, low).0;
        match pair.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => {
                if !is_ours {
                    before.store(now, Ordering::Release);
                }
                return true;
            },
            Err(other) => now = other,
        }
    }
}

/// Whether a tag is ahead of a generation, counted in a circle.
const fn is_later(bits: u64, generation: u64) -> bool {
    let ahead = (bits & TAG).wrapping_sub(generation) & TAG;
    ahead != 0 && ahead < TAG / 2
}
