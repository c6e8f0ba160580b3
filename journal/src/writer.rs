//! The writer: takes appends from the queue, one group commit a turn.
//!
//! ```text
//! queue ─► check ─► pack ─► write ─► sync ─► publish ─► sink ─► index ─► wait for the store
//!            │                │        │
//!            ▼ Refused        ▼ NoRoom ▼ Unknown, and poisoned for good
//! ```
//!
//! | what fails | what follows |
//! |---|---|
//! | write or new file: no room | rewound to the last durable offset, group refused; the next group tries again |
//! | write: anything else | poisoned; this group is unknown, for bytes may have landed |
//! | sync | poisoned; this group is unknown; never tried again |

use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, TryRecvError};
use smallvec::SmallVec;

use crate::codec::{self, Place};
use crate::disk::{Disk, DiskFile, Held};
use crate::heads::{Heads, StreamKey, Superseded};
use crate::layout::{Layout, end_of_month};
use crate::log::{Append, Outcome, Refusal, Sink};
use crate::pack::Packer;
use crate::record::Head;
use crate::recover::Recovered;
use crate::segment::Segment;
use crate::spare::Spares;
use crate::stats::SyncTimes;
use crate::view::View;

mod commit;

/// Most bytes of one append's records; they lie in one group.
pub const MAX_APPEND_BYTES: usize = 1 << 20;

/// What goes through the queue.
#[derive(Debug)]
pub(crate) enum Job {
    Append(Append),
    Close,
}

/// What the writer and the log share beside the view.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) refusing: Mutex<Option<Refusal>>,
    pub(crate) syncs: SyncTimes,
}

/// What bounds a group and a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) group_records: usize,
    pub(crate) group_bytes: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) heads: usize,
}

/// What one [`Writer::turn`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The queue was empty.
    Idle,
    /// One group, with this many outcomes.
    Group(usize),
    /// The log was closed: there is nothing more to come.
    Closed,
}

/// Slows the writer down when the store is too far behind.
pub(crate) trait Brake: Send {
    /// Returns when the store is near enough to `head`, or hopeless.
    fn hold(&self, head: u64);
    /// Whether sealed segments' indexes are taken over by a store.
    fn takes_indexes(&self) -> bool;
    /// A group was made durable: its blocks, which hold `first` to `last`.
    fn written(&self, first: u64, last: u64, blocks: &[u8]);
}

/// The one who writes. Driven by a thread, or by hand with [`Writer::turn`].
pub struct Writer {
    inbox: Receiver<Job>,
    sink: Box<dyn Sink>,
    view: Arc<View>,
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    layout: Layout,
    bounds: Bounds,
    spares: Spares,
    brake: Option<Box<dyn Brake>>,
    packer: Packer,
    heads: Heads,
    superseded: Superseded,
    open: Option<Open>,
    next: u64,
    last_at_us: u64,
    at_us_before: u64,
    poisoned: Option<String>,
    /// Streams of the group, with their activations and their heads before it.
    touched: Vec<(StreamKey, u64, Head)>,
    /// Came with the last group, and belongs to the next one.
    carried: Option<Append>,
    closed: bool,
    _held: Arc<Box<dyn Held>>,
}

struct Open {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    end: u64,
    /// Later records belong to another segment.
    month_end_us: u64,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Everything a writer is made of.
pub(crate) struct Parts {
    pub(crate) inbox: Receiver<Job>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) view: Arc<View>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) bounds: Bounds,
    pub(crate) spares: Spares,
    pub(crate) brake: Option<Box<dyn Brake>>,
    pub(crate) held: Arc<Box<dyn Held>>,
}

impl Writer {
    pub(crate) fn new(parts: Parts, recovered: &Recovered) -> Self {
        let Parts { inbox, sink, view, shared, disk, layout, bounds, spares, brake, held } = parts;
        let open = recovered.segments.last().zip(recovered.file.as_ref()).map(|(segment, file)| {
            let (segment, file) = (Arc::clone(segment), Arc::clone(file));
            let month_end_us = end_of_month(recovered.last_at_us);
            Open { segment, file, end: recovered.end, month_end_us }
        });
        let packer = Packer::new(recovered.chain, view.opener.keyring.clone());
        let seed = xxhash_rust::xxh3::xxh3_64(&view.opener.journal);
        Self {
            inbox,
            sink,
            view,
            shared,
            disk,
            layout,
            bounds,
            spares,
            brake,
            packer,
            heads: Heads::new(
                bounds.heads.max(bounds.group_records),
                seed,
                recovered.head.position + 1,
            ),
            superseded: Superseded::default(),
            open,
            next: recovered.head.position + 1,
            last_at_us: recovered.last_at_us,
            at_us_before: recovered.last_at_us,
            poisoned: None,
            touched: Vec::new(),
            carried: None,
            closed: false,
            _held: held,
        }
    }

    /// Commits one group of what is queued, without waiting for more.
    pub fn turn(&mut self) -> Turn {
        if self.closed {
            return Turn::Closed;
        }
        if let Some(append) = self.carried.take() {
            return Turn::Group(self.group(append));
        }
        match self.inbox.try_recv() {
            Ok(Job::Append(append)) => Turn::Group(self.group(append)),
            Err(TryRecvError::Empty) => Turn::Idle,
            Ok(Job::Close) | Err(TryRecvError::Disconnected) => self.close(),
        }
    }

    /// Takes groups until the log is closed.
    pub(crate) fn run(mut self) {
        while !self.closed {
            match self.inbox.recv() {
                Ok(Job::Append(append)) => {
                    self.group(append);
                    while let Some(append) = self.carried.take() {
                        self.group(append);
                    }
                },
                Ok(Job::Close) | Err(_) => break,
            }
        }
        self.close();
    }

