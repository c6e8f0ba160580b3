//! Which stripe is a thread's own.
//!
//! Threads that live have numbers of their own, up to [`SHARED`]; a thread that comes when none is
//! free uses the last stripe, which is made to be shared. A number is free again when its thread ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Stripes a breaker has at most.
pub(super) const SLOTS: usize = 64;
/// The one that is shared.
pub(super) const SHARED: usize = SLOTS - 1;
const UNKNOWN: usize = usize::MAX;

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(UNKNOWN) };
    static OWNED: Owned = Owned::claim();
}

/// Numbers that were given and are free again.
static FREED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// None at or above it was ever given.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Gives the number back when the thread ends.
struct Owned(usize);

impl Owned {
    fn claim() -> Self {
        let mut freed = FREED.lock().unwrap_or_else(PoisonError::into_inner);
        Self(freed.pop().unwrap_or_else(|| {
            let slot = NEXT.load(Ordering::Relaxed);
            NEXT.store((slot + 1).min(SHARED), Ordering::Release);
            slot
        }))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // What this thread still counts while it ends goes where it may be shared.
        SLOT.set(SHARED);
        if self.0 != SHARED {
            FREED.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
        }
    }
}

/// Numbers that threads have, or had.
pub(super) fn used() -> impl Iterator<Item = usize> {
    (0..NEXT.load(Ordering::Acquire)).chain([SHARED])
}

/// This thread's, if it has one of its own that was asked for before; otherwise [`SHARED`] or more.
#[inline]
pub(super) fn own() -> usize {
    SLOT.get()
}

/// This thread's.
pub(super) fn current() -> usize {
    let slot = SLOT.get();
    if slot != UNKNOWN {
        return slot;
    }
    let slot = OWNED.try_with(|owned| owned.0).unwrap_or(SHARED);
    SLOT.set(slot);
    slot
}
