//! The contract of a journal: appends go in by [`EventLog::submit`], outcomes come back in the
//! same order to the [`Sink`] given at open, and everything durable can be read.
//!
//! ```text
//!   submit ──► bounded queue ──► writer: one sync per group ──► Sink::group (in order)
//!                                            │
//!                          scan · read_stream · find · wait_beyond  (durable records only)
//! ```

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::archive::Base;
use crate::error::ReadError;
use crate::merkle::{self, TreeHash};
use crate::record::{Cursor, Draft, Envelope, Head, RecordRef, StreamId};
use crate::stored::VisitBlock;

/// Events of one decision on one stream: all of them become durable in one group, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Which life of the entity decided this. After one refusal every later append of the same
    /// activation is refused too, for it was decided on a state that never came to be.
    pub activation: u64,
    /// The stream that grows.
    pub stream: StreamId,
    /// The stream's version before these events; anything else is a [`Refusal::Conflict`].
    pub expected_version: u64,
    /// What the caller has seen of the stream. It spares a writer that has forgotten the stream a
    /// look into the index.
    pub seen: Option<Seen>,
    /// Shared by all records.
    pub envelope: Envelope,
    /// At least one event.
    pub drafts: Vec<Draft>,
}

/// What a caller knows of a stream: it has seen every record of it up to a position.
///
/// A writer believes it only of a stream that it does not remember itself, and only if it
/// remembers every stream that got a record since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The stream's newest record.
    pub head: Head,
    /// Up to this position of the journal.
    pub upto: u64,
}

/// What a stream folds to at one of its records, as bytes of whoever folds it. A cache: it may be
/// missing at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which stream.
    pub stream: StreamId,
    /// The record it was made at.
    pub head: Head,
    /// The state.
    pub bytes: Vec<u8>,
}

/// The queue to the writer is full; here is the append back. Nothing was changed.
#[derive(Debug)]
pub struct Full(pub Append);

/// What became of one append. Outcomes come in the order of `submit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every event is durable.
    Committed {
        /// Position of the first event; the others follow without a gap.
        first: u64,
        /// How many events.
        count: u32,
    },
    /// No event was written, and none will be.
    Refused(Refusal),
    /// The sync failed: the events may or may not survive a restart.
    Unknown(String),
}

/// Why an append was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Someone else extended the stream first.
    #[error("expected version {expected}, the stream is at {actual}")]
    Conflict {
        /// What the append claimed.
        expected: u64,
        /// What the stream has.
        actual: u64,
    },
    /// An earlier append of the same activation was refused.
    #[error("an earlier event of this entity was refused")]
    Superseded,
    /// The disk is full. Nothing is lost; appends resume when there is room.
    #[error("the disk is full")]
    NoRoom,
    /// The journal does not write any more; restart to reopen it.
    #[error("the journal is closed to writes: {0}")]
    Poisoned(String),
    /// A field or the whole record is over its limit, or the append is empty.
    #[error("the event is too large: {0}")]
    TooLarge(String),
}

/// One group commit's outcomes. One call per group: a wake-up per reply costs more than the
/// reply itself.
pub trait Sink: Send + 'static {
    /// Takes the outcomes of a group, in the order of `submit`, after its sync returned.
    fn group(&mut self, epoch: u32, outcomes: Vec<Outcome>);
}

impl<F: FnMut(u32, Vec<Outcome>) + Send + 'static> Sink for F {
    fn group(&mut self, epoch: u32, outcomes: Vec<Outcome>) {
        self(epoch, outcomes);
    }
}

/// Which records to find; every given field must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// This stream only.
    pub stream: Option<StreamId>,
    /// One of these types.
    pub types: Vec<u16>,
    /// This principal only.
    pub principal: Option<String>,
    /// This correlation id only.
    pub correlation: Option<String>,
    /// These tags, all of them.
    pub tags: Vec<(u8, String)>,
    /// Not before, microseconds since the Unix epoch, inclusive.
    pub since_us: Option<u64>,
    /// Not after, microseconds since the Unix epoch, inclusive.
    pub until_us: Option<u64>,
    /// Only positions greater than this.
    pub after: u64,
}

