//! Which terms one segment holds, but for a few that it does not: a bloom filter whose size is a
//! power of two.
//!
//! ```text
//! term      a = low half … b = high half, odd
//! rows      a, a + b, a + 2 b, …                 each modulo the size
//! ```
//!
//! So a row of a smaller filter is a row of a larger one modulo the smaller size.

use crate::postings::Posting;

/// Rows that a term has. `docs/format.md` says this number, too.
pub(super) const HASHES: u64 = 7;
/// At least so many bits a term, and less than twice as many, for the size is a power of two. One
/// absent term in three hundred is taken for present where that leaves 12, one in ten thousand
/// where it leaves 24.
const BITS_A_TERM: usize = 12;

/// The rows of a term, each to be taken modulo the number of rows.
pub(super) fn rows(term: u64) -> impl Iterator<Item = u64> {
    let step = (term >> 32) | 1;
    (0..HASHES).map(move |nth| term.wrapping_add(nth.wrapping_mul(step)))
}

/// The filter of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// Of the terms of a sorted run.
    pub(crate) fn of(sorted: &[Posting]) -> Self {
        let mut terms: Vec<u64> = sorted.iter().map(|posting| posting.0).collect();
        terms.dedup();
        let bits = (terms.len() * BITS_A_TERM).next_power_of_two().max(64);
        let mut words = vec![0; bits / 64];
        for row in terms.into_iter().flat_map(rows) {
            let row = row & (bits as u64 - 1);
            if let Some(word) = usize::try_from(row / 64).ok().and_then(|at| words.get_mut(at)) {
                *word |= 1 << (row % 64);
            }
        }
        Self { words }
    }

    /// Of words that were stored; `None` if they are none of a filter.
    pub(crate) fn from_words(words: Vec<u64>) -> Option<Self> {
        words.len().is_power_of_two().then_some(Self { words })
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many rows it has.
    pub(super) fn size(&self) -> usize {
        self.words.len() * 64
    }

    /// Whether the segment may hold a term.
    pub(crate) fn may_hold(&self, term: u64) -> bool {
        let mask = self.size() as u64 - 1;
        rows(term).map(|row| row & mask).all(|row| {
            let word = usize::try_from(row / 64).ok().and_then(|at| self.words.get(at));
            word.is_some_and(|word| word >> (row % 64) & 1 == 1)
        })
    }

    /// The rows that are set.
    pub(super) fn set_rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(nth, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(nth * 64 + bit)
            })
        })
    }
}
