//! Queries: candidates per segment, block by block; each record is checked.
//!
//! ```text
//! likely segments in the query's bounds ─► candidates ─► their blocks ─► matches? ─► visit
//!                                       └─ beyond the index, or without terms ─► scan ─┘
//! ```

use std::cmp::Ordering;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use super::lists::Candidates;
use super::stream::Held;
use super::{FETCH_BYTES, Segments, View, damaged, missing};
use crate::block::Block;
use crate::error::ReadError;
use crate::layout::month_of;
use crate::log::{Query, Visit};
use crate::segment::Segment;
use crate::store::run::Way;
use crate::terms;

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
        for (index, segment) in self.likely(&segments, &(from..=to), &terms, Way::Forth) {
            let last = Self::last_of(&segments, index, durable);
            let (low, high) = (from.max(segment.first), to.min(last));
            let Found { candidates, reached } = self.found(segment, last, &terms, Way::Forth);
            if let Some(mut candidates) = candidates {
                let range = low..=high.min(reached);
                let flow = self.visit_candidates(segment, &mut candidates, &range, &mut check)?;
                if flow.is_break() {
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
        for (index, segment) in self.likely(&segments, &(from..=to), &terms, Way::Back) {
            let last = Self::last_of(&segments, index, durable);
            let (low, high) = (from.max(segment.first), to.min(last));
            let Found { candidates, reached } = self.found(segment, last, &terms, Way::Back);
            let rest = low.max(reached + 1);
            if rest <= high && self.scan_back(segment, rest, high, &mut check)?.is_break() {
                return Ok(());
            }
            if let Some(mut candidates) = candidates {
                let range = low..=high.min(reached);
                let flow = self.visit_candidates(segment, &mut candidates, &range, &mut check)?;
                if flow.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The candidates of a segment, and up to where they are all; without terms none up to before
    /// the segment, so that all of it is scanned.
    fn found<'v>(
        &'v self,
        segment: &'v Arc<Segment>,
        last: u64,
        terms: &[Vec<u64>],
        way: Way,
    ) -> Found<'v> {
        if terms.is_empty() {
            return Found { candidates: None, reached: segment.first - 1 };
        }
        let candidates = self.candidates(segment, last, terms, way);
        let reached = candidates.reached;
        Found { candidates: Some(candidates), reached }
    }

    /// Visits the candidates in a range of positions, each block once.
    fn visit_candidates(
        &self,
        segment: &Arc<Segment>,
        candidates: &mut Candidates<'_>,
        range: &RangeInclusive<u64>,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let way = candidates.way;
        let mut seek = |position: u64| -> Result<Option<u64>, ReadError> {
            if !range.contains(&position) {
                return Ok(None);
            }
            let offset = u32::try_from(position - segment.first).unwrap_or(u32::MAX);
            let found = candidates.seek(offset)?.map(|offset| segment.first + u64::from(offset));
            Ok(found.filter(|position| range.contains(position)))
        };
        let mut next = seek(if way == Way::Forth { *range.start() } else { *range.end() })?;
        while let Some(position) = next {
            let mut flow = ControlFlow::Continue(());
            let mut take = |block: &Block<'_>| {
                let inside = block.header.first..=block.header.last();
                while let Some(at) = next.filter(|at| inside.contains(at)) {
                    flow = visit(block.record(at).map_err(|bad| damaged(at, bad))?);
                    if flow.is_break() {
                        break;
                    }
                    next = seek(if way == Way::Forth { at + 1 } else { at - 1 })?;
                }
                Ok(ControlFlow::Break(()))
            };
            let _ = self.blocks(segment, position, position, FETCH_BYTES, &mut take)?;
            if flow.is_break() {
                return Ok(flow);
            }
            if next == Some(position) {
                return Err(missing(position));
            }
        }
        Ok(ControlFlow::Continue(()))
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
            from = from.max(self.place_of(segments, since, |at_us| at_us < since)?.0);
        }
        if let Some(until) = query.until_us {
            to = to.min(self.place_of(segments, until, |at_us| at_us <= until)?.1);
        }
        Ok((from, to))
    }

    /// Bisects by time: the first position of the last stretch that begins `before`, and the
    /// last position that can lie before the first stretch that does not. Segments of other months than
    /// the one of `at_us` are not opened.
    fn place_of(
        &self,
        segments: &Segments,
        at_us: u64,
        before: impl Fn(u64) -> bool,
    ) -> Result<(u64, u64), ReadError> {
        let month = month_of(at_us);
        let count = segments.partition_point(|segment| match segment.month.cmp(&month) {
            Ordering::Less => true,
            // A first block that cannot be read says nothing: then its segment is not excluded.
            Ordering::Equal => segment.first_at_us().is_none_or(&before),
            Ordering::Greater => false,
        });
        let next = segments.get(count).map_or(u64::MAX, |segment| segment.first - 1);
        let Some(segment) = count.checked_sub(1).and_then(|index| segments.get(index)) else {
            return Ok((1, next));
        };
        if segment.month < month {
            // All of it lies before.
            return Ok((next.saturating_add(1), next));
        }
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

/// What a segment has for a query.
struct Found<'v> {
    candidates: Option<Candidates<'v>>,
    reached: u64,
}
