//! The follower: reads durable blocks from the segments and puts them into sled.
//!
//! ```text
//! for each month: done? ─► open ─► mark fits the segments? ─► blocks from mark + 1 ─► seal: run
//!                            └─ no ─► set aside, from the start ─┘
//! ```
//!
//! Making a lost store again and following the writer are the same walk.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fresh::Fresh;
use super::pile::Pile;
use super::{Month, Store, guarded, run};
use crate::block::{Block, Header};
use crate::merkle::Forest;
use crate::segment::Segment;
use crate::stats::timed;
use crate::view::{Segments, View, lock};

/// Blocks between two marks.
const STEP_BLOCKS: usize = 64;
/// Records between two syncs of sled's file.
const FLUSH_RECORDS: u64 = 65_536;
/// Groups are followed in strides of this, not one by one: each look costs the writer a part of a
/// core and of the disk, and a sync of sled's file would stand in the way of the next group's.
const STRIDE: Duration = Duration::from_millis(20);
/// Leaves of sealed segments are hashed when fewer records than this came in a stride: whoever
/// appends at full speed needs the core.
const CALM_RECORDS: u64 = 256;
/// How long to wait for news, and before a failing database is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a month could not be followed further.
enum Halt {
    /// The process ends.
    Stopped,
    /// The database is of no use.
    Broken(String),
    /// The segments could not give a block.
    Source(String),
}

/// What the follower knows on its way.
#[derive(Default)]
struct Way {
    /// Records since sled's file was synced.
    unflushed: u64,
    /// First position of the newest segment that is stored and indexed for good.
    settled: u64,
    /// What the writer made last.
    fresh: Fresh,
    pile: Pile,
}

impl Store {
    pub(super) fn follow(&self, view: &Arc<View>, forest: &Forest) {
        let mut way = Way::default();
        let mut before = 0;
        loop {
            let durable = view.durable();
            match self.catch_up(view, durable, &mut way) {
                Ok(()) => {
                    self.update(|state| {
                        (state.reached, state.rebuilding, state.following) = (durable, false, true);
                    });
                    self.heal(view);
                    self.write_snapshots();
                    if durable - before < CALM_RECORDS {
                        forest.make_next(view);
                    }
                },
                Err(Halt::Stopped) => {},
                Err(Halt::Broken(reason)) => {
                    way.settled = 0;
                    self.update(|state| (state.rebuilding, state.following) = (true, false));
                    self.trouble(reason);
                    view.pause(PAUSE);
                },
                Err(Halt::Source(reason)) => {
                    self.update(|state| state.following = false);
                    self.trouble(reason);
                    view.pause(PAUSE);
                },
            }
            before = durable;
            let stopped = self.stop.load(Ordering::Acquire);
            let idle = stopped || view.wait_beyond(durable, PAUSE).position == durable;
            if way.unflushed > 0 && (idle || way.unflushed >= FLUSH_RECORDS) {
                self.flush();
                way.unflushed = 0;
            }
            if stopped {
                return;
            }
            std::thread::sleep(STRIDE);
        }
    }

    fn flush(&self) {
        let newest = lock(&self.months).last_key_value().map(|(_, month)| Arc::clone(month));
        if let Some(month) = newest
            && let Err(reason) = guarded(|| month.flush())
        {
            self.trouble(format!("store {}: {reason}", month.name));
        }
    }

    fn catch_up(&self, view: &View, durable: u64, way: &mut Way) -> Result<(), Halt> {
        way.fresh.clear();
        std::mem::swap(&mut way.fresh, &mut *lock(&self.fresh));
        let segments = view.segments();
        let reached = lock(&self.state).reached;
        for (index, segment) in segments.iter().enumerate() {
            let last = View::last_of(&segments, index, durable);
            let followed = last <= reached && index + 1 == segments.len();
            if segment.first <= way.settled || segment.is_archived || followed {
                continue;
            }
            let end = end_of_month(&segments, index, durable);
            if end.is_some_and(|end| self.is_done(&segment.month, end)) {
                self.update(|state| state.reached = state.reached.max(last));
                way.settled = segment.first;
                continue;
            }
            let month = self.ready_month(view, &segments, index, durable)?;
            let result = self.copy(view, &month, segment, last, way);
            let sealed = segments.get(index + 1).is_some() && last >= segment.first;
            result.and_then(|()| {
                if sealed { self.write_run(view, &month, segment, last) } else { Ok(()) }
            })?;
            if sealed {
                way.settled = segment.first;
            }
            if let Some(end) = end.filter(|end| *end == last) {
                self.finish(&month, end)?;
            }
        }
        Ok(())
    }