/// What a visitor is called with; [`ControlFlow::Break`] ends the read early.
pub type Visit<'v> = &'v mut dyn FnMut(RecordRef<'_>) -> ControlFlow<()>;

/// Writes what is to be kept.
pub type KeptWriter<'w> = &'w mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>;

/// How a journal stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// The newest durable record.
    pub head: Cursor,
    /// Why appends are refused at this moment, if they are.
    pub refusing: Option<Refusal>,
    /// Appends waiting for the writer.
    pub queued: usize,
    /// The index: the position it has reached, and whether it is being rebuilt. `None` when the
    /// journal has no index.
    pub store: Option<StoreStatus>,
    /// Bytes of all segment files, or of the records held in memory.
    pub size_bytes: u64,
    /// How many segment files.
    pub segments: usize,
    /// 50th and 99th percentile of the last syncs, in microseconds.
    pub sync_p50_us: u64,
    /// See `sync_p50_us`.
    pub sync_p99_us: u64,
}

/// How the index behind the segments stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Everything up to here is in the store.
    pub reached: u64,
    /// A lost or broken store is being made again.
    pub rebuilding: bool,
    /// What was wrong with the last one, if anything.
    pub trouble: Option<String>,
}

/// The read half of a journal: everything durable.
///
/// Reads see durable records only, never one whose sync has not returned. They block on files:
/// call them off the arbiter.
pub trait ReadLog: Send + Sync + 'static {
    /// The newest durable record.
    fn head(&self) -> Cursor;

    /// Visits durable records `from..=to` in order; `to` may lie past the end.
    ///
    /// # Errors
    /// [`ReadError`] names the position that neither copy could give.
    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError>;

    /// Visits the durable blocks that hold `from..=to`, in order, as they are stored.
    ///
    /// # Errors
    /// See [`ReadLog::scan`]; a log without files has no blocks.
    fn blocks(&self, _from: u64, _to: u64, _visit: VisitBlock<'_>) -> Result<(), ReadError> {
        Err(ReadError::Io(io::ErrorKind::Unsupported.into()))
    }

    /// The newest durable record of a stream at or below `upto`.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError>;

    /// Visits the durable records of a stream up to position `upto`, oldest first.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError>;

    /// Visits the durable records of a stream behind `after` up to `upto`, oldest first. False, and
    /// nothing is visited, if `after` is no record of the stream.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn read_between(
        &self,
        stream: &StreamId,
        after: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        let mut met = after.version == 0;
        self.read_stream(stream, upto.position, &mut |record| {
            if record.version <= after.version {
                met |= (record.version, record.position) == (after.version, after.position);
                return ControlFlow::Continue(());
            }
            if met { visit(record) } else { ControlFlow::Break(()) }
        })?;
        Ok(met)
    }

    /// The newest snapshot of a stream, if one was kept and is whole.
    fn snapshot(&self, _stream: &StreamId) -> Option<Snapshot> {
        None
    }

    /// What was dropped into an archive, with every stream's state there; `None` if the journal has all
    /// its records.
    fn base(&self) -> Option<Arc<Base>> {
        None
    }

    /// What was kept under a name, if anything was; see [`EventLog::keep`]. A piece that is damaged
    /// is an error where it is read.
    ///
    /// # Errors
    /// What the operating system says.
    fn kept(&self, _name: &str) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        Ok(None)
    }

    /// Visits the durable records that match, oldest first.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError>;

    /// Visits the durable records that match, newest first.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError>;

    /// The position of the newest durable record at or before a time, in microseconds since the
    /// Unix epoch, found by bisection; 0 if there is none.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn position_at(&self, at_us: u64) -> Result<u64, ReadError> {
        let query = Query { until_us: Some(at_us), ..Query::default() };
        let mut newest = 0;
        self.find_back(&query, &mut |record| {
            newest = record.position;
            ControlFlow::Break(())
        })?;
        Ok(newest)
    }

    /// The epoch of the record at a position, as its block says; at 0 that of the first record, of an
    /// empty journal its own. The position must be durable.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        let (head, mut epoch) = (self.head(), None);
        if head.position > 0 && head.epoch > 1 {
            let position = position.max(1);
            self.scan(position, position, &mut |record| {
                epoch = Some(record.epoch);
                ControlFlow::Break(())
            })?;
        }
        Ok(epoch.unwrap_or(head.epoch))
    }

    /// Whether a cursor is a place of this history: it lies no further than the head, and the record
    /// there is of its epoch. So one from before a restore is good up to the fork, and never behind it;
    /// what lies before the first record is the same in every history. Of a record that was dropped
    /// into an archive that is away only the newest possible epoch is known.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn is_ours(&self, cursor: Cursor) -> Result<bool, ReadError> {
        let head = self.head();
        // Epochs begin at 1 and never fall.
        if cursor.position > head.position || !(1..=head.epoch).contains(&cursor.epoch) {
            return Ok(false);
        }
        // Without a restore there is nothing to look up.
        if head.epoch == 1 || cursor.position == 0 {
            return Ok(true);
        }
        match (self.epoch_at(cursor.position), self.base()) {
            (Err(ReadError::Archived(_)), Some(base)) => Ok(cursor.epoch <= base.head().epoch),
            (epoch, _) => Ok(epoch? == cursor.epoch),
        }
    }

    /// A node of the Merkle tree over the records, see [`crate::merkle`]: the hash over the
    /// `2^level` leaves from leaf `index · 2^level` on. All of them must be durable.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    fn tree_node(&self, level: u32, index: u64) -> Result<TreeHash, ReadError> {
        merkle::scanned(self, level, index)
    }

    /// Waits until the head is beyond `position`, at most `limit`; returns the head.
    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor;

    /// How the journal stands.
    fn status(&self) -> LogStatus;
}

