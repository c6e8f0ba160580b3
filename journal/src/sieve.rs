//! Which sealed segments may hold a term: one filter a segment, sixty-four of them side by side.
//!
//! ```text
//!                    segments of a group
//!   term ─► row a    0 1 1 0 … 1  ┐
//!           row b    1 1 0 0 … 1  ├─ and ─► 0 1 0 0 … 1    seven words answer for all of them
//!           …                     ┘
//! ```
//!
//! A column whose filter was not read yet says nothing, and its segment counts. A sealed segment does
//! not change, so its column is set once. Tables grow in rows and columns by a copy.

mod filter;
mod table;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(crate) use filter::Filter;
use smallvec::SmallVec;
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
    /// The segments in a range that may hold the terms, in the order of the way, and whether the
    /// filter of each is in here. Each inner list is an "or", the outer one an "and".
    ///
    /// All groups are looked at before the first segment is: memory answers side by side.
    pub(crate) fn likely(
        &self,
        range: RangeInclusive<usize>,
        terms: &[Vec<u64>],
        way: Way,
    ) -> impl Iterator<Item = (usize, bool)> + use<> {
        let (low, high) = (*range.start(), *range.end());
        let (first, last) = (low / COLUMNS, high / COLUMNS);
        let tables = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        let groups = (first..=last).map(|group| {
            let below = low.saturating_sub(group * COLUMNS);
            let above = COLUMNS - 1 - (high - group * COLUMNS).min(COLUMNS - 1);
            let inside = (u64::MAX << below) & (u64::MAX >> above);
            let table = tables.get(group);
            let (found, known) = table.map_or((u64::MAX, 0), |table| table.likely(terms));
            (group * COLUMNS, found & inside, known)
        });
        let mut groups: SmallVec<[_; 2]> = groups.collect();
        if way == Way::Back {
            groups.reverse();
        }
        groups.into_iter().flat_map(move |(base, left, known)| {
            let found = Bits { left, way };
            found.map(move |column| (base + column, known >> column & 1 == 1))
        })
    }

    /// Takes a segment's filter in, unless it is known: several readers may bring the same one.
    pub(crate) fn set(&self, segment: usize, filter: &Filter) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (group, column) = (segment / COLUMNS, segment % COLUMNS);
        let table = self.group(group);
        if table.as_ref().is_some_and(|table| table.knows(column)) {
            return;
        }
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

    fn group(&self, group: usize) -> Option<Arc<Table>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).get(group).cloned()
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
