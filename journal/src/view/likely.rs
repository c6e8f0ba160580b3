//! The segments that a question has to look into.
//!
//! | a segment with | counts |
//! |---|---|
//! | its filter in the sieve | if that does not say no |
//! | its index in memory | always: that is as quick |
//! | a run in the store | by the filter of the run, which goes into the sieve |
//! | none of these | always |

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Segments, View, lock};
use crate::segment::Segment;
use crate::store::run::Way;

impl View {
    /// The segments with positions in a range that may hold the terms, and their places, in the
    /// order of the way: each inner list is an "or", the outer one an "and".
    pub(super) fn likely<'v>(
        &'v self,
        segments: &'v Segments,
        range: &RangeInclusive<u64>,
        terms: &'v [Vec<u64>],
        way: Way,
    ) -> impl Iterator<Item = (usize, &'v Arc<Segment>)> {
        let low = Self::holding(segments, *range.start()).unwrap_or(0);
        let places = Self::holding(segments, *range.end()).filter(|_| !range.is_empty());
        let places = places.map(|high| self.sieve.likely(low..=high, terms, way));
        let found = places.into_iter().flatten();
        found.filter_map(move |(index, known)| {
            let segment = segments.get(index)?;
            let counts = known || terms.is_empty() || self.may_hold(index, segment, terms);
            counts.then_some((index, segment))
        })
    }

    /// Whether a segment can have a record with the terms at all.
    fn may_hold(&self, index: usize, segment: &Arc<Segment>, terms: &[Vec<u64>]) -> bool {
        if lock(&segment.postings).is_some() {
            return true;
        }
        let Some(filter) = self.second().and_then(|second| second.filter(segment)) else {
            return true;
        };
        self.sieve.set(index, &filter);
        terms.iter().all(|any| any.iter().any(|term| filter.may_hold(*term)))
    }
}
