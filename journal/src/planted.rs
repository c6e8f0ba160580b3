//! A bug that a test plants, to see that the checks of the simulation find it.
//!
//! Without the feature `planted` there is none; with it there is none either until it is planted,
//! and then on one thread only.

#[cfg(feature = "planted")]
use std::cell::Cell;

#[cfg(feature = "planted")]
thread_local! {
    static SYNC_SKIPPED: Cell<bool> = const { Cell::new(false) };
}

/// From now on commits of this thread are acknowledged without having been synced, or synced again.
#[cfg(feature = "planted")]
pub fn skip_syncs(skip: bool) {
    SYNC_SKIPPED.set(skip);
}

#[cfg(feature = "planted")]
pub(crate) fn sync_is_skipped() -> bool {
    SYNC_SKIPPED.get()
}

#[cfg(not(feature = "planted"))]
pub(crate) const fn sync_is_skipped() -> bool {
    false
}
