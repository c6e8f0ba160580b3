//! How many entities are folded from the journal at once.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Semaphore;

use super::timers::Timers;

/// The permits; shared on the arbiter.
pub(crate) struct Permits {
    semaphore: Semaphore,
    bound: usize,
    /// Entities that are folded or wait for it.
    under_way: Cell<usize>,
    timers: Rc<Timers>,
}

impl Permits {
    pub(crate) fn new(bound: usize, timers: Rc<Timers>) -> Self {
        let bound = bound.max(1);
        Self { semaphore: Semaphore::new(bound), bound, under_way: Cell::new(0), timers }
    }

    /// Whether one more would not wait.
    pub(crate) fn are_free(&self) -> bool {
        self.under_way.get() < self.bound
    }

    /// Entities that are folded or wait for it.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Runs a fold when there is a permit for it.
    pub(crate) async fn run<T>(&self, fold: impl Future<Output = T>) -> T {
        let _counted = Counted::new(self);
        // It is never closed.
        let _permit = self.semaphore.acquire().await;
        fold.await
    }
}

/// Counts a fold until it has ended, however it ends.
struct Counted<'p>(&'p Permits);

impl<'p> Counted<'p> {
    fn new(permits: &'p Permits) -> Self {
        permits.under_way.set(permits.under_way.get() + 1);
        Self(permits)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let Self(permits) = self;
        permits.under_way.set(permits.under_way.get() - 1);
        permits.timers.permit_freed();
    }
}
