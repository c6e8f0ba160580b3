//! Reading: what every reader of segments shares, whether it also writes or not.
//!
//! | question | way |
//! |---|---|
//! | a range | marks of the segment, then forward; a bad block comes from the store |
//! | a stream's head | newest segment whose index knows the stream; the record is checked |
//! | a stream | short: backwards along `previous`; long: postings, versions checked |
//! | a query | per segment: postings side by side, as far as they are asked for; the record is checked |
//! | a time | bisect segments and marks |
//!
//! A segment without an index (neither in memory nor in the store) is scanned and its index kept
//! for a while, so the answer is right whatever the state of the store.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::archive::Base;
use crate::block::{Bad, Block, Opener};
use crate::error::ReadError;
use crate::log::{Snapshot, Visit};
use crate::postings::Postings;
use crate::record::{Cursor, RecordRef, StreamId};
use crate::segment::{Segment, Step};
use crate::sieve::{Filter, Sieve};
use crate::store::run::{From, Stretch, Way};

mod epoch;
mod find;
mod likely;
mod lists;
mod stored;
mod stream;

/// The other copy, as far as reads need it. Everything is checked by its own hash before it is
/// given out; whatever fails is as if it were not there.
pub(crate) trait Second: Send + Sync + Debug {
    /// The bytes of the block that holds a position.
    fn block_at(&self, month: &str, position: u64) -> Option<Vec<u8>>;

    /// Reads which terms a sealed segment holds; `None` if the segment has no run there.
    fn filter(&self, segment: &Segment) -> Option<Filter>;

    /// The next records of a sealed segment that have a term; `None` if the segment has no run
    /// there.
    fn stretch(&self, segment: &Segment, term: u64, from: From, way: Way) -> Option<Stretch>;

    /// A stream's snapshot in a month.
    fn snapshot(&self, month: &str, stream: &StreamId) -> Option<Snapshot>;
}

/// Most segments whose file and marks stay in memory.
const WARM_SEGMENTS: usize = 128;
/// Most segments whose index stays in memory though the store should have it.
const WARM_INDEXES: usize = 4;
const READ_BYTES: usize = 128 * 1024;
/// A block, unless one large record is in it.
const FETCH_BYTES: usize = crate::block::MAX_BLOCK_BYTES;

pub(crate) type Segments = Arc<Vec<Arc<Segment>>>;

