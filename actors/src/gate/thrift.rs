//! Exact times are read sparingly: a clock costs more than a whole guarded call, and a thread that
//! calls thousands of breakers would read it for each of them.

use std::cell::Cell;

/// So many calls of a thread are timed exactly within one tick of the clock, at all breakers
/// together; the first of each round at a breaker is timed in any case.
const IN_A_TICK: u32 = 8;

thread_local! {
    /// The tick, and how many calls were timed in it.
    static TIMED: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// Whether this thread has timed as many calls in this tick as it may.
#[inline]
pub(super) fn is_spent(tick_us: u64) -> bool {
    let (tick, timed) = TIMED.get();
    tick == tick_us && timed >= IN_A_TICK
}

/// This thread times a call.
#[cold]
pub(super) fn spend(tick_us: u64) {
    let (tick, timed) = TIMED.get();
    TIMED.set((tick_us, if tick == tick_us { timed.saturating_add(1) } else { 1 }));
}
