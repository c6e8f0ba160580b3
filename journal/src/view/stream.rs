//! One stream: its head, and its records in order.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{View, damaged};
use crate::block::Bad;
use crate::error::ReadError;
use crate::log::{Snapshot, Visit};
use crate::record::{Head, RecordRef, StreamId};
use crate::segment::Segment;
use crate::store::run::Way;
use crate::terms;

/// Up to this many records a stream is read backwards, record by record.
const SHORT: u64 = 64;
/// Months that are searched for a stream's snapshot; one that is older is made again.
const SNAPSHOT_MONTHS: usize = 3;

impl View {
    pub(crate) fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        let durable = self.durable();
        let upto = upto.min(durable);
        let segments = self.segments();
        let terms = [vec![terms::stream(stream.as_str())]];
        // What was dropped need not be looked through: the newest record of each stream is known.
        let base = self.base().filter(|base| base.head().position <= upto);
        let from = base.as_ref().map_or(1, |base| base.head().position + 1);
        for (index, segment) in self.likely(&segments, &(from..=upto), &terms, Way::Back) {
            let last = Self::last_of(&segments, index, durable);
            let (offsets, reached) = self.offsets(segment, last, &terms)?;
            if let Some(head) = self.newest_of(segment, stream, reached + 1, upto.min(last))? {
                return Ok(head);
            }
            for offset in offsets.into_iter().rev() {
                let position = segment.first + u64::from(offset);
                if !(from..=upto).contains(&position) {
                    continue;
                }
                let version = self.fetch(&segments, position, |record| {
                    (record.stream == stream.as_str()).then_some(record.version)
                })?;
                if let Some(version) = version {
                    return Ok(Head { version, position });
                }
            }
        }
        let before = base.map_or(Ok(None), |base| base.state(stream))?;
        Ok(before.map(|state| state.head).unwrap_or_default())
    }

    /// The newest snapshot of a stream, looked for in the last months.
    pub(crate) fn snapshot(&self, stream: &StreamId) -> Option<Snapshot> {
        let second = self.second()?;
        let segments = self.segments();
        let mut months: Vec<&str> = segments.iter().rev().map(|it| it.month.as_str()).collect();
        months.dedup();
        months.into_iter().take(SNAPSHOT_MONTHS).find_map(|month| second.snapshot(month, stream))
    }

    /// The stream's newest record in `from..=to`, which the index has not reached yet.
    fn newest_of(
        &self,
        segment: &Arc<Segment>,
        stream: &StreamId,
        from: u64,
        to: u64,
    ) -> Result<Option<Head>, ReadError> {
        let mut found = None;
        if from <= to {
            let _ = self.scan_segment(segment, from, to, &mut |record| {
                if record.stream == stream.as_str() {
                    found = Some(Head { version: record.version, position: record.position });
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }

    pub(crate) fn read_stream(
        &self,
        stream: &StreamId,
        upto: u64,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        let head = self.stream_head(stream, upto)?;
        self.read_between(stream, Head::default(), head, visit).map(drop)
    }

    pub(crate) fn read_between(
        &self,
        stream: &StreamId,
        from: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        match upto.version.checked_sub(from.version) {
            None => Ok(false),
            Some(0) => Ok(from == upto),
            Some(1..=SHORT) => self.read_backwards(stream, from, upto, visit),
            Some(_) => {
                let record = |record: RecordRef<'_>| {
                    record.stream == stream.as_str() && record.version == from.version
                };
                let mut from = from;
                let met = if let Some(base) = self.base_of(stream, from)? {
                    // What follows lies behind everything that was dropped.
                    from.position = base;
                    true
                } else {
                    from.version == 0
                        || (from.position < upto.position
                            && self.fetch(&self.segments(), from.position, record)?)
                };
                if met {
                    self.read_postings(stream, from, upto, visit)?;
                }
                Ok(met)
            },
        }
    }

    /// The last position that was dropped, if a stream was at `head` there.
    fn base_of(&self, stream: &StreamId, head: Head) -> Result<Option<u64>, ReadError> {
        let Some(base) = self.base() else { return Ok(None) };
        let known = if head.position <= base.head().position { base.state(stream)? } else { None };
        let known = known.map(|state| state.head).unwrap_or_default();
        Ok((known == head).then(|| base.head().position))
    }

    /// Follows `previous` from the head down to `from`, then visits in order.
    fn read_backwards(
        &self,
        stream: &StreamId,
        from: Head,
        head: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        let segments = self.segments();
        let mut copies = Vec::new();
        let Head { mut version, mut position } = head;
        while version > from.version {
            let previous = self.fetch(&segments, position, |record| {
                let right = record.stream == stream.as_str() && record.version == version;
                copies.push(Held::of(&record));
                right.then_some(record.previous)
            })?;
            let Some(previous) = previous.filter(|previous| *previous < position) else {
                return Err(damaged(position, Bad::Records));
            };
            (version, position) = (version - 1, previous);
        }
        if from.version > 0 && position != from.position {
            return Ok(false);
        }
        for copy in copies.iter().rev() {
            if copy.with(&mut *visit).is_break() {
                break;
            }
        }
        Ok(true)
    }

    /// Visits a long stream by the index; if that is incomplete, by reading everything.
    fn read_postings(
        &self,
        stream: &StreamId,
        from: Head,
        head: Head,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        let query = crate::log::Query {
            stream: Some(stream.clone()),
            after: from.position,
            ..Default::default()
        };
        let (mut next, mut after) = (from.version + 1, from.position);
        let (mut broke, mut gap) = (false, false);
        self.find_upto(&query, head.position, &mut |record| {
            if record.version != next {
                gap = true;
                return ControlFlow::Break(());
            }
            (next, after) = (next + 1, record.position);
            let flow = visit(record);
            broke = flow.is_break();
            flow
        })?;
        if broke || (!gap && next == head.version + 1) {
            return Ok(());
        }
        self.note(format!("index misses version {next} of a stream"));
        self.scan(after + 1, head.position, &mut |record| {
            if record.stream == stream.as_str() { visit(record) } else { ControlFlow::Continue(()) }
        })
    }
}

/// A record that was copied out of its block.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    epoch: u32,
    position: u64,
}

impl Held {
    pub(crate) fn of(record: &RecordRef<'_>) -> Self {
        Self { bytes: record.frame.to_vec(), epoch: record.epoch, position: record.position }
    }

    pub(crate) fn with(
        &self,
        visit: &mut dyn FnMut(RecordRef<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        crate::codec::decode(&self.bytes, self.epoch, self.position)
            .map_or(ControlFlow::Continue(()), visit)
    }
}
