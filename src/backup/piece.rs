//! Pieces: runs of the journal's blocks, each an object whose name tells what it holds.
//!
//! ```text
//!   pieces/0000000001/00…0001-00…0870-0000…-9f3c…-77ab….age
//!          epoch       first   last    previous  block  SHA-256 of the object
//!
//!   …0870-…-9f3c ◄── first 871, previous 9f3c        a chain is found by names alone
//! ```
//!
//! The epoch is that of who wrote it. After a restore the next epoch goes on from a piece of an older one.

use std::collections::HashMap;

use mainstay_actors::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::target::{Entry, Target, TargetError};

/// The folder of all pieces.
pub(super) const FOLDER: &str = "pieces";
/// The first bytes of a block's hash that a name holds.
const LINK_BYTES: usize = 8;
/// The first bytes of the object's hash that a name holds.
const SUM_BYTES: usize = 16;

/// The start of a block's hash.
pub(super) type Link = [u8; LINK_BYTES];

/// A piece that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Of who wrote it.
    pub epoch: u32,
    /// The position of its first record.
    pub first: u64,
    /// The position of its last record.
    pub last: u64,
    /// The block before its first one.
    pub(super) previous: Link,
    /// Its last block.
    pub(super) block: Link,
    sum: [u8; SUM_BYTES],
    /// As it lies in the target.
    pub size_bytes: u64,
    /// When it was written, by the target's clock.
    pub modified: Timestamp,
}

/// The start of a block's hash.
pub(super) fn link(hash: &[u8; 32]) -> Link {
    std::array::from_fn(|index| hash.get(index).copied().unwrap_or_default())
}

fn sum(object: &[u8]) -> [u8; SUM_BYTES] {
    let hash = Sha256::digest(object);
    std::array::from_fn(|index| hash.get(index).copied().unwrap_or_default())
}

impl Piece {
    /// Of an object that is about to be written.
    pub(super) fn of(
        epoch: u32,
        (first, last): (u64, u64),
        (previous, block): (Link, Link),
        object: &[u8],
    ) -> Self {
        let size_bytes = object.len() as u64;
        let modified = Timestamp::from_micros(0);
        Self { epoch, first, last, previous, block, sum: sum(object), size_bytes, modified }
    }

    /// Where it lies.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { epoch, first, last, previous, block, sum, .. } = self;
        let (previous, block, sum) = (hex(previous), hex(block), hex(sum));
        format!("{FOLDER}/{epoch:010}/{first:020}-{last:020}-{previous}-{block}-{sum}.age")
    }

    /// Reads a name; `None` if it is not that of a piece.
    #[must_use]
    pub fn parse(entry: &Entry) -> Option<Self> {
        let name = entry.name.strip_prefix(FOLDER)?.strip_prefix('/')?;
        let (epoch, name) = name.strip_suffix(".age")?.split_once('/')?;
        let mut parts = name.split('-');
        let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let piece = Self {
            epoch: epoch.parse().ok()?,
            first,
            last,
            previous: unhex(parts.next()?)?,
            block: unhex(parts.next()?)?,
            sum: unhex(parts.next()?)?,
            size_bytes: entry.size_bytes,
            modified: entry.modified,
        };
        (piece.name() == entry.name && first >= 1 && first <= last).then_some(piece)
    }

    /// Whether an object is the one that was written.
    pub(super) fn is(&self, object: &[u8]) -> bool {
        sum(object) == self.sum
    }

    fn follows(&self, previous: &Self) -> bool {
        previous.last + 1 == self.first && previous.block == self.previous
    }
}

/// Records that no piece holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first of them, as far as is known.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// Every piece of a target.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    all: Vec<Piece>,
    /// Those that end at a position.
    by_last: HashMap<u64, Vec<usize>>,
}

impl Pieces {
    /// Lists those of a target; other names are passed over.
    ///
    /// # Errors
    /// The target cannot be listed.
    pub fn list(target: &Target) -> Result<Self, TargetError> {
        Ok(Self::from(target.list(FOLDER)?.iter().filter_map(Piece::parse).collect::<Vec<_>>()))
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.all.iter()
    }

    /// The newest piece of the newest epoch that has one, or of a given epoch.
    #[must_use]
    pub fn tip(&self, epoch: Option<u32>) -> Option<&Piece> {
        let of_epoch = self.all.iter().filter(|piece| epoch.is_none_or(|it| it == piece.epoch));
        of_epoch.max_by_key(|piece| (piece.epoch, piece.last, std::cmp::Reverse(piece.first)))
    }

