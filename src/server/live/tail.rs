//! The end of the journal, read and rendered once for all readers.
//!
//! ```text
//!   first reader ─► thread: wait for the journal ─► render ─► ring of the newest ─► wake readers
//!                     └── ends with the last reader
//! ```

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web::Bytes;
use mainstay_journal::{EventLog, RecordRef};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{MAX_READERS, frame};

/// Events that stay rendered.
const RING_EVENTS: usize = 1_024;
/// Bytes of them.
const RING_BYTES: usize = 1 << 20;
/// Events that are read at once.
const BATCH: u64 = 256;
/// How long the thread waits before it looks whether anybody still listens.
const PATIENCE: Duration = Duration::from_millis(250);

/// An event, rendered, with what filters look at.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) position: u64,
    pub(super) stream: Box<str>,
    pub(super) type_id: u16,
    pub(super) principal: Box<str>,
    pub(super) correlation: Option<Box<str>>,
    pub(super) frame: Bytes,
}

impl Item {
    pub(super) fn of(record: &RecordRef<'_>) -> Self {
        Self {
            position: record.position,
            stream: record.stream.into(),
            type_id: record.type_id,
            principal: record.principal.into(),
            correlation: record.correlation.map(Into::into),
            frame: frame::of(record),
        }
    }
}

/// The newest events, without a gap; all after `before`.
#[derive(Debug, Default)]
struct Ring {
    items: VecDeque<Arc<Item>>,
    bytes: usize,
    before: u64,
    running: bool,
}

/// The live feed of a server.
#[derive(Debug)]
pub(in crate::server) struct Live {
    seats: Arc<Semaphore>,
    ring: Mutex<Ring>,
    /// The newest position in the ring.
    reached: watch::Sender<u64>,
    ending: watch::Sender<bool>,
}

/// A reader's place: while it is held, the feed runs.
#[derive(Debug)]
pub(super) struct Seat {
    live: Arc<Live>,
    _permit: OwnedSemaphorePermit,
    pub(super) reached: watch::Receiver<u64>,
    pub(super) ending: watch::Receiver<bool>,
}

impl Live {
    pub(in crate::server) fn new() -> Arc<Self> {
        Arc::new(Self {
            seats: Arc::new(Semaphore::new(MAX_READERS)),
            ring: Mutex::default(),
            reached: watch::Sender::new(0),
            ending: watch::Sender::new(false),
        })
    }

    /// A seat, if one is left; the first reader starts the thread.
    pub(super) fn join(self: &Arc<Self>, log: &Arc<dyn EventLog>) -> Option<Seat> {
        let permit = self.seats.clone().try_acquire_owned().ok()?;
        let mut ring = self.ring();
        if !ring.running {
            let head = log.head().position;
            *ring = Ring { before: head, running: true, ..Ring::default() };
            self.reached.send_replace(head);
            let (live, log) = (self.clone(), log.clone());
            let work = move || live.run(&*log, head);
            let started = std::thread::Builder::new().name("mainstay-live".to_owned()).spawn(work);
            // Without a thread there is no feed; the next reader tries again.
            ring.running = started.is_ok();
            started.ok()?;
        }
        drop(ring);
        let (reached, ending) = (self.reached.subscribe(), self.ending.subscribe());
        Some(Seat { live: self.clone(), _permit: permit, reached, ending })
    }

    /// Ends every stream.
    pub(in crate::server) fn end(&self) {
        self.ending.send_replace(true);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, log: &dyn EventLog, mut seen: u64) {
        while !self.is_over() {
            let head = log.wait_beyond(seen, PATIENCE).position;
            if head == seen {
                // Nothing new; a journal that is being closed does not even wait.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let mut items = Vec::new();
            let upto = head.min(seen + BATCH);
            let read = log.scan(seen + 1, upto, &mut |record| {
                items.push(Arc::new(Item::of(&record)));
                ControlFlow::Continue(())
            });
            if let Err(error) = read {
                // Each reader then reads for itself, and is told if that fails, too.
                tracing::error!(%error, "the live feed cannot read the journal");
                *self.ring() = Ring { before: upto, running: true, ..Ring::default() };
            } else {
                self.ring().push(items);
            }
            seen = upto;
            self.reached.send_replace(upto);
        }
        self.ring().running = false;
    }

    /// Whether nobody listens any more. Under the ring's lock, so that a reader that joins now
    /// either is seen here or finds no thread.
    fn is_over(&self) -> bool {
        let mut ring = self.ring();
        let over = *self.ending.borrow() || self.seats.available_permits() == MAX_READERS;
        if over {
            *ring = Ring::default();
        }
        over
    }
}

impl Ring {
    fn push(&mut self, items: Vec<Arc<Item>>) {
        self.bytes += items.iter().map(|item| item.frame.len()).sum::<usize>();
        self.items.extend(items);
        while self.items.len() > RING_EVENTS || self.bytes > RING_BYTES {
            let Some(oldest) = self.items.pop_front() else { break };
            self.bytes -= oldest.frame.len();
            self.before = oldest.position;
        }
    }
}

impl Seat {
    /// At most `limit` events after a position; `None` when they are in the ring no more.
    pub(super) fn after(&self, position: u64, limit: usize) -> Option<Vec<Arc<Item>>> {
        let ring = self.live.ring();
        if !ring.running || position < ring.before {
            return None;
        }
        let start = ring.items.partition_point(|item| item.position <= position);
        Some(ring.items.iter().skip(start).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use mainstay_journal::MemoryLog;

    use super::*;
    use crate::server::live::MAX_READERS;

    #[tokio::test]
    async fn a_reader_too_many_finds_no_seat_until_one_leaves() {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::immediate(|_, _| {}));
        let live = Live::new();
        let mut seats: Vec<Seat> =
            (0..MAX_READERS).map(|_| live.join(&log).expect("a seat")).collect();
        assert!(live.join(&log).is_none());
        seats.pop();
        assert!(live.join(&log).is_some());
    }

    #[test]
    fn the_ring_keeps_the_newest_within_both_bounds_and_knows_what_it_lacks() {
        let item = |position, bytes| {
            let frame = Bytes::from(vec![0; bytes]);
            let (stream, principal) = ("lock/a".into(), "local".into());
            Arc::new(Item { position, stream, type_id: 1, principal, correlation: None, frame })
        };
        let mut ring = Ring::default();
        ring.push((1..=2_000).map(|position| item(position, 10)).collect());
        assert_eq!((ring.items.len(), ring.before), (RING_EVENTS, 2_000 - RING_EVENTS as u64));
        ring.push(vec![item(2_001, RING_BYTES)]);
        assert_eq!((ring.items.len(), ring.before, ring.bytes), (1, 2_000, RING_BYTES));
        ring.push(vec![item(2_002, RING_BYTES + 1)]);
        assert_eq!((ring.items.len(), ring.before, ring.bytes), (0, 2_002, 0));
    }
}