    fn is_done(&self, month: &str, end: u64) -> bool {
        let path = self.layout.store().join(format!("{month}.done"));
        self.layout.store().join(month).is_dir()
            && fs::read_to_string(path).is_ok_and(|text| text == done(end))
    }

    /// A month that is complete needs not be looked at when the next journal opens.
    fn finish(&self, month: &Month, end: u64) -> Result<(), Halt> {
        self.broken(month, guarded(|| month.flush()))?;
        let path = self.layout.store().join(format!("{}.done", month.name));
        let _ = fs::write(path, done(end));
        Ok(())
    }

    fn broken<T>(&self, month: &Month, done: Result<T, String>) -> Result<T, Halt> {
        done.map_err(|reason| {
            // No room is no reason to throw the database away.
            if reason.contains("No space left") || reason.contains("StorageFull") {
                return Halt::Source(format!("store {}: {reason}", month.name));
            }
            self.give_up(&month.name, &reason);
            Halt::Broken(format!("store {} is made again: {reason}", month.name))
        })
    }

    /// The month's database, its mark held against the segments when it is met first.
    fn ready_month(
        &self,
        view: &View,
        segments: &Segments,
        index: usize,
        durable: u64,
    ) -> Result<Arc<Month>, Halt> {
        let Some(segment) = segments.get(index) else { return Err(Halt::Stopped) };
        let known = lock(&self.checked).contains(&segment.month);
        let opened = self.open_month(&segment.month, true);
        let month = match opened {
            Ok(month) => month,
            Err(_) => self.open_month(&segment.month, true).map_err(Halt::Broken)?,
        };
        if !known {
            let mark = self.broken(&month, guarded(|| month.mark()))?;
            if mark > 0 && !Self::mark_fits(view, segments, &month, mark, durable) {
                self.give_up(&month.name, "it does not hold what the segments hold");
                self.update(|state| state.rebuilding = true);
                return Err(Halt::Broken(format!("store {} is made again", segment.month)));
            }
            lock(&self.checked).insert(segment.month.clone());
            let behind = durable.saturating_sub(mark.max(segment.first - 1));
            self.update(|state| state.rebuilding = state.rebuilding || behind > FLUSH_RECORDS);
        }
        Ok(month)
    }

