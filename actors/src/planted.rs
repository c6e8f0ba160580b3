//! Bugs that a test plants, to see that the checks of the simulation find them.
//!
//! Without the feature `planted` there are none; with it there are none either until one is planted,
//! and then on one thread only.

#[cfg(feature = "planted")]
use std::cell::Cell;

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "planted"), expect(unreachable_pub, reason = "nobody plants one"))]
pub enum Bug {
    /// Any token and any owner will do.
    SkipTokenCheck,
    /// Replies do not wait for the sync of what they rest on.
    ReplyBeforeDurable,
    /// Outcomes of calls from before the breaker's last transition count like those after it.
    CountLateOutcomes,
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// From now on this bug, or none, is in the machines and actors of this thread.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

#[cfg(feature = "planted")]
pub(crate) fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

#[cfg(not(feature = "planted"))]
pub(crate) const fn has(_bug: Bug) -> bool {
    false
}
