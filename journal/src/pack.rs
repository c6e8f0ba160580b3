//! Packing one group commit into blocks, in one buffer that is written with one write.
//!
//! ```text
//! buffer  [header·records·hash][header·records·hash][header·records…
//!          group = g, chained ─────────────────────►  last one flagged when the group closes
//! ```

use sha2::{Digest, Sha256};

use crate::block::{
    HASH_BYTES, HEADER_BYTES, Hash, Header, MAX_BLOCK_BYTES, MAX_BLOCK_RECORDS, segment_id,
};
use crate::keyring::{Keyring, SEAL_BYTES};
use crate::segment::Mark;

/// What stays the same while a segment grows, and the end of its chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    pub(crate) journal: [u8; 16],
    pub(crate) epoch: u32,
    /// 0 until the segment has its first block.
    pub(crate) segment: u64,
    /// The key of that segment's bodies; 0 if they lie in the plain.
    pub(crate) key: u32,
    /// Hash of the newest block.
    pub(crate) hash: Hash,
}

/// The group that is being filled.
#[derive(Debug)]
pub(crate) struct Packer {
    pub(crate) chain: Chain,
    keyring: Keyring,
    pub(crate) buffer: Vec<u8>,
    /// One per block: first position, offset in the buffer, first time.
    pub(crate) marks: Vec<Mark>,
    /// Why a block of the group could not be sealed: nothing of it may be written.
    pub(crate) unsealed: Option<String>,
    group: u64,
    next: u64,
    start: usize,
    count: u16,
    first_at_us: u64,
}

impl Packer {
    pub(crate) fn new(chain: Chain, keyring: Keyring) -> Self {
        Self {
            chain,
            keyring,
            buffer: Vec::new(),
            marks: Vec::new(),
            unsealed: None,
            group: 0,
            next: 0,
            start: 0,
            count: 0,
            first_at_us: 0,
        }
    }

    /// Whether the segment's bodies are under the key that is written with.
    pub(crate) fn fits_key(&self) -> bool {
        self.chain.key == self.keyring.newest().unwrap_or_default()
    }

    /// Begins a group whose first record will lie at `position`.
    pub(crate) fn begin(&mut self, position: u64) {
        self.buffer.clear();
        if self.buffer.capacity() > 4 << 20 {
            self.buffer.shrink_to(1 << 20);
        }
        self.marks.clear();
        (self.group, self.next, self.count, self.start) = (position, position, 0, 0);
    }

    /// Puts a record of `size` bytes at the next position; `write` appends exactly these bytes.
    pub(crate) fn push(&mut self, at_us: u64, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let filled = self.buffer.len() - self.start;
        let around = HASH_BYTES + self.keyring.newest().map_or(0, |_| SEAL_BYTES);
        let full = self.count == MAX_BLOCK_RECORDS
            || (self.count > 0 && filled + size + around > MAX_BLOCK_BYTES);
        if full {
            self.seal(false);
        }
        if self.count == 0 {
            self.start = self.buffer.len();
            self.first_at_us = at_us;
            self.buffer.resize(self.start + HEADER_BYTES, 0);
        }
        write(&mut self.buffer);
        self.count += 1;
        self.next += 1;
    }

    /// Closes the group.
    pub(crate) fn close(&mut self) {
        if self.count > 0 {
            self.seal(true);
        }
    }

    fn seal(&mut self, last_of_group: bool) {
        let first = self.next - u64::from(self.count);
        let chain = &mut self.chain;
        let key = self.keyring.newest();
        if chain.segment == 0 {
            chain.key = key.unwrap_or_default();
            chain.segment = segment_id(&chain.journal, chain.epoch, first, &chain.hash);
        }
        let plain = self.buffer.len() - self.start - HEADER_BYTES;
        let body = plain + key.map_or(0, |_| SEAL_BYTES);
        let header = Header {
            journal: chain.journal,
            segment: chain.segment,
            key: key.unwrap_or_default(),
            epoch: chain.epoch,
            first,
            group: self.group,
            first_at_us: self.first_at_us,
            last_of_group,
            count: self.count,
            body_bytes: u32::try_from(body).unwrap_or(u32::MAX),
            previous: chain.hash,
        };
        let header = header.bytes();
        let body_at = self.start + HEADER_BYTES;
        match self.keyring.seal(&header, self.buffer.get(body_at..).unwrap_or_default()) {
            Ok(None) => {},
            Ok(Some(sealed)) => {
                self.buffer.truncate(body_at);
                self.buffer.extend_from_slice(&sealed);
            },
            Err(error) => self.unsealed = Some(error.to_string()),
        }
        if let Some(block) = self.buffer.get_mut(self.start..) {
            if let Some(room) = block.get_mut(..HEADER_BYTES) {
                room.copy_from_slice(&header);
            }
            chain.hash = Sha256::digest(block).into();
        }
        self.buffer.extend_from_slice(&chain.hash);
        let offset = self.start as u64;
        self.marks.push(Mark { first, offset, at_us: self.first_at_us });
        (self.start, self.count) = (self.buffer.len(), 0);
    }
}
