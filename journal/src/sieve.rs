//! Which sealed segments may hold a term: one filter a segment, sixty-four of them side by side.
//!
//! ```text
//!                    segments of a group
//!   term ─► row a    0 1 1 0 … 1  ┐
//!           row b    1 1 0 0 … 1  ├─ and ─► 0 1 0 0 … 1    seven words answer for all of them
//!           …                     ┘
//! ```
//!
//! A column whose filter was not read yet says nothing, and its segment counts. A column only gains
//! bits, so a reader beside a writer never misses one. Tables grow in rows and columns by a copy.

mod filter;
mod table;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(crate) use filter::Filter;
use table::{COLUMNS, Table};

use crate::store::run::Way;

/// The filters of all segments, by their place in the list of segments.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// Locked as long as it takes to read a few words, or to put a table in its place.
    groups: RwLock<Vec<Arc<Table>>>,
    changing: Mutex<()>,
}

impl Sieve {
    /// Whether a segment's filter is in here.
    pub(crate) fn knows(&self, segment: usize) -> bool {
        let known = |table: &Arc<Table>| table.knows(segment % COLUMNS);
        self.with(segment / COLUMNS, known).is_some_and(|known| known)
    }

    /// The segments in a range that may hold the terms, in the order of the way: each inner list is
    /// an "or", the outer one an "and". A group is looked at when the walk comes to it.
    pub(crate) fn likely<'s>(
        &'s self,
        range: RangeInclusive<usize>,
        terms: &'s [Vec<u64>],
        way: Way,
    ) -> impl Iterator<Item = usize> + 's {
        let (low, high) = (*range.start(), *range.end());
        let (first, last) = (low / COLUMNS, high / COLUMNS);
        (first..=last).flat_map(move |nth| {
            let group = if way == Way::Forth { nth } else { last - (nth - first) };
            let below = low.saturating_sub(group * COLUMNS);
            let above = COLUMNS - 1 - (high - group * COLUMNS).min(COLUMNS - 1);
            let inside = (u64::MAX << below) & (u64::MAX >> above);
            let found = self.with(group, |table| table.likely(terms)).unwrap_or(u64::MAX);
            Bits { left: found & inside, way }.map(move |column| group * COLUMNS + column)
        })
    }

    /// Takes a segment's filter in, in addition to what is known of the segment.
    pub(crate) fn set(&self, segment: usize, filter: &Filter) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (group, column) = (segment / COLUMNS, segment % COLUMNS);
        let table = self.with(group, Arc::clone);
        if let Some(table) = table.as_ref().filter(|table| table.fits(column, filter)) {
            return table.set(column, filter);
        }
        let wider = Table::grown(table.as_deref(), column, filter);
        wider.set(column, filter);
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        if groups.len() <= group {
            groups.resize_with(group + 1, Arc::default);
        }
        if let Some(place) = groups.get_mut(group) {
            *place = Arc::new(wider);
        }
    }

    fn with<T>(&self, group: usize, take: impl FnOnce(&Arc<Table>) -> T) -> Option<T> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).get(group).map(take)
    }
}

/// The places of the bits in a word, lowest or highest first.
struct Bits {
    left: u64,
    way: Way,
}

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = match self.way {
            Way::Forth => self.left.trailing_zeros(),
            Way::Back => 63_u32.wrapping_sub(self.left.leading_zeros()),
        };
        let bit = 1_u64.checked_shl(place).filter(|_| self.left != 0)?;
        self.left &= !bit;
        usize::try_from(place).ok()
    }
}

#[cfg(test)]
mod tests;
