//! One deadline queue for every entity, resident or not.
//!
//! ```text
//!   schedule(at, stream) ─► is an entry known that is no later? then nothing
//!   due ─► wake: the entity looks whether it is due, and enters itself again if it is not
//! ```
//!
//! Timers follow from state, so the queue holds hints only. An entity whose deadline moved later
//! keeps its early entry; so a renewed lease costs no queue operation. There is one valid entry a
//! stream: an entity that comes and goes does not fill the queue.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BinaryHeap, HashMap};
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
    queue: RefCell<Queue>,
    sooner: Notify,
    permits: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// The valid entry of each stream; others in the heap were overtaken by it.
    valid: HashMap<StreamId, Timestamp>,
}

#[derive(Debug, Clone)]
struct Entry {
    at: Timestamp,
    stream: StreamId,
    wake: fn(&mut Registry, &StreamId) -> Woken,
}

/// What became of a wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The entity looks.
    Sent,
    /// Its mailbox is full.
    Full,
    /// It would have to be folded first, and as many are as may be.
    NoPermit,
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
/// Wake-ups at a stretch: then the arbiter's other work has its turn.
const STRETCH: usize = 256;

impl Queue {
    /// Returns when the stream's valid entry is due.
    fn schedule(&mut self, entry: Entry) -> Timestamp {
        let at = entry.at;
        match self.valid.get(&entry.stream) {
            Some(known) if *known <= at => return *known,
            _ => drop(self.valid.insert(entry.stream.clone(), at)),
        }
        self.heap.push(Reverse(entry));
        at
    }

    /// The first valid entry; takes those away that were overtaken.
    fn first(&mut self) -> Option<&Entry> {
        while let Some(Reverse(entry)) = self.heap.peek() {
            if self.valid.get(&entry.stream) == Some(&entry.at) {
                break;
            }
            self.heap.pop();
        }
        self.heap.peek().map(|Reverse(entry)| entry)
    }

    fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        self.first().filter(|entry| entry.at <= now)?;
        let Reverse(entry) = self.heap.pop()?;
        self.valid.remove(&entry.stream);
        Some(entry)
    }
}

impl Timers {
    /// Takes all of a start's entries at once.
    pub(crate) fn fill<M: Hosted>(&self, entries: impl IntoIterator<Item = (Timestamp, StreamId)>) {
        let Queue { heap, valid } = &mut *self.queue.borrow_mut();
        let entries = entries.into_iter();
        // A million streams: the map is made once, and asked once for each.
        valid.reserve(entries.size_hint().0);
        heap.extend(entries.filter_map(|(at, stream)| {
            match valid.entry(stream.clone()) {
                Occupied(known) if *known.get() <= at => return None,
                Occupied(mut known) => {
                    known.insert(at);
                },
                Vacant(none) => {
                    none.insert(at);
                },
            }
            Some(Reverse(Entry { at, stream, wake: Registry::wake::<M> }))
        }));
    }

    /// Wakes the entity at `at`, or as soon as possible after it. Returns when it is woken first: at
    /// an entry from before, if that is earlier.
    pub(crate) fn schedule<M: Hosted>(&self, at: Timestamp, stream: StreamId) -> Timestamp {
        let mut queue = self.queue.borrow_mut();
        let sooner = queue.first().is_none_or(|first| at < first.at);
        let first = queue.schedule(Entry { at, stream, wake: Registry::wake::<M> });
        drop(queue);
        if sooner {
            self.sooner.notify_one();
        }
        first
    }

    /// An entity was folded: one that waits for its wake-up may be.
    pub(crate) fn permit_freed(&self) {
        self.permits.notify_one();
    }

    /// Streams with an entry.
    pub(crate) fn len(&self) -> usize {
        self.queue.borrow().valid.len()
    }

    /// Wakes entities as their time comes; ends with the arbiter.
    pub(crate) async fn run(self: Rc<Self>, clock: Clock, registry: Rc<RefCell<Registry>>) {
        loop {
            let busy = self.wake_due(clock.now(), &registry);
            let next = self.queue.borrow_mut().first().map(|first| first.at);
            match (busy, next) {
                (Some(Woken::Sent), _) => tokio::task::yield_now().await,
                (Some(_), _) => self.permits.notified().await,
                (None, None) => self.sooner.notified().await,
                (None, Some(at)) => {
                    let sleep = tokio::time::sleep_until(clock.instant_of(at));
                    tokio::select! {
                        () = sleep => {},
                        () = self.sooner.notified() => {},
                    }
                },
            }
        }
    }

    /// Wakes who is due; tells what stopped it before the end, if anything did.
    fn wake_due(&self, now: Timestamp, registry: &Rc<RefCell<Registry>>) -> Option<Woken> {
        for _ in 0..STRETCH {
            let entry = self.queue.borrow_mut().pop_due(now)?;
            let woken = (entry.wake)(&mut registry.borrow_mut(), &entry.stream);
            let at = match woken {
                Woken::Sent => continue,
                Woken::Full => now.plus_ms(RETRY_MS),
                Woken::NoPermit => entry.at,
            };
            self.queue.borrow_mut().schedule(Entry { at, ..entry });
            if woken == Woken::NoPermit {
                return Some(woken);
            }
        }
        Some(Woken::Sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;

    #[test]
    fn the_earliest_of_a_starts_entries_of_a_stream_counts_once() {
        let timers = Timers::default();
        let entry = |ms: u64, name: &str| {
            (Timestamp::default().plus_ms(ms), StreamId::new("session", name).unwrap())
        };
        timers.fill::<Session>([entry(9, "a"), entry(5, "a"), entry(7, "b"), entry(8, "a")]);
        timers.fill::<Session>([entry(6, "b"), entry(10, "a")]);
        assert_eq!(timers.len(), 2);
        let mut queue = timers.queue.borrow_mut();
        let due = std::iter::from_fn(|| queue.pop_due(Timestamp::default().plus_ms(20)));
        let due: Vec<_> = due.map(|it| (it.at, it.stream)).collect();
        assert_eq!(due, [entry(5, "a"), entry(6, "b")]);
    }
}