    /// Whether the block at the mark is the segments' block too.
    fn mark_fits(view: &View, segments: &Segments, month: &Month, mark: u64, durable: u64) -> bool {
        let index = segments.partition_point(|segment| segment.first <= mark);
        let segment = index.checked_sub(1).and_then(|index| segments.get(index));
        let Some(segment) = segment.filter(|segment| segment.month == month.name) else {
            return false;
        };
        let Ok(Some(copy)) = guarded(|| month.block_at(mark)) else { return false };
        let mut same = false;
        let _ = view.blocks(segment, mark, mark, 20 * 1024, &mut |block: &Block<'_>| {
            same = block.bytes == copy;
            Ok(ControlFlow::Break(()))
        });
        same && mark <= durable
    }

    /// Puts a segment's blocks beyond the mark into the database.
    fn copy(
        &self,
        view: &View,
        month: &Month,
        segment: &Arc<Segment>,
        last: u64,
        way: &mut Way,
    ) -> Result<(), Halt> {
        let mark = self.broken(month, guarded(|| month.mark()))?;
        let mut next = segment.first.max(mark + 1);
        let Way { unflushed, fresh, pile, .. } = way;
        pile.clear();
        while next <= last {
            let (mut count, mut failed) = (0, None);
            let from = next;
            let mut take = |header: &Header, bytes: &[u8]| {
                if let Err(reason) = guarded(|| pile.add(month, header, bytes)) {
                    failed = Some(reason);
                    return ControlFlow::Break(());
                }
                next = header.last() + 1;
                count += 1;
                let full = count >= STEP_BLOCKS;
                if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let read = if fresh.holds(from) {
                fresh.blocks(from, last, &mut take);
                Ok(ControlFlow::Continue(()))
            } else {
                let upto = fresh.read_upto(from, last);
                view.blocks(segment, from, upto, 256 * 1024, &mut |block: &Block<'_>| {
                    Ok(take(&block.header, block.bytes))
                })
            };
            if let Some(reason) = failed {
                return self.broken(month, Err(reason));
            }
            if let Err(error) = read {
                return Err(Halt::Source(format!("store {}: {error}", month.name)));
            }
            if count == 0 {
                // What does not begin here is read from the segments.
                fresh.clear();
                continue;
            }
            self.broken(month, guarded(|| pile.put(month)))?;
            self.broken(month, guarded(|| month.set_mark(next - 1)))?;
            self.hint.set(next - 1);
            *unflushed += next - from;
            if *unflushed >= FLUSH_RECORDS {
                let (flushed, took) = timed(|| guarded(|| month.flush()));
                self.broken(month, flushed)?;
                tracing::debug!(?took, "journal store flushed");
                *unflushed = 0;
            }
            self.update(|state| state.reached = state.reached.max(next - 1));
            if self.stop.load(Ordering::Acquire) && last - next.min(last) > FLUSH_RECORDS {
                return Err(Halt::Stopped);
            }
        }
        Ok(())
    }

    /// Takes a sealed segment's index over.
    fn write_run(
        &self,
        view: &View,
        month: &Month,
        segment: &Arc<Segment>,
        last: u64,
    ) -> Result<(), Halt> {
        let there = self.broken(month, guarded(|| run::is_there(month, segment.first)))?;
        if !there {
            let held = lock(&segment.postings).clone().filter(|held| held.upto() == last);
            let postings = match held {
                Some(held) => held,
                None => view
                    .index(segment, last)
                    .map_err(|error| Halt::Source(format!("store {}: {error}", month.name)))?,
            };
            let sorted = postings.sorted();
            let stored = guarded(|| run::write(month, segment.first, &sorted));
            view.sift(segment, &self.broken(month, stored)?.filter);
        }
        *lock(&segment.postings) = None;
        Ok(())
    }

    /// Makes pieces again that a reader found wrong.
    fn heal(&self, view: &View) {
        let (blocks, runs) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.heal), std::mem::take(&mut state.reindex))
        };
        let segments = view.segments();
        for (name, position) in blocks {
            let Some(month) = self.month(&name) else { continue };
            let after = segments.partition_point(|segment| segment.first <= position);
            let Some(index) = after.checked_sub(1) else { continue };
            let Some(segment) = segments.get(index) else { continue };
            let last = View::last_of(&segments, index, view.durable());
            heal_pile(view, &month, segment, position, last);
        }
        for first in runs {
            let index = segments.partition_point(|segment| segment.first < first);
            let (Some(segment), Some(next)) = (segments.get(index), segments.get(index + 1)) else {
                continue;
            };
            if let Some(month) = self.month(&segment.month)
                && let Ok(postings) = view.index(segment, next.first - 1)
            {
                let _ = guarded(|| run::write(&month, first, &postings.sorted()));
            }
        }
    }
}

/// Puts the blocks again that lie in the database with one that was found wrong.
fn heal_pile(view: &View, month: &Month, segment: &Arc<Segment>, position: u64, last: u64) {
    let Ok((from, next)) = guarded(|| month.span(position)) else { return };
    let from = from.max(segment.first);
    let upto = next.map_or(last, |next| last.min(next - 1));
    let _ = view.blocks(segment, from, upto, 64 * 1024, &mut |block: &Block<'_>| {
        let _ = guarded(|| month.put_block(block.header.first, block.bytes));
        Ok(ControlFlow::Continue(()))
    });
}

/// What the file of a complete month says.
fn done(end: u64) -> String {
    format!("{end} {}\n", run::LAYOUT)
}

/// The last position of a segment's month, if a later month has begun.
fn end_of_month(segments: &Segments, index: usize, durable: u64) -> Option<u64> {
    let month = &segments.get(index)?.month;
    let next = segments.iter().skip(index).find(|segment| segment.month != *month)?;
    (next.first <= durable + 1).then(|| next.first - 1)
}
