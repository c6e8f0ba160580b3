//! [`MemoryLog`]: the same contract without a disk. What it holds is gone with the process.
//!
//! | mode | the sink is called |
//! |---|---|
//! | immediate | from `submit`, before it returns, one group per append |
//! | by hand | from [`MemoryLog::turn`], one group of all that waits |

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::codec::{self, Place};
use crate::error::ReadError;
use crate::log::{
    Append, EventLog, Full, KeptWriter, LogStatus, Outcome, Query, ReadLog, Refusal, Sink,
    Snapshot, Visit,
};
use crate::record::{Cursor, Head, StreamId};
use crate::terms;
use crate::view::lock;
use crate::writer::sizes;

/// Appends that may wait when the log is driven by hand.
const QUEUE: usize = 4096;

/// A journal in memory.
pub struct MemoryLog {
    held: Mutex<Held>,
    moved: Condvar,
    /// Locked over commit and sink, so that groups come out in order.
    sink: Mutex<Box<dyn Sink>>,
    queue: Mutex<Vec<Append>>,
    snapshots: Mutex<HashMap<StreamId, Snapshot>>,
    kept: Mutex<HashMap<String, Vec<u8>>>,
    immediate: bool,
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("head", &self.head()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Held {
    records: Vec<Box<[u8]>>,
    /// Positions of each stream's records.
    streams: HashMap<StreamId, Vec<u64>>,
    /// Where each epoch behind the first one begins.
    forks: Vec<u64>,
    superseded: HashSet<(StreamId, u64)>,
    last_at_us: u64,
    bytes: u64,
}

const FIRST_EPOCH: u32 = 1;

impl MemoryLog {
    /// A log that commits within `submit`. The sink must not submit itself: it is called under
    /// the lock that keeps groups in order.
    pub fn immediate(sink: impl Sink) -> Self {
        Self::new(Box::new(sink), true)
    }

    /// A log that commits in [`MemoryLog::turn`].
    pub fn manual(sink: impl Sink) -> Self {
        Self::new(Box::new(sink), false)
    }

    fn new(sink: Box<dyn Sink>, immediate: bool) -> Self {
        Self {
            held: Mutex::default(),
            moved: Condvar::new(),
            sink: Mutex::new(sink),
            queue: Mutex::default(),
            snapshots: Mutex::default(),
            kept: Mutex::default(),
            immediate,
        }
    }

    /// What is appended from now on is of the next epoch, as after a restore.
    pub fn begin_epoch(&self) {
        let mut held = lock(&self.held);
        let next = held.head() + 1;
        held.forks.push(next);
    }

    /// Commits what waits as one group; returns how many outcomes there were.
    pub fn turn(&self) -> usize {
        let mut sink = lock(&self.sink);
        let waiting = std::mem::take(&mut *lock(&self.queue));
        let count = waiting.len();
        if count > 0 {
            let (epoch, outcomes) = {
                let mut held = lock(&self.held);
                let outcomes = waiting.iter().map(|append| held.take(append)).collect();
                (held.epoch_of(u64::MAX), outcomes)
            };
            self.moved.notify_all();
            sink.group(epoch, outcomes);
        }
        count
    }

    /// Visits positions in the order given. The lock is not held while `visit` runs, so that it
    /// may append.
    fn visit_at(
        &self,
        positions: impl Iterator<Item = u64>,
        visit: Visit<'_>,
        query: Option<&Query>,
    ) {
        for position in positions {
            let Some((epoch, bytes)) = lock(&self.held).record(position) else { continue };
            let Some(record) = codec::decode(&bytes, epoch, position) else { continue };
            if query.is_none_or(|query| terms::matches(query, &record)) && visit(record).is_break()
            {
                return;
            }
        }
    }

    fn candidates(&self, query: &Query) -> Vec<u64> {
        let held = lock(&self.held);
        match &query.stream {
            Some(stream) => held.streams.get(stream).cloned().unwrap_or_default(),
            None => (query.after.saturating_add(1)..=held.head()).collect(),
        }
    }
}

impl Held {
    fn head(&self) -> u64 {
        self.records.len() as u64
    }

    /// The newest record; before the first one the epoch that is to come.
    fn cursor(&self) -> Cursor {
        let position = self.head();
        Cursor { epoch: self.epoch_of(position.max(1)), position }
    }

    fn epoch_of(&self, position: u64) -> u32 {
        let begun = self.forks.partition_point(|first| *first <= position);
        FIRST_EPOCH + u32::try_from(begun).unwrap_or(u32::MAX - FIRST_EPOCH)
    }

    fn record(&self, position: u64) -> Option<(u32, Box<[u8]>)> {
        let index = usize::try_from(position.checked_sub(1)?).ok()?;
        Some((self.epoch_of(position), self.records.get(index).cloned()?))
    }

    fn take(&mut self, append: &Append) -> Outcome {
        match self.commit(append) {
            Ok(outcome) => outcome,
            Err(refusal) => {
                self.superseded.insert((append.stream.clone(), append.activation));
                Outcome::Refused(refusal)
            },
        }
    }

    fn commit(&mut self, append: &Append) -> Result<Outcome, Refusal> {
        if self.superseded.contains(&(append.stream.clone(), append.activation)) {
            return Err(Refusal::Superseded);
        }
        let sizes = sizes(append)?;
        let first = self.head() + 1;
        let positions = self.streams.entry(append.stream.clone()).or_default();
        let (expected, actual) = (append.expected_version, positions.len() as u64);
        if expected != actual {
            return Err(Refusal::Conflict { expected, actual });
        }
        self.last_at_us = self.last_at_us.max(append.envelope.at_us);
        for (draft, size) in append.drafts.iter().zip(sizes) {
            let place = Place {
                at_us: self.last_at_us,
                version: positions.len() as u64 + 1,
                previous: positions.last().copied().unwrap_or_default(),
            };
            let mut bytes = Vec::with_capacity(size);
            codec::encode(&mut bytes, append, draft, place, size);
            self.bytes += size as u64;
            self.records.push(bytes.into());
            positions.push(self.records.len() as u64);
        }
        let count = u32::try_from(append.drafts.len()).unwrap_or(u32::MAX);
        Ok(Outcome::Committed { first, count })
    }
}

impl ReadLog for MemoryLog {
    fn head(&self) -> Cursor {
        lock(&self.held).cursor()
    }

    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        let to = to.min(self.head().position);
        self.visit_at(from.max(1)..=to, visit, None);
        Ok(())
    }

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        let held = lock(&self.held);
        let Some(positions) = held.streams.get(stream) else { return Ok(Head::default()) };
        let version = positions.partition_point(|position| *position <= upto);
        let position = version.checked_sub(1).and_then(|index| positions.get(index));
        Ok(Head { version: version as u64, position: position.copied().unwrap_or_default() })
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        let query = Query { stream: Some(stream.clone()), ..Query::default() };
        let positions = self.candidates(&query).into_iter();
        self.visit_at(positions.take_while(|position| *position <= upto), visit, None);
        Ok(())
    }

