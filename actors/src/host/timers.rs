//! One deadline queue for every entity.
//!
//! Timers follow from state, so the queue holds hints only: an entry wakes its entity, and the
//! entity looks whether it is due. An entity whose deadline moved later keeps its early entry and
//! enters itself again; so a renewed lease costs no queue operation.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use mainstay_journal::StreamId;
use tokio::sync::Notify;

use super::clock::Clock;
use super::registry::Registry;
use super::views::Hosted;
use crate::time::Timestamp;

/// The queue; shared on the arbiter.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: RefCell<BinaryHeap<Reverse<Entry>>>,
    sooner: Notify,
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    stream: StreamId,
    wake: fn(&mut Registry, &StreamId) -> bool,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at).then_with(|| self.stream.cmp(&other.stream))
    }
}

/// A wake-up that met a full mailbox is tried again after this, in milliseconds.
const RETRY_MS: u64 = 20;

impl Timers {
    /// Wakes the entity at `at`, or as soon as possible after it.
    pub(crate) fn schedule<M: Hosted>(&self, at: Timestamp, stream: StreamId) {
        let mut queue = self.queue.borrow_mut();
        let sooner = queue.peek().is_none_or(|Reverse(first)| at < first.at);
        queue.push(Reverse(Entry { at, stream, wake: Registry::wake::<M> }));
        drop(queue);
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// The next entry that is due at `now`.
    fn pop_due(&self, now: Timestamp) -> Option<Entry> {
        let mut queue = self.queue.borrow_mut();
        if queue.peek().is_some_and(|Reverse(first)| first.at <= now) {
            return queue.pop().map(|Reverse(entry)| entry);
        }
        None
    }

    /// Entries in the queue.
    pub(crate) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Wakes entities as their time comes; ends with the arbiter.
    pub(crate) async fn run(self: Rc<Self>, clock: Clock, registry: Rc<RefCell<Registry>>) {
        loop {
            let now = clock.now();
            while let Some(entry) = self.pop_due(now) {
                if !(entry.wake)(&mut registry.borrow_mut(), &entry.stream) {
                    let at = now.plus_ms(RETRY_MS);
                    self.queue.borrow_mut().push(Reverse(Entry { at, ..entry }));
                }
            }
            let next = self.queue.borrow().peek().map(|Reverse(first)| first.at);
            match next {
                None => self.sooner.notified().await,
                Some(at) => {
                    let sleep = tokio::time::sleep_until(clock.instant_of(at));
                    tokio::select! {
                        () = sleep => {},
                        () = self.sooner.notified() => {},
                    }
                },
            }
        }
    }
}
