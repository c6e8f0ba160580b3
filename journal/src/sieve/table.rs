//! The filters of up to sixty-four segments, a column each.
//!
//! ```text
//!   8 columns     word = rows 0…7        16 columns    word = rows 0…3      …  64: word = row
//! ```
//!
//! A table begins narrow, so that a journal of few segments does not pay for sixty-four.

use std::sync::atomic::{AtomicU64, Ordering};

use super::filter::{Filter, rows};

/// Most columns of a table: bits of a word.
pub(super) const COLUMNS: usize = 64;
/// Columns of the narrowest, as a power of two.
const NARROWEST: u32 = 3;
const WIDEST: u32 = COLUMNS.trailing_zeros();

/// One group's filters, readable while one thread adds to them.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A power of two, or none.
    rows: usize,
    /// Columns, as a power of two.
    width: u32,
    words: Vec<AtomicU64>,
    /// The columns that have a filter.
    known: AtomicU64,
}

impl Table {
    fn new(rows: usize, width: u32) -> Self {
        let words = std::iter::repeat_with(AtomicU64::default);
        let words = words.take((rows << width) / COLUMNS).collect();
        Self { rows, width, words, known: AtomicU64::default() }
    }

    /// A table with what is in another, and room for a filter.
    pub(super) fn grown(before: Option<&Self>, column: usize, filter: &Filter) -> Self {
        let rows = before.map_or(0, |table| table.rows).max(filter.size());
        let width = (column + 1).next_power_of_two().trailing_zeros().max(NARROWEST);
        let grown = Self::new(rows, width.max(before.map_or(0, |table| table.width)).min(WIDEST));
        let Some(before) = before.filter(|table| table.rows > 0) else { return grown };
        for row in 0..rows {
            grown.add(row, before.row(row & (before.rows - 1)));
        }
        grown.known.store(before.known.load(Ordering::Acquire), Ordering::Release);
        grown
    }

    /// Whether a filter can be set without another table.
    pub(super) fn fits(&self, column: usize, filter: &Filter) -> bool {
        filter.size() <= self.rows && column < 1 << self.width
    }

    pub(super) fn knows(&self, column: usize) -> bool {
        self.known.load(Ordering::Acquire) >> column & 1 == 1
    }

    /// Sets a column; one thread at a time.
    pub(super) fn set(&self, column: usize, filter: &Filter) {
        for row in filter.set_rows() {
            for copy in (row..self.rows).step_by(filter.size()) {
                self.add(copy, 1 << column);
            }
        }
        // Whoever sees this bit sees the rows.
        self.known.fetch_or(1 << column, Ordering::Release);
    }

    /// The columns that may hold the terms, and those that have a filter: each inner list of terms
    /// is an "or", the outer one an "and".
    pub(super) fn likely(&self, terms: &[Vec<u64>]) -> (u64, u64) {
        let known = self.known.load(Ordering::Acquire);
        let held = |term: &u64| self.held(*term);
        let any = |any: &Vec<u64>| any.iter().map(held).fold(0, |found, it| found | it);
        (!known | terms.iter().map(any).fold(known, |found, it| found & it), known)
    }

    fn held(&self, term: u64) -> u64 {
        let Some(mask) = self.rows.checked_sub(1) else { return 0 };
        // Low bits only: a mask is no larger than memory.
        #[expect(clippy::cast_possible_truncation, reason = "the mask cuts it anyway")]
        rows(term).fold(u64::MAX, |found, row| found & self.row(row as usize & mask))
    }

    fn row(&self, row: usize) -> u64 {
        let (word, shift) = self.place(row);
        let word = self.words.get(word).map_or(0, |word| word.load(Ordering::Relaxed));
        word >> shift & (u64::MAX >> (COLUMNS - (1 << self.width)))
    }

    /// Adds columns to a row. No other thread writes, so this needs no exchange.
    fn add(&self, row: usize, columns: u64) {
        let (word, shift) = self.place(row);
        if let Some(word) = self.words.get(word) {
            word.store(word.load(Ordering::Relaxed) | columns << shift, Ordering::Relaxed);
        }
    }

    fn place(&self, row: usize) -> (usize, usize) {
        let bit = row << self.width;
        (bit / COLUMNS, bit % COLUMNS)
    }
}