    /// The pieces that lead to one, which is the last of them, from the first record on, or from the
    /// one behind `base`.
    ///
    /// # Errors
    /// What is missing.
    pub fn chain(&self, tip: &Piece, base: u64) -> Result<Vec<Piece>, Gap> {
        let mut chain = vec![tip.clone()];
        while let Some(piece) = chain.last().filter(|piece| piece.first > base + 1) {
            let ends = self.by_last.get(&(piece.first - 1)).map(Vec::as_slice).unwrap_or_default();
            let ends = ends.iter().filter_map(|index| self.all.get(*index));
            // A larger one stands for several small ones; a newer epoch's is as good as an older one's.
            let before = ends.filter(|it| piece.follows(it));
            let before = before.min_by_key(|it| (it.first, std::cmp::Reverse(it.epoch)));
            let Some(before) = before else {
                let ended = self.all.iter().map(|it| it.last).filter(|last| *last < piece.first);
                let first = ended.max().unwrap_or(base) + 1;
                return Err(Gap { first: first.min(piece.first - 1), last: piece.first - 1 });
            };
            chain.push(before.clone());
        }
        chain.reverse();
        Ok(chain)
    }

    /// Those that begin at a position behind a block, the longest first.
    pub(super) fn behind(&self, first: u64, previous: Link) -> Vec<&Piece> {
        let fits = |piece: &&Piece| piece.first == first && piece.previous == previous;
        let mut found: Vec<_> = self.all.iter().filter(fits).collect();
        found.sort_unstable_by_key(|piece| std::cmp::Reverse((piece.last, piece.epoch)));
        found
    }
}

impl From<Vec<Piece>> for Pieces {
    fn from(all: Vec<Piece>) -> Self {
        let mut by_last: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, piece) in all.iter().enumerate() {
            by_last.entry(piece.last).or_default().push(index);
        }
        Self { all, by_last }
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Exactly as many bytes as are asked for.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(epoch: u32, range: (u64, u64), links: (u8, u8)) -> Piece {
        Piece::of(epoch, range, ([links.0; 8], [links.1; 8]), b"object")
    }

    #[test]
    fn a_name_tells_all_of_a_piece() {
        let piece = piece(3, (5, 9), (1, 2));
        let modified = Timestamp::from_micros(0);
        let entry = Entry { name: piece.name(), size_bytes: 6, modified };
        assert_eq!(Piece::parse(&entry), Some(piece.clone()));
        assert!(piece.is(b"object") && !piece.is(b"objecT"));
        for name in ["pieces/0000000003/x.age", "pieces/1.age", "other/0000000003/5.age", ""] {
            let entry = Entry { name: name.to_owned(), ..entry.clone() };
            assert_eq!(Piece::parse(&entry), None, "{name}");
        }
    }

    #[test]
    fn a_chain_is_found_over_epochs_and_takes_the_larger_pieces() {
        let small = [piece(1, (1, 4), (0, 4)), piece(1, (5, 9), (4, 9))];
        let large = piece(1, (1, 9), (0, 9));
        let abandoned = piece(1, (10, 30), (9, 30));
        let forked = piece(2, (10, 12), (9, 112));
        let tip = piece(2, (13, 20), (112, 20));
        let all = [&small[..], &[large.clone(), abandoned.clone(), forked.clone(), tip.clone()]];
        let pieces = Pieces::from(all.concat());
        assert_eq!(pieces.tip(None), Some(&tip));
        assert_eq!(pieces.tip(Some(1)), Some(&abandoned));
        assert_eq!(pieces.chain(&tip, 0).unwrap(), [large.clone(), forked, tip.clone()]);
        assert_eq!(pieces.chain(&abandoned, 0).unwrap(), [large, abandoned]);
    }

    #[test]
    fn a_missing_piece_is_named() {
        let tip = piece(1, (10, 12), (9, 12));
        let pieces = Pieces::from(vec![piece(1, (1, 4), (0, 4)), tip.clone()]);
        assert_eq!(pieces.chain(&tip, 0), Err(Gap { first: 5, last: 9 }));
        assert_eq!(pieces.chain(&tip, 9).unwrap(), [tip]);
    }
}
