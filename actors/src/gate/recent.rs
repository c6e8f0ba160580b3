//! The windows over calls that a thread has counted in lately.
//!
//! To take a share of a window from where all threads find it is two read-modify-writes. A thread
//! that keeps its share finds by a number that it is still the right one.

use std::cell::RefCell;
use std::sync::Arc;

use super::call_window::CallWindow;

/// Windows that a thread keeps.
const KEPT: usize = 8;

thread_local! {
    static RECENT: RefCell<[Option<Arc<CallWindow>>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// Runs `with` on the window of this number, once; `None` if there is none. What is not kept is
/// fetched, and may be a later one; what a thread counts while it ends is not kept.
pub(super) fn window<T>(
    id: u64,
    fetch: impl Fn() -> Option<Arc<CallWindow>>,
    with: impl Fn(&CallWindow) -> T,
) -> Option<T> {
    let kept = RECENT.try_with(|recent| {
        let mut recent = recent.try_borrow_mut().ok()?;
        let place = recent.get_mut(usize::try_from(id).ok()? % KEPT)?;
        if place.as_ref().is_none_or(|window| window.id() != id) {
            *place = fetch();
        }
        place.as_deref().map(&with)
    });
    kept.ok().flatten().or_else(|| fetch().as_deref().map(&with))
}
