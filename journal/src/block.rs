//! Blocks: the unit of hashing, chaining and verification.
//!
//! ```text
//! ┌────────────── header, 104 bytes ──────────────┬──────── body ────────┬── SHA-256 ──┐
//! │ magic … journal id … first … previous hash    │ record record record │ of the rest │
//! └───────────────────────────────────────────────┴──────────────────────┴─────────────┘
//! ```
//!
//! Under a key the body is sealed, bound to its header; the hash covers what is stored.

use std::borrow::Cow;
use std::io;

use sha2::{Digest, Sha256};

use crate::bytes::Fields;
use crate::codec;
use crate::keyring::{Keyring, SEAL_BYTES};
use crate::record::{MAX_RECORD_BYTES, RecordRef};

/// The format this version writes, and the newest it reads.
pub const FORMAT: u16 = 1;
/// Most records in a block.
pub(crate) const MAX_BLOCK_RECORDS: u16 = 16;
/// Largest block, all told, unless it holds a single larger record.
pub(crate) const MAX_BLOCK_BYTES: usize = 4096;
pub(crate) const HEADER_BYTES: usize = 104;
pub(crate) const HASH_BYTES: usize = 32;
pub(crate) const MAGIC: [u8; 4] = *b"MSTB";
const SHA_256: u8 = 1;
const LAST_OF_GROUP: u16 = 1;

const _: () = assert!(
    HEADER_BYTES == 4 + 2 + 1 + 1 + 16 + 8 + 4 + 4 + 8 + 8 + 8 + 2 + 2 + 4 + HASH_BYTES,
    "the header's length follows from its fields"
);
const _: () = assert!(MAX_BLOCK_BYTES > HEADER_BYTES + HASH_BYTES + codec::FIXED_BYTES);

pub(crate) type Hash = [u8; HASH_BYTES];

/// A block's header without the fields that are the same in every block of format 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) journal: [u8; 16],
    pub(crate) segment: u64,
    /// Of the key that sealed the body; 0 if none did.
    pub(crate) key: u32,
    pub(crate) epoch: u32,
    pub(crate) first: u64,
    pub(crate) group: u64,
    pub(crate) first_at_us: u64,
    pub(crate) last_of_group: bool,
    pub(crate) count: u16,
    pub(crate) body_bytes: u32,
    pub(crate) previous: Hash,
}

impl Header {
    /// As stored.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&[SHA_256, 0]);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.group.to_le_bytes());
        out.extend_from_slice(&self.first_at_us.to_le_bytes());
        out.extend_from_slice(&u16::from(self.last_of_group).to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.body_bytes.to_le_bytes());
        out.extend_from_slice(&self.previous);
        out
    }

    /// Reads a header; the hash is not checked here.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Bad> {
        let mut fields = Fields(bytes);
        if fields.array::<4>() != Some(MAGIC) {
            return Err(Bad::Magic);
        }
        Self::parse_fields(fields).unwrap_or(Err(Bad::Short))
    }

    fn parse_fields(mut fields: Fields<'_>) -> Option<Result<Self, Bad>> {
        let format = fields.u16()?;
        if format > FORMAT {
            return Some(Err(Bad::Newer(format)));
        }
        let (algorithm, compression) = (fields.u8()?, fields.u8()?);
        let journal = fields.array()?;
        let (segment, key) = (fields.u64()?, fields.u32()?);
        let (epoch, first, group) = (fields.u32()?, fields.u64()?, fields.u64()?);
        let (first_at_us, flags) = (fields.u64()?, fields.u16()?);
        let (count, body_bytes) = (fields.u16()?, fields.u32()?);
        let previous = fields.array()?;
        let body = usize::try_from(body_bytes).ok()?;
        let sealed = if key == 0 { 0 } else { SEAL_BYTES };
        let known = format == FORMAT && algorithm == SHA_256 && compression == 0;
        if !known
            || flags & !LAST_OF_GROUP != 0
            || count == 0
            || count > MAX_BLOCK_RECORDS
            || body > MAX_RECORD_BYTES.max(MAX_BLOCK_BYTES) + sealed
            || first == 0
            || group > first
        {
            return Some(Err(Bad::Header));
        }
        let last_of_group = flags & LAST_OF_GROUP != 0;
        Some(Ok(Self {
            journal,
            segment,
            key,
            epoch,
            first,
            group,
            first_at_us,
            last_of_group,
            count,
            body_bytes,
            previous,
        }))
    }

    /// Bytes of the whole block.
    pub(crate) fn block_bytes(&self) -> usize {
        HEADER_BYTES + usize::try_from(self.body_bytes).unwrap_or(usize::MAX / 2) + HASH_BYTES
    }

    /// The position of its last record.
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

/// What is wrong with bytes that should be a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("no block begins here")]
    Magic,
    #[error("the block is cut short")]
    Short,
    #[error("the block has format {0}, newer than this version knows")]
    Newer(u16),
    #[error("the block's header is senseless")]
    Header,
    #[error("the block's bytes do not match its hash")]
    Hash,
    #[error("the block belongs to another journal")]
    Journal,
    #[error("the block's records are senseless")]
    Records,
    #[error("the block does not continue the chain")]
    Chain,
    #[error("the block does not begin at the next position")]
    Position,
    #[error("the block is sealed under the key {0:08x}, which is not at hand")]
    Key(u32),
    #[error("the block does not open under the key {0:08x}: it was made with another")]
    Sealed(u32),
}

impl Bad {
    /// Whether a key is missing, and the bytes are as they were written.
    pub(crate) fn is_locked(self) -> bool {
        matches!(self, Self::Key(_) | Self::Sealed(_))
    }
}

