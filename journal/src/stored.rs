//! Blocks as they lie in a segment: what leaves a journal for a copy elsewhere, and comes back.
//!
//! ```text
//!   blocks(from, to) ─► StoredBlock, StoredBlock, …      each one's `previous` is the hash before
//!   parse(bytes) ◄───── the same bytes, from anywhere
//! ```
//!
//! Their bytes are what the chain is over, so a copy is proved by the same hashes as the journal.

use crate::block::{Block, Header, Stored};

/// A whole block, its hash checked.
#[derive(Debug, Clone, Copy)]
pub struct StoredBlock<'a> {
    /// All of it, as it lies in a segment; sealed if the journal is.
    pub bytes: &'a [u8],
    /// Which journal it is of.
    pub journal: [u8; 16],
    /// The epoch of its records.
    pub epoch: u32,
    /// The position of its first record.
    pub first: u64,
    /// The position of its last record.
    pub last: u64,
    /// The time of its first record, in microseconds since the Unix epoch.
    pub first_at_us: u64,
    /// Whether a group commit ends with it: only there may a copy end.
    pub ends_group: bool,
    /// The hash of the block before it; zeros for the first of all.
    pub previous: [u8; 32],
    /// Its own hash.
    pub hash: [u8; 32],
}

/// What is visited block by block; [`ControlFlow::Break`](std::ops::ControlFlow) ends the read early.
pub type VisitBlock<'v> = &'v mut dyn FnMut(StoredBlock<'_>) -> std::ops::ControlFlow<()>;

impl<'a> StoredBlock<'a> {
    /// Reads the block at the start of `bytes` and checks its hash; `None` if there is none. Its
    /// length is that of [`StoredBlock::bytes`].
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = Header::parse(bytes).ok()?;
        let stored = Stored::parse(bytes, &header.journal).ok()?;
        Some(Self::new(&stored.header, stored.bytes, stored.hash))
    }

    pub(crate) fn of(block: &Block<'a>) -> Self {
        Self::new(&block.header, block.bytes, block.hash)
    }

    fn new(header: &Header, bytes: &'a [u8], hash: [u8; 32]) -> Self {
        Self {
            bytes,
            journal: header.journal,
            epoch: header.epoch,
            first: header.first,
            last: header.last(),
            first_at_us: header.first_at_us,
            ends_group: header.last_of_group,
            previous: header.previous,
            hash,
        }
    }
}
