//! Piles: consecutive blocks of one segment in one value of the database, compressed.
//!
//! ```text
//! key     first position of the first block ‖ 0
//! value   length of the blocks (4) ‖ LZ4            or the blocks as they are, if that is not shorter
//! ```
//!
//! sled holds up to seventeen values in a node and writes the node anew with every ninth that is
//! appended: a few large values cost it less than many small ones. A node above 128 KiB would go
//! to a file of its own. A block that is longer than a value may be lies alone, in pieces.

use std::borrow::Cow;

use super::month::{CHUNK_BYTES, Month, block_key};
use crate::block::{Header, MAGIC};

/// Most bytes of a value: eighteen fit into a node that is no file of its own, which nothing would
/// sync (ADR-0001).
pub(super) const VALUE_BYTES: usize = 7000;
/// Most bytes of blocks that are tried to fit into one value.
const MOST: usize = VALUE_BYTES * 4;

const _: () = assert!(VALUE_BYTES * 18 + 18 * 64 < 512 * 1024 / 4, "sled's segment by four");

/// Blocks on their way into one value.
#[derive(Debug)]
pub(super) struct Pile {
    first: u64,
    bytes: Vec<u8>,
    /// So many bytes fitted into one value of late.
    limit: usize,
}

impl Default for Pile {
    fn default() -> Self {
        Self { first: 0, bytes: Vec::new(), limit: VALUE_BYTES * 2 }
    }
}

impl Pile {
    /// Forgets what was not put.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds the next block; those before it go into the database if it does not fit.
    pub(super) fn add(&mut self, month: &Month, header: &Header, block: &[u8]) -> sled::Result<()> {
        // What is sealed does not become shorter.
        let limit = if header.key == 0 { self.limit } else { VALUE_BYTES };
        if self.bytes.len() + block.len() > limit {
            self.put(month)?;
        }
        if self.bytes.is_empty() {
            self.first = header.first;
        }
        self.bytes.extend_from_slice(block);
        Ok(())
    }

    /// Puts what there is into the database.
    pub(super) fn put(&mut self, month: &Month) -> sled::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let value = put(month, self.first, &self.bytes)?;
        self.limit = match value {
            None => self.limit - self.limit / 4,
            Some(bytes) if bytes < VALUE_BYTES - VALUE_BYTES / 4 => self.limit + self.limit / 8,
            Some(_) => self.limit,
        }
        .clamp(VALUE_BYTES, MOST);
        self.bytes.clear();
        Ok(())
    }
}

/// Puts consecutive blocks into the database, the first of which begins at `first`; the bytes of
/// the value, if one was enough.
pub(super) fn put(month: &Month, first: u64, blocks: &[u8]) -> sled::Result<Option<usize>> {
    let packed = pack(blocks);
    let value = packed.as_deref().unwrap_or(blocks);
    if value.len() <= VALUE_BYTES {
        month.blocks.insert(block_key(first, 0), value)?;
        return Ok(Some(value.len()));
    }
    if let Some((next, at)) = middle(blocks) {
        let (before, behind) = blocks.split_at(at);
        put(month, first, before)?;
        put(month, next, behind)?;
        return Ok(None);
    }
    for (number, chunk) in (0_u16..).zip(blocks.chunks(CHUNK_BYTES)) {
        month.blocks.insert(block_key(first, number), chunk)?;
    }
    Ok(None)
}

/// Blocks compressed, if that makes them shorter and they are not sealed.
fn pack(blocks: &[u8]) -> Option<Vec<u8>> {
    Header::parse(blocks).ok().filter(|header| header.key == 0)?;
    let packed = lz4_flex::block::compress_prepend_size(blocks);
    (packed.len() < blocks.len()).then_some(packed)
}

/// The blocks of a value; what is none stays as it is, and is no block.
pub(crate) fn unpack(value: &[u8]) -> Cow<'_, [u8]> {
    if value.starts_with(&MAGIC) {
        return Cow::Borrowed(value);
    }
    let Some((length, packed)) = value.split_first_chunk::<4>() else {
        return Cow::Borrowed(value);
    };
    // A length that lies must not ask for memory: LZ4 makes at most 255 bytes of one.
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > packed.len().saturating_mul(255) {
        return Cow::Borrowed(value);
    }
    let unpacked = lz4_flex::block::decompress(packed, length);
    unpacked.map_or(Cow::Borrowed(value), Cow::Owned)
}

/// The last position a header names.
fn last(header: &Header) -> u64 {
    header.first.saturating_add(u64::from(header.count) - 1)
}

/// Where the block begins that is the first behind half of them, with its first position.
fn middle(blocks: &[u8]) -> Option<(u64, usize)> {
    let mut at = 0;
    loop {
        at += Header::parse(blocks.get(at..)?).ok()?.block_bytes();
        let next = Header::parse(blocks.get(at..)?).ok()?;
        if at >= blocks.len() / 2 || at + next.block_bytes() >= blocks.len() {
            return Some((next.first, at));
        }
    }
}

