//! The Merkle tree of RFC 6962 over the records, and what is proved with it.
//!
//! ```text
//!                 root of 7                 leaf i is the record at position i + 1
//!               ┌─────┴─────┐               node (level, index) is over the 2^level leaves
//!            (2, 0)         ·               from index · 2^level: it never changes
//!          ┌───┴───┐    ┌───┴───┐
//!       (1, 0)  (1, 1)  (1, 2) (0, 6)       every root and every proof is made of such nodes,
//!       0   1   2   3   4   5               which ReadLog::tree_node gives
//! ```
//!
//! The leaf's bytes are described in `docs/format.md`, proofs in `docs/proofs.md`.

use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::error::ReadError;
use crate::log::ReadLog;
use crate::record::RecordRef;

mod forest;
mod frontier;
mod leaves;
mod row;

pub(crate) use forest::Forest;
pub use frontier::Frontier;

/// A SHA-256 hash: of a leaf, of a node or of a whole tree.
pub type TreeHash = [u8; 32];

const LEAF: [u8; 1] = [0];
const NODE: [u8; 1] = [1];

/// Why there is no such root or proof.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Only what is durable is proved.
    #[error("there are {durable} durable events, and {asked} are asked for")]
    Beyond {
        /// The size or position that was asked for.
        asked: u64,
        /// The newest durable position.
        durable: u64,
    },
    /// Positions count from 1 to the size of the tree.
    #[error("position {position} is not in a tree of {size} events")]
    Outside {
        /// The position that was asked for.
        position: u64,
        /// Of the tree that was asked for.
        size: u64,
    },
    /// A tree grows, and the smaller one comes first.
    #[error("a tree of {to} events does not follow one of {from}")]
    Shrinks {
        /// Size of the earlier tree.
        from: u64,
        /// Size of the later one.
        to: u64,
    },
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The hash of a record's leaf: `SHA-256(0x00 ‖ epoch ‖ position ‖ record)`.
#[must_use]
pub fn leaf_hash(record: &RecordRef<'_>) -> TreeHash {
    let mut hash = Sha256::new_with_prefix(LEAF);
    hash.update(record.epoch.to_le_bytes());
    hash.update(record.position.to_le_bytes());
    hash.update(record.frame);
    hash.finalize().into()
}

/// The hash of a node over two others: `SHA-256(0x01 ‖ left ‖ right)`.
pub(crate) fn parent(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut hash = Sha256::new_with_prefix(NODE);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The root of the tree over the first `size` records.
///
/// # Errors
/// [`TreeError::Beyond`] if so many are not durable; [`TreeError::Read`].
pub fn root<L: ReadLog + ?Sized>(log: &L, size: u64) -> Result<TreeHash, TreeError> {
    check_size(log, size)?;
    if size == 0 {
        return Ok(Sha256::digest([]).into());
    }
    Ok(over(log, 0, size)?)
}

/// The path from a record's leaf to the root of the tree over the first `size` records, from the
/// leaf's sibling upwards.
///
/// # Errors
/// [`TreeError::Beyond`], [`TreeError::Outside`], [`TreeError::Read`].
pub fn inclusion<L: ReadLog + ?Sized>(
    log: &L,
    position: u64,
    size: u64,
) -> Result<Vec<TreeHash>, TreeError> {
    check_size(log, size)?;
    let mut leaf = match position.checked_sub(1) {
        Some(leaf) if position <= size => leaf,
        _ => return Err(TreeError::Outside { position, size }),
    };
    let (mut start, mut count) = (0, size);
    let mut path = Vec::new();
    while count > 1 {
        let left = left_of(count);
        if leaf < left {
            path.push(over(log, start + left, count - left)?);
            count = left;
        } else {
            path.push(over(log, start, left)?);
            (start, count, leaf) = (start + left, count - left, leaf - left);
        }
    }
    path.reverse();
    Ok(path)
}

/// What shows that the tree over the first `to` records begins with the one over the first
/// `from`, in the order of RFC 6962, section 2.1.2. Empty if `from` is 0 or equal to `to`.
///
/// # Errors
/// [`TreeError::Beyond`], [`TreeError::Shrinks`], [`TreeError::Read`].
pub fn consistency<L: ReadLog + ?Sized>(
    log: &L,
    from: u64,
    to: u64,
) -> Result<Vec<TreeHash>, TreeError> {
    check_size(log, to)?;
    if from > to {
        return Err(TreeError::Shrinks { from, to });
    }
    if from == 0 {
        return Ok(Vec::new());
    }
    let (mut start, mut count, mut old) = (0, to, from);
    let mut path = Vec::new();
    while old < count {
        let left = left_of(count);
        if old <= left {
            path.push(over(log, start + left, count - left)?);
            count = left;
        } else {
            path.push(over(log, start, left)?);
            (start, count, old) = (start + left, count - left, old - left);
        }
    }
    // Who verifies has the old root itself, unless it is only a part of it.
    if start > 0 {
        path.push(over(log, start, count)?);
    }
    path.reverse();
    Ok(path)
}

fn check_size<L: ReadLog + ?Sized>(log: &L, asked: u64) -> Result<(), TreeError> {
    let durable = log.head().position;
    if asked > durable { Err(TreeError::Beyond { asked, durable }) } else { Ok(()) }
}

/// How many of `count` leaves, at least two, lie under the left child: the largest power of two
/// below it.
fn left_of(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The hash over `count` leaves, at least one, from leaf `start`: a place where RFC 6962 splits.
fn over<L: ReadLog + ?Sized>(log: &L, start: u64, count: u64) -> Result<TreeHash, ReadError> {
    if count.is_power_of_two() {
        let level = count.ilog2();
        return log.tree_node(level, start >> level);
    }
    let left = left_of(count);
    Ok(parent(&over(log, start, left)?, &over(log, start + left, count - left)?))
}

/// A node from the records themselves, without any cache.
pub(crate) fn scanned<L: ReadLog + ?Sized>(
    log: &L,
    level: u32,
    index: u64,
) -> Result<TreeHash, ReadError> {
    let none = |position| ReadError::Damaged { position, reason: "it is not durable".into() };
    let (first, last) = positions(level, index).ok_or_else(|| none(u64::MAX))?;
    let mut frontier = Frontier::default();
    log.scan(first, last, &mut |record| {
        frontier.push(leaf_hash(&record));
        ControlFlow::Continue(())
    })?;
    if frontier.size() == last - first + 1 {
        Ok(frontier.root())
    } else {
        Err(none(first + frontier.size()))
    }
}

/// The first and the last position below a node; `None` if there are no such positions.
fn positions(level: u32, index: u64) -> Option<(u64, u64)> {
    let width = 1_u64.checked_shl(level)?;
    let start = index.checked_mul(width)?;
    Some((start.checked_add(1)?, start.checked_add(width)?))
}