/// All segments and the durable head.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) opener: Opener,
    /// New ones come at the end, so each keeps its place.
    segments: RwLock<Segments>,
    /// By that place.
    sieve: Sieve,
    durable: AtomicU64,
    head: Mutex<Cursor>,
    moved: Condvar,
    closing: AtomicBool,
    second: RwLock<Option<Arc<dyn Second>>>,
    /// What was dropped: its segments are the first ones, and lie in an archive.
    base: RwLock<Option<Arc<Base>>>,
    warm: Mutex<VecDeque<Arc<Segment>>>,
    indexed: Mutex<VecDeque<Arc<Segment>>>,
    trouble: Mutex<Option<String>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl View {
    pub(crate) fn new(opener: Opener, segments: Vec<Arc<Segment>>, head: Cursor) -> Self {
        Self {
            opener,
            segments: RwLock::new(Arc::new(segments)),
            sieve: Sieve::default(),
            durable: AtomicU64::new(head.position),
            head: Mutex::new(head),
            moved: Condvar::new(),
            closing: AtomicBool::new(false),
            second: RwLock::new(None),
            base: RwLock::new(None),
            warm: Mutex::default(),
            indexed: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    pub(crate) fn segments(&self) -> Segments {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(segments);
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        let mut all = self.segments().to_vec();
        all.push(segment);
        self.set_segments(all);
    }

    pub(crate) fn set_second(&self, second: Option<Arc<dyn Second>>) {
        *self.second.write().unwrap_or_else(PoisonError::into_inner) = second;
    }

    pub(crate) fn second(&self) -> Option<Arc<dyn Second>> {
        self.second.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_base(&self, base: Option<Arc<Base>>) {
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = base;
    }

    pub(crate) fn base(&self) -> Option<Arc<Base>> {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The segments that lie in the journal.
    pub(crate) fn own_segments(&self) -> usize {
        self.segments().iter().filter(|segment| !segment.is_archived).count()
    }

    /// What was last found wrong with a copy.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    pub(crate) fn note(&self, trouble: String) {
        let mut slot = lock(&self.trouble);
        if slot.as_ref() != Some(&trouble) {
            tracing::warn!(%trouble, "journal copy damaged");
            *slot = Some(trouble);
        }
    }

    pub(crate) fn head(&self) -> Cursor {
        *lock(&self.head)
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Makes everything up to `head` visible.
    pub(crate) fn publish(&self, head: Cursor) {
        self.durable.store(head.position, Ordering::Release);
        *lock(&self.head) = head;
        self.moved.notify_all();
    }

    /// Ends every wait: nothing more will come.
    pub(crate) fn close(&self) {
        let head = lock(&self.head);
        self.closing.store(true, Ordering::Release);
        drop(head);
        self.moved.notify_all();
    }

    pub(crate) fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        let head = lock(&self.head);
        let waited = self.moved.wait_timeout_while(head, limit, |head| {
            head.position <= position && !self.closing.load(Ordering::Acquire)
        });
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for a while, or until it is closed.
    pub(crate) fn pause(&self, limit: Duration) {
        let closing = |_: &mut Cursor| !self.closing.load(Ordering::Acquire);
        let waited = self.moved.wait_timeout_while(lock(&self.head), limit, closing);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Bytes of the segments that lie in the journal, as far as they are durable.
    pub(crate) fn size_bytes(&self) -> u64 {
        let segments = self.segments();
        let own = segments.iter().filter(|segment| !segment.is_archived);
        own.map(|segment| segment.size_bytes()).sum()
    }

    /// The index in `segments` of the one that holds `position`.
    fn holding(segments: &Segments, position: u64) -> Option<usize> {
        segments.partition_point(|segment| segment.first <= position).checked_sub(1)
    }

    /// The last position of a segment, `durable` for the newest.
    pub(crate) fn last_of(segments: &Segments, index: usize, durable: u64) -> u64 {
        segments.get(index + 1).map_or(durable, |next| durable.min(next.first - 1))
    }

    /// Remembers that a segment's marks are in memory, and cools the one used first.
    fn warm(&self, segment: &Arc<Segment>) {
        let mut warm = lock(&self.warm);
        warm.push_back(Arc::clone(segment));
        if warm.len() > WARM_SEGMENTS
            && let Some(oldest) = warm.pop_front()
            && self.segments().last().is_none_or(|open| !Arc::ptr_eq(open, &oldest))
        {
            oldest.cool();
        }
    }

    pub(crate) fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.over(from, to, |segment, from, to| self.scan_segment(segment, from, to, visit))
    }

    /// Goes over the segments that hold durable records of `from..=to`, each with its part of them.
    fn over(
        &self,
        from: u64,
        to: u64,
        mut take: impl FnMut(&Arc<Segment>, u64, u64) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<(), ReadError> {
        let durable = self.durable();
        let (from, to) = (from.max(1), to.min(durable));
        let segments = self.segments();
        let Some(start) = Self::holding(&segments, from) else {
            return if from > to { Ok(()) } else { Err(missing(from)) };
        };
        for (index, segment) in segments.iter().enumerate().skip(start) {
            let last = Self::last_of(&segments, index, durable).min(to);
            let from = from.max(segment.first);
            if from <= last && take(segment, from, last)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Visits `from..=to`, all of it in this segment.
    pub(crate) fn scan_segment(
        &self,
        segment: &Arc<Segment>,
        from: u64,
        to: u64,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        self.blocks(segment, from, to, READ_BYTES, &mut |block| {
            for record in block.records() {
                let record = record.map_err(|bad| damaged(block.header.first, bad))?;
                if record.position > to {
                    break;
                }
                if record.position >= from && visit(record).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Visits the blocks that hold `from..=to`, in order, each with its hash checked.
    pub(crate) fn blocks(
        &self,
        segment: &Arc<Segment>,
        from: u64,
        to: u64,
        chunk: usize,
        take: &mut dyn FnMut(&Block<'_>) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let cold = !segment.is_warm();
        let (mut next, offset) = segment.place_of(from)?;
        if cold {
            self.warm(segment);
        }
        let mut walk = segment.walk(&self.opener, offset, chunk)?;
        while next <= to {
            if let Ok(Some((header, _))) = walk.header()?
                && header.first == next
                && header.last() < from
            {
                next = header.last() + 1;
                walk.skip(header.block_bytes());
                continue;
            }
            let bad = match walk.step()? {
                Step::Block(block) if block.header.first == next => {
                    next = block.header.last() + 1;
                    if take(&block)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    continue;
                },
                Step::Block(..) => Bad::Position,
                Step::End => Bad::Short,
                Step::Bad(bad) => bad,
            };
            let offset = walk.offset();
            let wanted = next.max(from);
            let bytes = self.second_copy(segment, wanted, bad, offset)?;
            let block = Block::parse(&bytes, &self.opener).map_err(|bad| damaged(next, bad))?;
            let seek = segment.locate_after(block.header.last(), offset + bytes.len() as u64)?;
            next = block.header.last() + 1;
            if take(&block)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            walk = segment.walk(&self.opener, seek, chunk)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn second_copy(
        &self,
        segment: &Segment,
        position: u64,
        bad: Bad,
        offset: u64,
    ) -> Result<Vec<u8>, ReadError> {
        self.note(format!("{} at offset {offset}: {bad}", segment.path.display()));
        let second = self.second();
        second
            .and_then(|second| second.block_at(&segment.month, position))
            .ok_or_else(|| damaged(position, bad))
    }

    /// Reads a segment's index from its records.
    pub(crate) fn index(&self, segment: &Arc<Segment>, last: u64) -> Result<Postings, ReadError> {
        let mut postings = Postings::new(segment.first);
        let _ = self.scan_segment(segment, segment.first, last, &mut |record| {
            postings.add(&record);
            ControlFlow::Continue(())
        })?;
        Ok(postings)
    }

    /// Remembers which terms a sealed segment holds.
    pub(crate) fn sift(&self, segment: &Segment, filter: &Filter) {
        if let Some(index) = Self::holding(&self.segments(), segment.first) {
            self.sieve.set(index, filter);
        }
    }

    /// Bounds how many sealed segments have their index in memory.
    pub(crate) fn keep_index(&self, segment: &Arc<Segment>) {
        let mut indexed = lock(&self.indexed);
        indexed.push_back(Arc::clone(segment));
        if indexed.len() > WARM_INDEXES
            && let Some(oldest) = indexed.pop_front()
            && self.segments().last().is_none_or(|open| !Arc::ptr_eq(open, &oldest))
        {
            let postings = lock(&oldest.postings).take();
            let segments = self.segments();
            let next = segments.partition_point(|segment| segment.first <= oldest.first);
            let last = segments.get(next).map(|next| next.first - 1);
            // One that was made while the segment still grew knows too little.
            if let Some(postings) = postings.filter(|postings| Some(postings.upto()) == last) {
                self.sift(&oldest, &Filter::of(&postings.sorted()));
            }
        }
    }

    /// Visits one record.
    fn fetch<T>(
        &self,
        segments: &Segments,
        position: u64,
        take: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Result<T, ReadError> {
        let segment = Self::holding(segments, position).and_then(|index| segments.get(index));
        let segment = segment.ok_or_else(|| missing(position))?;
        let mut take = Some(take);
        let mut taken = None;
        let _ = self.blocks(segment, position, position, FETCH_BYTES, &mut |block| {
            let record = block.record(position).map_err(|bad| damaged(position, bad))?;
            taken = take.take().map(|take| take(record));
            Ok(ControlFlow::Break(()))
        })?;
        taken.ok_or_else(|| missing(position))
    }
}

pub(crate) fn damaged(position: u64, bad: Bad) -> ReadError {
    ReadError::Damaged { position, reason: bad.to_string() }
}

fn missing(position: u64) -> ReadError {
    ReadError::Damaged { position, reason: "no segment holds it".into() }
}