    fn close(&mut self) -> Turn {
        self.closed = true;
        if let Some(open) = self.open.take().filter(|_| self.poisoned.is_none()) {
            // Only zeros are cut; whether that becomes durable does not matter.
            let _ = open.file.set_len(open.end);
        }
        Turn::Closed
    }

    fn group(&mut self, first: Append) -> usize {
        let before = self.packer.chain;
        let at_us = self.time_of(&first);
        // A segment has one month, so that its place tells what cannot be in it, and one key, so that
        // its first block tells whether it can be read.
        let bytes = self.bounds.segment_bytes;
        let goes_on = |open: &&Open| open.end < bytes && at_us < open.month_end_us;
        let open = self.open.as_ref().filter(goes_on).filter(|_| self.packer.fits_key());
        let mut month_end_us = open.map(|open| open.month_end_us);
        if open.is_none() {
            self.packer.chain.segment = 0;
        }
        self.packer.begin(self.next);
        self.touched.clear();
        self.at_us_before = self.last_at_us;
        let mut outcomes = Vec::with_capacity(self.inbox.len() + 1);
        let mut position = self.next;
        let mut append = first;
        loop {
            let outcome = self.take(&append, &mut position);
            outcomes.push(outcome);
            drop(append);
            let records = usize::try_from(position - self.next).unwrap_or(usize::MAX);
            if month_end_us.is_none() && records > 0 {
                month_end_us = Some(end_of_month(self.last_at_us));
            }
            let later =
                |append: &Append| month_end_us.is_some_and(|end| self.time_of(append) >= end);
            let full = records >= self.bounds.group_records
                || self.packer.buffer.len() >= self.bounds.group_bytes
                || outcomes.len() >= self.bounds.group_records;
            append = match if full { Err(TryRecvError::Empty) } else { self.inbox.try_recv() } {
                Ok(Job::Append(append)) if later(&append) => {
                    self.carried = Some(append);
                    break;
                },
                Ok(Job::Append(append)) => append,
                Ok(Job::Close) => {
                    self.closed = true;
                    break;
                },
                Err(_) => break,
            };
        }
        self.packer.close();
        let count = outcomes.len();
        if self.packer.buffer.is_empty() {
            self.sink.group(before.epoch, outcomes);
        } else {
            self.commit(before, position, outcomes);
        }
        count
    }

    /// The time of an append's records: never before those that are written.
    fn time_of(&self, append: &Append) -> u64 {
        append.envelope.at_us.max(self.last_at_us)
    }

    /// Checks one append and packs its records.
    fn take(&mut self, append: &Append, position: &mut u64) -> Outcome {
        let key = self.heads.key(append.stream.as_str());
        match self.admit(append, key, position) {
            Ok(outcome) => outcome,
            Err(refusal) => {
                if !matches!(refusal, Refusal::Superseded | Refusal::Poisoned(_)) {
                    self.superseded.add(key, append.activation);
                }
                Outcome::Refused(refusal)
            },
        }
    }

    fn admit(
        &mut self,
        append: &Append,
        key: StreamKey,
        position: &mut u64,
    ) -> Result<Outcome, Refusal> {
        if let Some(reason) = &self.poisoned {
            return Err(Refusal::Poisoned(reason.clone()));
        }
        if self.superseded.contains(key, append.activation) {
            return Err(Refusal::Superseded);
        }
        let sizes = sizes(append)?;
        let mut head = self.head_of(append, key)?;
        let before = head;
        if head.version != append.expected_version {
            self.heads.put(key, head, *position);
            let (expected, actual) = (append.expected_version, head.version);
            return Err(Refusal::Conflict { expected, actual });
        }
        let at_us = self.time_of(append);
        self.last_at_us = at_us;
        let first = *position;
        for (draft, size) in append.drafts.iter().zip(sizes) {
            let place = Place { at_us, version: head.version + 1, previous: head.position };
            self.packer.push(at_us, size, |out| codec::encode(out, append, draft, place, size));
            head = Head { version: place.version, position: *position };
            *position += 1;
        }
        self.heads.put(key, head, first);
        self.touched.push((key, append.activation, before));
        let count = u32::try_from(append.drafts.len()).unwrap_or(u32::MAX);
        Ok(Outcome::Committed { first, count })
    }

    /// The stream's newest record: remembered, else as the caller has seen it, else looked up.
    fn head_of(&self, append: &Append, key: StreamKey) -> Result<Head, Refusal> {
        if let Some(head) = self.heads.get(key) {
            return Ok(head);
        }
        if let Some(seen) = append.seen.filter(|seen| self.heads.cover_all_behind(seen.upto)) {
            return Ok(seen.head);
        }
        let looked_up = self.view.stream_head(&append.stream, u64::MAX);
        looked_up.map_err(|error| Refusal::Poisoned(error.to_string()))
    }
}

/// The encoded length of each record, if every limit is kept.
pub(crate) fn sizes(append: &Append) -> Result<SmallVec<[usize; 8]>, Refusal> {
    let mut sizes = SmallVec::new();
    let mut total = 0;
    for draft in &append.drafts {
        let size = codec::measure(append, draft).map_err(Refusal::TooLarge)?;
        total += size;
        sizes.push(size);
    }
    if sizes.is_empty() {
        return Err(Refusal::TooLarge("an append without events".into()));
    }
    if total > MAX_APPEND_BYTES {
        let text = format!("{total} bytes in one append, {MAX_APPEND_BYTES} allowed");
        return Err(Refusal::TooLarge(text));
    }
    Ok(sizes)
}