/// Where the block of these begins that holds a position, else the last one; bytes that are no block
/// end the search.
pub(super) fn find(blocks: &[u8], position: u64) -> usize {
    let mut at = 0;
    while let Some(Ok(header)) = blocks.get(at..).map(Header::parse) {
        let behind = at + header.block_bytes();
        if last(&header) >= position || behind >= blocks.len() {
            break;
        }
        at = behind;
    }
    at
}

/// The block that begins at an offset, or what is there of it.
pub(super) fn block(blocks: &[u8], at: usize) -> &[u8] {
    let rest = blocks.get(at..).unwrap_or_default();
    let size = Header::parse(rest).map_or(rest.len(), |header| header.block_bytes());
    rest.get(..size).unwrap_or(rest)
}

/// Whether a block begins here, at this position.
pub(super) fn begins(blocks: &[u8], position: u64) -> bool {
    Header::parse(blocks).is_ok_and(|header| header.first == position)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pile, unpack};
    use crate::block::{Header, Stored};
    use crate::keyring::Keyring;
    use crate::layout::Layout;
    use crate::pack::{Chain, Packer};
    use crate::store::Month;

    /// Blocks of records that repeat themselves, or of noise; every hundredth record is large.
    fn blocks(count: usize, noise: bool) -> Vec<(Header, Vec<u8>)> {
        let chain = Chain { journal: [7; 16], epoch: 1, segment: 0, key: 0, hash: [0; 32] };
        let mut packer = Packer::new(chain, Keyring::default());
        packer.begin(1);
        let mut seed = 1_u64;
        for nth in 0..count {
            let size = if nth % 100 == 99 { 20_000 } else { 150 + nth % 90 };
            packer.push(1, size, |out| {
                out.extend((0..size).map(|at| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if noise { seed.to_le_bytes()[7] } else { at.to_le_bytes()[0] }
                }));
            });
        }
        packer.close();
        let mut rest = packer.buffer.as_slice();
        let mut blocks = Vec::new();
        while let Ok(block) = Stored::parse(rest, &[7; 16]) {
            blocks.push((block.header, block.bytes.to_vec()));
            rest = &rest[block.bytes.len()..];
        }
        assert!(rest.is_empty());
        blocks
    }

    fn month(root: &std::path::Path) -> Month {
        let layout = Layout { root: root.to_path_buf() };
        Month::open(&layout, "2026-11", &[7; 16], Duration::from_mins(1)).unwrap()
    }

    #[test]
    fn every_block_is_found_by_each_of_its_positions_and_nothing_lies_in_a_file_of_its_own() {
        for noise in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let month = month(root.path());
            let blocks = blocks(6000, noise);
            let mut pile = Pile::default();
            for (header, bytes) in &blocks {
                pile.add(&month, header, bytes).unwrap();
            }
            pile.put(&month).unwrap();
            for (header, bytes) in &blocks {
                for position in header.first..=header.last() {
                    assert_eq!(month.block_at(position).unwrap().as_ref(), Some(bytes));
                }
            }
            assert_eq!(month.block_at(u64::MAX).unwrap(), blocks.last().map(|last| last.1.clone()));
            month.flush().unwrap();
            let blobs = root.path().join("store/2026-11/blobs");
            assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
            assert!(noise || month.blocks.len() * 3 < blocks.len(), "nothing was compressed");
        }
    }

    #[test]
    fn a_block_that_is_put_again_leaves_its_neighbours_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let month = month(root.path());
        let blocks = blocks(400, false);
        let mut pile = Pile::default();
        for (header, bytes) in &blocks {
            pile.add(&month, header, bytes).unwrap();
        }
        pile.put(&month).unwrap();
        for (header, bytes) in blocks.iter().skip(1).step_by(3) {
            month.put_block(header.first, bytes).unwrap();
            for (header, bytes) in &blocks {
                assert_eq!(month.block_at(header.last()).unwrap().as_ref(), Some(bytes));
            }
        }
        let span = month.span(blocks[1].0.first).unwrap();
        assert_eq!(span, (blocks[1].0.first, Some(blocks[2].0.first)));
    }

    #[test]
    fn no_bytes_make_the_reader_of_piles_panic_or_ask_for_much_memory() {
        for length in [0_u32, 1, 4, 300, u32::MAX] {
            for body in [&[][..], &[0xff; 40], &[0x1f, 0, 0, 0xff, 0xff]] {
                let value = [&length.to_le_bytes(), body].concat();
                assert!(unpack(&value).len() <= body.len() * 255 + 4);
            }
        }
        assert_eq!(&*unpack(b"ab"), b"ab");
    }
}
