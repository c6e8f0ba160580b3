//! One file of leaf hashes a sealed segment: a cache, which is believed only of the segment that it
//! was made from, and piece by piece.
//!
//! ```text
//! [magic · layout · journal · first · last · chain][roots of whole pieces][checksum]
//! [leaves of a piece][checksum] [leaves of a piece][checksum] …
//! ```
//!
//! `chain` is the hash of the segment's last block, which rests on every byte before it: leaves of
//! other records have another one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::TreeHash;
use super::row::{PIECE, Row, joined, of_roots};
use crate::block::Hash;
use crate::bytes::Fields;
use crate::disk::{self, Disk, DiskFile};

const MAGIC: [u8; 4] = *b"MSTL";
const LAYOUT: u16 = 1;
/// What comes before the roots.
const FRONT_BYTES: usize = 4 + 2 + 2 + 16 + 8 + 8 + 32;
const SUM_BYTES: usize = 8;

/// Which segment's leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) journal: [u8; 16],
    /// First and last position.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Hash of the last block.
    pub(super) chain: Hash,
}

impl Of {
    /// The index of the first leaf.
    fn start(&self) -> u64 {
        self.first - 1
    }

    /// Whole pieces between first and last.
    fn whole(&self) -> usize {
        let whole = (self.last / PIECE).saturating_sub(self.start().div_ceil(PIECE));
        usize::try_from(whole).unwrap_or(usize::MAX)
    }

    fn front(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRONT_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&LAYOUT.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&self.chain);
        out
    }

    /// The leaves of piece `number` that the segment has.
    fn piece(&self, number: u64) -> std::ops::Range<u64> {
        (number * PIECE).max(self.start())..((number + 1) * PIECE).min(self.last)
    }

    /// Where the piece begins behind the header, in bytes.
    fn offset(&self, number: u64) -> u64 {
        let (start, first) = (self.piece(number).start, self.start() / PIECE);
        let before = (start - self.start()) * size_of::<TreeHash>() as u64;
        before + (number - first) * SUM_BYTES as u64
    }
}

/// Writes a segment's leaves; they need not be durable.
pub(super) fn write(disk: &dyn Disk, path: &Path, of: &Of, row: &Row) -> io::Result<()> {
    let mut bytes = of.front();
    bytes.extend(row.roots().iter().flatten());
    let sum = xxh3_64(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    for number in of.start() / PIECE..of.last.div_ceil(PIECE) {
        let leaves = row.leaves_of(of.piece(number)).unwrap_or_default();
        let start = bytes.len();
        bytes.extend(leaves.iter().flatten());
        let piece = bytes.get(start..).unwrap_or_default();
        let sum = xxh3_64_with_seed(piece, sum.wrapping_add(number));
        bytes.extend_from_slice(&sum.to_le_bytes());
    }
    let young = path.with_extension("new");
    disk.create_dir(path.parent().unwrap_or(path))?;
    let file = disk.create(&young)?;
    file.write_at(&bytes, 0)?;
    disk.rename(&young, path)
}

/// A file whose header and roots are whole.
#[derive(Debug)]
pub(super) struct Leaves {
    of: Of,
    file: Arc<dyn DiskFile>,
    roots: Vec<TreeHash>,
    sum: u64,
    /// Where the pieces begin, in bytes.
    base: u64,
    /// The piece that was read last.
    piece: Option<(u64, Vec<TreeHash>)>,
}

impl Leaves {
    /// Opens the leaves of a segment; `None` if they are missing, damaged or of other records.
    pub(super) fn open(disk: &dyn Disk, path: &Path, of: &Of) -> Option<Self> {
        let file = disk.open(path, false).ok()?;
        let front = of.front();
        let roots_bytes = of.whole().checked_mul(size_of::<TreeHash>())?;
        let size = FRONT_BYTES.checked_add(roots_bytes)?.checked_add(SUM_BYTES)?;
        if file.size().ok()? < size as u64 {
            return None;
        }
        let mut bytes = vec![0; size];
        disk::read_full(&*file, &mut bytes, 0).ok().filter(|filled| *filled == size)?;
        let (head, sum) = bytes.split_last_chunk::<SUM_BYTES>()?;
        let sum = u64::from_le_bytes(*sum);
        if !head.starts_with(&front) || xxh3_64(head) != sum {
            return None;
        }
        let roots = hashes(head.get(FRONT_BYTES..)?)?;
        Some(Self { of: *of, file, roots, sum, base: size as u64, piece: None })
    }

    /// The node, if it lies in the segment and its piece is whole.
    pub(super) fn node(&mut self, level: u32, index: u64) -> Option<TreeHash> {
        if level >= super::row::PIECE_LEVEL {
            return of_roots(self.of.start(), &self.roots, level, index);
        }
        let start = index << level;
        let number = start / PIECE;
        if self.piece.as_ref().is_none_or(|(known, _)| *known != number) {
            self.piece = Some((number, self.read(number)?));
        }
        let (_, leaves) = self.piece.as_ref()?;
        let at = usize::try_from(start.checked_sub(self.of.piece(number).start)?).ok()?;
        leaves.get(at..at + (1 << level)).map(|leaves| joined(leaves.to_vec()))
    }

    fn read(&self, number: u64) -> Option<Vec<TreeHash>> {
        let range = self.of.piece(number);
        let count = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let mut bytes = vec![0; count * size_of::<TreeHash>() + SUM_BYTES];
        let at = self.base + self.of.offset(number);
        let filled = disk::read_full(&*self.file, &mut bytes, at).ok()?;
        let (leaves, sum) = bytes.split_last_chunk::<SUM_BYTES>()?;
        let right = xxh3_64_with_seed(leaves, self.sum.wrapping_add(number));
        if filled < bytes.len() || u64::from_le_bytes(*sum) != right {
            return None;
        }
        hashes(leaves)
    }
}

fn hashes(bytes: &[u8]) -> Option<Vec<TreeHash>> {
    let mut fields = Fields(bytes);
    (0..bytes.len() / size_of::<TreeHash>()).map(|_| fields.array()).collect()
}
