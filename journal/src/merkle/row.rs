//! The leaf hashes of one segment, in pieces.
//!
//! ```text
//! leaves   ·· │ 256 │ 256 │ 256 │ 256 │ ···      pieces lie on multiples of 256 leaves of the
//! roots         one   one   one   one            journal; those that are whole have a root
//! ```
//!
//! A node inside the segment costs the hashing of one piece, or of the roots.

use super::{TreeHash, parent};

/// Levels of a piece.
pub(super) const PIECE_LEVEL: u32 = 8;
/// Leaves of a whole piece.
pub(super) const PIECE: u64 = 1 << PIECE_LEVEL;

/// The leaves from one on, without a gap.
#[derive(Debug, Clone)]
pub(super) struct Row {
    first: u64,
    leaves: Vec<TreeHash>,
    roots: Vec<TreeHash>,
}

impl Row {
    /// Without leaves so far; `first` is the index of the one that comes next.
    pub(super) fn new(first: u64) -> Self {
        Self { first, leaves: Vec::new(), roots: Vec::new() }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index behind the last leaf.
    pub(super) fn end(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }

    pub(super) fn push(&mut self, leaf: TreeHash) {
        self.leaves.push(leaf);
        let end = self.end();
        if end.is_multiple_of(PIECE)
            && let Some(piece) = self.leaves_of(end - PIECE..end)
        {
            self.roots.push(joined(piece.to_vec()));
        }
    }

    /// Roots of the whole pieces, from piece `first.div_ceil(PIECE)` on.
    pub(super) fn roots(&self) -> &[TreeHash] {
        &self.roots
    }

    /// Leaves by their index; `None` if not all of them are here.
    pub(super) fn leaves_of(&self, range: std::ops::Range<u64>) -> Option<&[TreeHash]> {
        let at = |index: u64| usize::try_from(index.checked_sub(self.first)?).ok();
        self.leaves.get(at(range.start)?..at(range.end)?)
    }

    /// The node, if all its leaves are here.
    pub(super) fn node(&self, level: u32, index: u64) -> Option<TreeHash> {
        if level >= PIECE_LEVEL {
            return of_roots(self.first, &self.roots, level, index);
        }
        let start = index << level;
        self.leaves_of(start..start + (1 << level)).map(|leaves| joined(leaves.to_vec()))
    }
}

/// The node of at least a piece's level, from the roots of the whole pieces behind leaf `first`.
pub(super) fn of_roots(first: u64, roots: &[TreeHash], level: u32, index: u64) -> Option<TreeHash> {
    let above = level.checked_sub(PIECE_LEVEL)?;
    let start = index.checked_shl(above)?.checked_sub(first.div_ceil(PIECE))?;
    let start = usize::try_from(start).ok()?;
    let count = 1_usize.checked_shl(above)?;
    roots.get(start..start.checked_add(count)?).map(|roots| joined(roots.to_vec()))
}

/// The root over a power of two of hashes, at least one.
pub(super) fn joined(mut hashes: Vec<TreeHash>) -> TreeHash {
    while hashes.len() > 1 {
        let pairs = hashes.chunks_exact(2);
        hashes = pairs
            .filter_map(|pair| pair.first().zip(pair.last()))
            .map(|(left, right)| parent(left, right))
            .collect();
    }
    hashes.first().copied().unwrap_or_default()
}

/// The largest nodes that cover leaves `from..to` exactly, in order.
pub(super) fn crown(mut from: u64, to: u64) -> Vec<(u32, u64)> {
    let mut nodes = Vec::new();
    while from < to {
        let level = from.trailing_zeros().min((to - from).ilog2());
        nodes.push((level, from >> level));
        from += 1 << level;
    }
    nodes
}