/// Whose blocks are read: the journal, and the keys of their bodies. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) journal: [u8; 16],
    pub(crate) keyring: Keyring,
}

/// A block as it is stored, its hash checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) header: Header,
    /// All of it.
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: Hash,
    body: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Reads the block at the start of `bytes` and checks its hash and its journal.
    pub(crate) fn parse(bytes: &'a [u8], journal: &[u8; 16]) -> Result<Self, Bad> {
        let block = Self::split(bytes)?;
        let (covered, _) = block.bytes.split_last_chunk::<HASH_BYTES>().ok_or(Bad::Short)?;
        if Hash::from(Sha256::digest(covered)) != block.hash {
            return Err(Bad::Hash);
        }
        if block.header.journal != *journal {
            return Err(Bad::Journal);
        }
        Ok(block)
    }

    /// The parts of a block whose hash nobody checks.
    fn split(bytes: &'a [u8]) -> Result<Self, Bad> {
        let header = Header::parse(bytes)?;
        let (bytes, _) = bytes.split_at_checked(header.block_bytes()).ok_or(Bad::Short)?;
        let (covered, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(Bad::Short)?;
        let (_, body) = covered.split_at_checked(HEADER_BYTES).ok_or(Bad::Short)?;
        Ok(Self { header, bytes, hash: *hash, body })
    }

    /// Opens its body.
    pub(crate) fn open(self, keyring: &Keyring) -> Result<Block<'a>, Bad> {
        let Self { header, bytes, hash, body } = self;
        let body = match header.key {
            0 => Cow::Borrowed(body),
            key => {
                let bound_to = bytes.get(..HEADER_BYTES).ok_or(Bad::Short)?;
                Cow::Owned(keyring.open(key, bound_to, body)?)
            },
        };
        Ok(Block { header, bytes, body, hash })
    }
}

/// A block whose hash was checked, and whose body is open.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub(crate) header: Header,
    /// All of it, as stored.
    pub(crate) bytes: &'a [u8],
    body: Cow<'a, [u8]>,
    pub(crate) hash: Hash,
}

impl<'a> Block<'a> {
    /// Reads the block at the start of `bytes`, checks its hash and its journal, and opens it.
    pub(crate) fn parse(bytes: &'a [u8], opener: &Opener) -> Result<Self, Bad> {
        Stored::parse(bytes, &opener.journal)?.open(&opener.keyring)
    }

    /// Reads a block that was just made.
    pub(crate) fn trusted(bytes: &'a [u8], keyring: &Keyring) -> Option<Self> {
        Stored::split(bytes).ok()?.open(keyring).ok()
    }

    /// Its records in order; an `Err` ends them.
    pub(crate) fn records(&self) -> Records<'_> {
        Records {
            rest: &self.body,
            epoch: self.header.epoch,
            next: self.header.first,
            left: self.header.count,
        }
    }

    /// The block with its first `count` records only, as the last one of its group: its bytes and
    /// its hash. The records stay as they are.
    pub(crate) fn cut(&self, count: u16, keyring: &Keyring) -> io::Result<(Vec<u8>, Hash)> {
        let mut rest = &*self.body;
        for _ in 0..count {
            let tail = codec::split(rest).map(|(_, tail)| tail);
            rest = tail.ok_or_else(|| io::Error::other(Bad::Records.to_string()))?;
        }
        let plain = self.body.get(..self.body.len() - rest.len()).unwrap_or_default();
        let sealed = if self.header.key == 0 { 0 } else { SEAL_BYTES };
        let body_bytes = u32::try_from(plain.len() + sealed).unwrap_or(u32::MAX);
        let header = Header { count, body_bytes, last_of_group: true, ..self.header };
        let mut bytes = header.bytes();
        let body = keyring.seal_under(self.header.key, &bytes, plain)?;
        bytes.extend_from_slice(body.as_deref().unwrap_or(plain));
        let hash: Hash = Sha256::digest(&bytes).into();
        bytes.extend_from_slice(&hash);
        Ok((bytes, hash))
    }

    /// The record at `position`, which must lie in this block.
    pub(crate) fn record(&self, position: u64) -> Result<RecordRef<'_>, Bad> {
        let mut rest = &*self.body;
        let mut next = self.header.first;
        loop {
            let (bytes, tail) = codec::split(rest).ok_or(Bad::Records)?;
            if next == position {
                return codec::decode(bytes, self.header.epoch, position).ok_or(Bad::Records);
            }
            (rest, next) = (tail, next + 1);
        }
    }
}

/// The records of a block.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    epoch: u32,
    next: u64,
    left: u16,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.rest.is_empty() {
                return None;
            }
            self.rest = &[];
            return Some(Err(Bad::Records));
        }
        self.left -= 1;
        let record = codec::split(self.rest).and_then(|(bytes, rest)| {
            self.rest = rest;
            codec::decode(bytes, self.epoch, self.next)
        });
        self.next += 1;
        if record.is_none() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(record.ok_or(Bad::Records))
    }
}

/// A segment's id: unlike that of every other segment, and the same when it is derived again.
pub(crate) fn segment_id(journal: &[u8; 16], epoch: u32, first: u64, previous: &Hash) -> u64 {
    let mut text = Vec::with_capacity(60);
    text.extend_from_slice(journal);
    text.extend_from_slice(&epoch.to_le_bytes());
    text.extend_from_slice(&first.to_le_bytes());
    text.extend_from_slice(previous);
    xxhash_rust::xxh3::xxh3_64(&text)
}