    fn snapshot(&self, stream: &StreamId) -> Option<Snapshot> {
        lock(&self.snapshots).get(stream).cloned()
    }

    fn kept(&self, name: &str) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        let kept = lock(&self.kept).get(name).cloned();
        Ok(kept.map(|bytes| Box::new(io::Cursor::new(bytes)) as _))
    }

    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        Ok(lock(&self.held).epoch_of(position.max(1)))
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.visit_at(self.candidates(query).into_iter(), visit, Some(query));
        Ok(())
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.visit_at(self.candidates(query).into_iter().rev(), visit, Some(query));
        Ok(())
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        let held = lock(&self.held);
        let waited = self.moved.wait_timeout_while(held, limit, |held| held.head() <= position);
        waited.unwrap_or_else(PoisonError::into_inner).0.cursor()
    }

    fn status(&self) -> LogStatus {
        LogStatus {
            head: self.head(),
            refusing: None,
            queued: lock(&self.queue).len(),
            store: None,
            size_bytes: lock(&self.held).bytes,
            segments: 0,
            sync_p50_us: 0,
            sync_p99_us: 0,
        }
    }
}

impl EventLog for MemoryLog {
    fn keep_snapshot(&self, snapshot: Snapshot) {
        lock(&self.snapshots).insert(snapshot.stream.clone(), snapshot);
    }

    fn keep(&self, name: &str, write: KeptWriter<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        lock(&self.kept).insert(name.to_owned(), bytes);
        Ok(())
    }

    fn submit(&self, append: Append) -> Result<(), Full> {
        {
            let mut queue = lock(&self.queue);
            if queue.len() >= QUEUE {
                return Err(Full(append));
            }
            queue.push(append);
        }
        if self.immediate {
            self.turn();
        }
        Ok(())
    }
}
