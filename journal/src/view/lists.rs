//! Lists of postings, read no further than they are asked for.
//!
//! ```text
//! stream s      3 ─────────► 17 ────► 40          a list: memory, or the store's chunks
//! type a | b    1 3 5 9 ───► 17 20 ─► 41          "or": the nearest of its lists
//!               ▼            ▼        ✗           "and": each skips to where the others are
//! candidates    3            17
//! ```

use std::sync::Arc;

use super::{View, lock};
use crate::error::ReadError;
use crate::segment::Segment;
use crate::store::run::{From, Stretch, Way};

/// What is likely further away than so many chunks is leapt to, not walked to.
const NEAR_CHUNKS: u32 = 3;

/// Offsets of a segment's records that may match, in the order of its way.
#[derive(Debug)]
pub(super) struct Candidates<'v> {
    groups: Vec<Vec<List<'v>>>,
    pub(super) way: Way,
    /// Up to this position these are all.
    pub(super) reached: u64,
}

impl View {
    /// The candidates of a segment for terms: each inner list is an "or", the outer one an "and".
    pub(super) fn candidates<'v>(
        &'v self,
        segment: &'v Arc<Segment>,
        last: u64,
        terms: &[Vec<u64>],
        way: Way,
    ) -> Candidates<'v> {
        let mut reached = last;
        let groups = terms.iter().map(|any| {
            let lists = any.iter().map(|term| {
                let (list, upto) = List::new(self, segment, last, *term, way);
                reached = reached.min(upto);
                list
            });
            lists.collect()
        });
        let groups = groups.collect();
        Candidates { groups, way, reached }
    }

    /// All offsets of a segment's records that have the terms, rising, and up to which position
    /// that is all of them.
    pub(super) fn offsets(
        &self,
        segment: &Arc<Segment>,
        last: u64,
        terms: &[Vec<u64>],
    ) -> Result<(Vec<u32>, u64), ReadError> {
        let mut found = Vec::new();
        let mut all = self.candidates(segment, last, terms, Way::Forth);
        let mut next = Some(0);
        while let Some(offset) = next.map(|next| all.seek(next)).transpose()?.flatten() {
            found.push(offset);
            next = offset.checked_add(1);
        }
        Ok((found, all.reached))
    }
}

impl Candidates<'_> {
    /// The first candidate at or beyond an offset; what was passed does not come again.
    pub(super) fn seek(&mut self, offset: u32) -> Result<Option<u32>, ReadError> {
        let alone = self.groups.len() == 1;
        let mut wanted = offset;
        'again: loop {
            for any in &mut self.groups {
                let mut nearest = None;
                for list in any {
                    let at = list.seek(wanted)?;
                    nearest = match (nearest, at) {
                        (Some(a), Some(b)) if beyond(self.way, a, b) => Some(b),
                        (nearest, at) => nearest.or(at),
                    };
                }
                let Some(at) = nearest else { return Ok(None) };
                if at != wanted {
                    wanted = at;
                    if !alone {
                        continue 'again;
                    }
                }
            }
            return Ok(Some(wanted));
        }
    }
}

/// Whether `a` comes after `b`.
fn beyond(way: Way, a: u32, b: u32) -> bool {
    match way {
        Way::Forth => a > b,
        Way::Back => a < b,
    }
}

/// How many offsets lie before a wanted one, which is near more often than not.
fn skipped(way: Way, offsets: &[u32], wanted: u32) -> usize {
    let mut bound = 1;
    while offsets.get(bound).is_some_and(|offset| beyond(way, wanted, *offset)) {
        bound *= 2;
    }
    let low = bound / 2;
    let near = offsets.get(low..offsets.len().min(bound + 1)).unwrap_or_default();
    low + near.partition_point(|offset| beyond(way, wanted, *offset))
}

/// The postings of one term in one segment.
#[derive(Debug)]
struct List<'v> {
    view: &'v View,
    segment: &'v Arc<Segment>,
    last: u64,
    term: u64,
    way: Way,
    /// In the order of the way; the ones before `at` were passed.
    offsets: Vec<u32>,
    at: usize,
    rest: Rest,
}

#[derive(Debug, Clone, Copy)]
enum Rest {
    /// Nothing was read yet, or a long way is to be skipped.
    Enter,
    /// The next ones lie there.
    From(From),
    /// Everything was read.
    Read,
}

impl<'v> List<'v> {
    /// The list, and up to which position it is complete.
    fn new(
        view: &'v View,
        segment: &'v Arc<Segment>,
        last: u64,
        term: u64,
        way: Way,
    ) -> (Self, u64) {
        let offsets = Vec::new();
        let mut list = Self { view, segment, last, term, way, offsets, at: 0, rest: Rest::Enter };
        let mut reached = last;
        if let Some(postings) = &*lock(&segment.postings) {
            reached = postings.upto().min(last);
            list.take(postings.offsets(term));
        }
        (list, reached)
    }

    /// Takes the whole list, rising.
    fn take(&mut self, mut offsets: Vec<u32>) {
        if self.way == Way::Back {
            offsets.reverse();
        }
        (self.offsets, self.at, self.rest) = (offsets, 0, Rest::Read);
    }

    fn seek(&mut self, wanted: u32) -> Result<Option<u32>, ReadError> {
        loop {
            self.at += skipped(self.way, self.offsets.get(self.at..).unwrap_or_default(), wanted);
            if let Some(offset) = self.offsets.get(self.at) {
                return Ok(Some(*offset));
            }
            match self.rest {
                Rest::Read => return Ok(None),
                Rest::Enter => self.read(From::Offset(wanted), wanted)?,
                Rest::From(from) => self.read(from, wanted)?,
            }
        }
    }

    /// Reads a chunk; without a good one, all of it from the records.
    fn read(&mut self, from: From, wanted: u32) -> Result<(), ReadError> {
        let second = self.view.second();
        let stretch = second.and_then(|it| it.stretch(self.segment, self.term, from, self.way));
        let Some(Stretch { offsets, rest }) = stretch else {
            let all = self.view.indexed_offsets(self.segment, self.last, self.term)?;
            self.take(all);
            return Ok(());
        };
        let far = offsets.first().zip(offsets.last()).is_none_or(|(first, last)| {
            let span = first.abs_diff(*last).saturating_mul(NEAR_CHUNKS);
            beyond(self.way, wanted, *last) && wanted.abs_diff(*last) > span
        });
        self.rest = match rest {
            None => Rest::Read,
            Some(_) if far => Rest::Enter,
            Some(place) => Rest::From(From::Place(place)),
        };
        (self.offsets, self.at) = (offsets, 0);
        Ok(())
    }
}

impl View {
    /// The offsets of a term in a segment that has no run, by an index made from its records and
    /// kept for a while.
    fn indexed_offsets(
        &self,
        segment: &Arc<Segment>,
        last: u64,
        term: u64,
    ) -> Result<Vec<u32>, ReadError> {
        if let Some(postings) = lock(&segment.postings).as_ref().filter(|it| it.upto() >= last) {
            return Ok(postings.offsets(term));
        }
        let postings = self.index(segment, last)?;
        let found = postings.offsets(term);
        *lock(&segment.postings) = Some(postings);
        self.keep_index(segment);
        Ok(found)
    }
}
