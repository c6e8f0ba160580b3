//! Queries: intersect postings per segment, fetch, check the record.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::stream::Held;
use super::{Segments, View};
use crate::error::ReadError;
use crate::log::{Query, Visit};
use crate::segment::Segment;
use crate::terms;

/// Below this many candidates records are fetched rather than further lists intersected.
const FEW: usize = 256;

impl View {
    pub(crate) fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.find_upto(query, u64::MAX, visit)
    }

    pub(crate) fn find_upto(
        &self,
        query: &Query,
        upto: u64,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        let segments = self.segments();
        let durable = self.durable();
        let (from, to) = self.bounds(&segments, query, upto.min(durable))?;
        let terms = terms::of_query(query);
        let mut check = |record: crate::RecordRef<'_>| {
            if terms::matches(query, &record) { visit(record) } else { ControlFlow::Continue(()) }
        };
        for (index, segment) in segments.iter().enumerate() {
            let last = Self::last_of(&segments, index, durable);
            let (low, high) = (from.max(segment.first), to.min(last));
            if low > high {
                continue;
            }
            let (found, reached) = self.candidates(segment, last, &terms)?;
            for position in found.into_iter().filter(|at| (low..=high).contains(at)) {
                if self.fetch(&segments, position, &mut check)?.is_break() {
                    return Ok(());
                }
            }
            let rest = low.max(reached + 1);
            if rest <= high && self.scan_segment(segment, rest, high, &mut check)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(crate) fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        let segments = self.segments();
        let durable = self.durable();
        let (from, to) = self.bounds(&segments, query, durable)?;
        let terms = terms::of_query(query);
        let mut check = |record: crate::RecordRef<'_>| {
            if terms::matches(query, &record) { visit(record) } else { ControlFlow::Continue(()) }
        };
        for (index, segment) in segments.iter().enumerate().rev() {
            let last = Self::last_of(&segments, index, durable);
            let (low, high) = (from.max(segment.first), to.min(last));
            if low > high {
                continue;
            }
            let (found, reached) = self.candidates(segment, last, &terms)?;
            let rest = low.max(reached + 1);
            if rest <= high && self.scan_back(segment, rest, high, &mut check)?.is_break() {
                return Ok(());
            }
            for position in found.into_iter().rev().filter(|at| (low..=high).contains(at)) {
                if self.fetch(&segments, position, &mut check)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Positions that may match, rising, and up to where that is all; without terms none up to
    /// before the segment, so that all of it is scanned.
    fn candidates(
        &self,
        segment: &Arc<Segment>,
        last: u64,
        terms: &[Vec<u64>],
    ) -> Result<(Vec<u64>, u64), ReadError> {
        let mut lists = terms.iter();
        let Some(first) = lists.next() else { return Ok((Vec::new(), segment.first - 1)) };
        let (mut found, mut reached) = self.offsets(segment, last, first)?;
        for terms in lists {
            if found.len() <= FEW {
                break;
            }
            let (other, upto) = self.offsets(segment, last, terms)?;
            // Beyond `upto` the other list says nothing; the scan covers that part.
            reached = reached.min(upto);
            found.retain(|offset| other.binary_search(offset).is_ok());
        }
        let first = segment.first;
        let found = found.into_iter().map(|offset| first + u64::from(offset));
        Ok((found.filter(|position| *position <= reached).collect(), reached))
    }

    /// Visits `from..=to` of a segment newest first, a mark's stretch at a time.
    fn scan_back(
        &self,
        segment: &Arc<Segment>,
        from: u64,
        to: u64,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let mut high = to;
        while high >= from {
            let low = segment.locate(high)?.first.max(from);
            let mut held = Vec::new();
            let _ = self.scan_segment(segment, low, high, &mut |record| {
                held.push(Held::of(&record));
                ControlFlow::Continue(())
            })?;
            for held in held.iter().rev() {
                if held.with(&mut *visit).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            high = low - 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Which positions a query's times leave, a block too many at most on each side.
    fn bounds(
        &self,
        segments: &Segments,
        query: &Query,
        upto: u64,
    ) -> Result<(u64, u64), ReadError> {
        let mut from = query.after.saturating_add(1).max(1);
        let mut to = upto;
        if let Some(since) = query.since_us {
            from = from.max(self.place_of(segments, |at_us| at_us < since)?.0);
        }
        if let Some(until) = query.until_us {
            to = to.min(self.place_of(segments, |at_us| at_us <= until)?.1);
        }
        Ok((from, to))
    }

    /// Bisects by time: the first positions of the last stretch that begins `before`, and the
    /// last position that can lie before the first stretch that does not.
    fn place_of(
        &self,
        segments: &Segments,
        before: impl Fn(u64) -> bool,
    ) -> Result<(u64, u64), ReadError> {
        // A first block that cannot be read says nothing: then its segment is not excluded.
        let count = segments.partition_point(|segment| segment.first_at_us().is_none_or(&before));
        let next = segments.get(count).map_or(u64::MAX, |segment| segment.first - 1);
        let Some(segment) = count.checked_sub(1).and_then(|index| segments.get(index)) else {
            return Ok((1, next));
        };
        let cold = !segment.is_warm();
        let place = segment.with_marks(|marks| {
            let count = marks.partition_point(|mark| before(mark.at_us));
            let low = count.checked_sub(1).and_then(|index| marks.get(index));
            let low = low.map_or(segment.first, |mark| mark.first);
            (low, marks.get(count).map_or(next, |mark| mark.first - 1))
        })?;
        if cold {
            self.warm(segment);
        }
        Ok(place)
    }
}
