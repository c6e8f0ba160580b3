//! [`FaultyLog`]: another log with a fault in front, for tests of whoever appends.
//!
//! | mode | submit | outcomes |
//! |---|---|---|
//! | `Pass` | passed on | passed on |
//! | `Full` | `Full` | |
//! | `Hold` | kept: not in the log, no reader sees it | none until released, then as the log's |
//! | `Refuse` | kept out | `Refused` with the given reason, at once |
//! | `Unknown` | kept out | `Unknown`, at once |
//! | `UnknownButWritten` | passed on | `Unknown` instead of `Committed` |

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::archive::Base;
use crate::error::ReadError;
use crate::log::{
    Append, EventLog, Full, KeptWriter, LogStatus, Outcome, Query, ReadLog, Refusal, Sink,
    Snapshot, Visit,
};
use crate::merkle::TreeHash;
use crate::record::{Cursor, Head, StreamId};
use crate::stored::VisitBlock;
use crate::view::lock;

/// What happens to appends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing out of the ordinary.
    #[default]
    Pass,
    /// The queue is full.
    Full,
    /// As if a sync took forever: nothing is durable, no outcome comes.
    Hold,
    /// Refused with this.
    Refuse(Refusal),
    /// A sync failed; the events did not survive.
    Unknown(String),
    /// A sync failed; the events did survive.
    UnknownButWritten(String),
}

/// Wraps another log. Make the sink first, then the log inside with it, then this.
pub struct FaultyLog<L> {
    inner: L,
    shared: FaultySink,
}

impl<L: fmt::Debug> fmt::Debug for FaultyLog<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyLog").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Stands between the log inside and the real sink.
#[derive(Clone)]
pub struct FaultySink(Arc<Shared>);

impl fmt::Debug for FaultySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultySink").finish_non_exhaustive()
    }
}

struct Shared {
    sink: Mutex<Box<dyn Sink>>,
    fault: Mutex<Fault>,
    held: Mutex<VecDeque<Append>>,
}

impl FaultySink {
    /// In front of the real sink.
    pub fn new(sink: impl Sink) -> Self {
        let sink: Mutex<Box<dyn Sink>> = Mutex::new(Box::new(sink));
        Self(Arc::new(Shared { sink, fault: Mutex::default(), held: Mutex::default() }))
    }
}

impl Sink for FaultySink {
    fn group(&mut self, epoch: u32, mut outcomes: Vec<Outcome>) {
        let fault = lock(&self.0.fault).clone();
        if let Fault::UnknownButWritten(reason) = fault {
            for outcome in &mut outcomes {
                if matches!(outcome, Outcome::Committed { .. }) {
                    *outcome = Outcome::Unknown(reason.clone());
                }
            }
        }
        lock(&self.0.sink).group(epoch, outcomes);
    }
}

impl<L: EventLog> FaultyLog<L> {
    /// `inner` must have been opened with `sink`.
    pub fn new(inner: L, sink: FaultySink) -> Self {
        Self { inner, shared: sink }
    }

    /// The log inside.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// From now on this happens; what was held stays held.
    pub fn set(&self, fault: Fault) {
        *lock(&self.shared.0.fault) = fault;
    }

    /// How many appends are held.
    pub fn held(&self) -> usize {
        lock(&self.shared.0.held).len()
    }

    /// Passes everything again, what was held first and in order.
    ///
    /// # Errors
    /// [`Full`] if the log inside has no more room; the rest stays held.
    #[expect(clippy::result_large_err, reason = "the append itself comes back")]
    pub fn release(&self) -> Result<(), Full> {
        loop {
            let Some(append) = lock(&self.shared.0.held).pop_front() else { break };
            if let Err(Full(append)) = self.inner.submit(append) {
                lock(&self.shared.0.held).push_front(append.clone());
                return Err(Full(append));
            }
        }
        self.set(Fault::Pass);
        Ok(())
    }

    fn answer(&self, outcome: Outcome) {
        let epoch = self.inner.head().epoch;
        lock(&self.shared.0.sink).group(epoch, vec![outcome]);
    }
}

impl<L: EventLog> EventLog for FaultyLog<L> {
    fn keep_snapshot(&self, snapshot: Snapshot) {
        self.inner.keep_snapshot(snapshot);
    }

    fn keep(&self, name: &str, write: KeptWriter<'_>) -> io::Result<()> {
        self.inner.keep(name, write)
    }

    fn submit(&self, append: Append) -> Result<(), Full> {
        let fault = lock(&self.shared.0.fault).clone();
        match fault {
            Fault::Pass | Fault::UnknownButWritten(_) => return self.inner.submit(append),
            Fault::Full => return Err(Full(append)),
            Fault::Hold => lock(&self.shared.0.held).push_back(append),
            Fault::Refuse(refusal) => self.answer(Outcome::Refused(refusal)),
            Fault::Unknown(reason) => self.answer(Outcome::Unknown(reason)),
        }
        Ok(())
    }
}

impl<L: EventLog> ReadLog for FaultyLog<L> {
    fn head(&self) -> Cursor {
        self.inner.head()
    }

    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.inner.scan(from, to, visit)
    }

    fn blocks(&self, from: u64, to: u64, visit: VisitBlock<'_>) -> Result<(), ReadError> {
        self.inner.blocks(from, to, visit)
    }

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.inner.stream_head(stream, upto)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.inner.read_stream(stream, upto, visit)
    }

    fn read_between(
        &self,
        stream: &StreamId,
        after: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        self.inner.read_between(stream, after, upto, visit)
    }

    fn snapshot(&self, stream: &StreamId) -> Option<Snapshot> {
        self.inner.snapshot(stream)
    }

    fn kept(&self, name: &str) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        self.inner.kept(name)
    }

    fn base(&self) -> Option<Arc<Base>> {
        self.inner.base()
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.inner.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.inner.find_back(query, visit)
    }

    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        self.inner.epoch_at(position)
    }

    fn tree_node(&self, level: u32, index: u64) -> Result<TreeHash, ReadError> {
        self.inner.tree_node(level, index)
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        self.inner.wait_beyond(position, limit)
    }

    fn status(&self) -> LogStatus {
        let mut status = self.inner.status();
        status.queued += self.held();
        if let Fault::Refuse(refusal) = &*lock(&self.shared.0.fault) {
            status.refusing = Some(refusal.clone());
        }
        status
    }
}
