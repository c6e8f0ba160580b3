//! A tree that grows leaf by leaf and remembers one node a level.

use sha2::{Digest, Sha256};

use super::{TreeHash, parent};

/// The tree over all leaves so far: at most 64 hashes, whatever its size.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of perfect trees, the largest first: one for each bit that is set in `size`.
    roots: Vec<TreeHash>,
}

impl Frontier {
    /// Appends a leaf, by its hash.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            node = parent(&left, &node);
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// A tree of `size` leaves, by the roots of its perfect trees, the largest first.
    pub(crate) fn of(size: u64, roots: Vec<TreeHash>) -> Self {
        Self { size, roots }
    }

    /// Roots of perfect trees, the largest first.
    pub(crate) fn roots(&self) -> &[TreeHash] {
        &self.roots
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them; the hash of nothing, if there are none.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let joined = self.roots.iter().rev().copied().reduce(|right, left| parent(&left, &right));
        joined.unwrap_or_else(|| Sha256::digest([]).into())
    }
}