/// An append-only journal that can be appended to. See the module for the flow.
pub trait EventLog: ReadLog {
    /// Queues an append without blocking. Submit from one thread (or under one lock) if the
    /// order matters to you: outcomes come back in this order.
    ///
    /// # Errors
    /// [`Full`] gives the append back when the queue is full or the writer has ended.
    #[expect(clippy::result_large_err, reason = "the append itself comes back")]
    fn submit(&self, append: Append) -> Result<(), Full>;

    /// Keeps a snapshot, sooner or later or not at all; does not block.
    fn keep_snapshot(&self, _snapshot: Snapshot) {}

    /// Keeps what follows from the journal and can be made again, under a name, in place of what
    /// was there: whole or not at all. Blocks on files.
    ///
    /// # Errors
    /// What the operating system says, or that this journal keeps nothing.
    fn keep(&self, _name: &str, _write: KeptWriter<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Commits what is queued, then ends the writer and leaves every file in order. Reads go on.
    fn close(&self) {}
}

/// A reader that follows a journal: it holds only a position, so a slow one costs nothing.
#[derive(Debug)]
pub struct Subscription<L> {
    log: L,
    after: u64,
}

impl<L: std::ops::Deref<Target: ReadLog>> Subscription<L> {
    /// Follows `log` from the record after `after`.
    pub fn new(log: L, after: u64) -> Self {
        Self { log, after }
    }

    /// The last position that was visited.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// Waits for records beyond the last one, at most `limit`, and visits those that are durable.
    ///
    /// # Errors
    /// See [`ReadLog::scan`].
    pub fn next(&mut self, limit: Duration, visit: Visit<'_>) -> Result<(), ReadError> {
        let head = self.log.wait_beyond(self.after, limit);
        let Self { log, after } = self;
        log.scan(*after + 1, head.position, &mut |record| {
            let flow = visit(record);
            *after = record.position;
            flow
        })
    }
}
