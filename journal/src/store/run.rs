//! Runs: a sealed segment's postings in sorted chunks, and the filter before them.
//!
//! ```text
//! runs    (segment, first term, its offset) ─► checksum ‖ number ‖ up to 340 × (term, offset)
//! blooms  (segment, piece) ─► checksum ‖ postings ‖ chunks ‖ layout ‖ words
//! ```
//!
//! Chunks are numbered and the filter says how many there are, so a missing one is noticed. A run
//! whose filter has another layout is as if it were not there, and is made again.

mod list;

pub(crate) use list::{From, Stretch, Way, stretch};

use xxhash_rust::xxh3::xxh3_64;

use super::month::{CHUNK_BYTES, Month, block_key};
use crate::bytes::Fields;
use crate::postings::Posting;
use crate::segment::Segment;
use crate::sieve::Filter;

const POSTING_BYTES: usize = 12;
const CHUNK_HEAD: usize = 12;
/// Of filters. Where this stands there was a number of hashes once, which was small.
pub(crate) const LAYOUT: u32 = 256;
/// The format allows 340. sled keeps up to sixteen values together and reads them together: small
/// chunks make the lookup of a rare term cheap, and cost the follower a few inserts more.
const CHUNK_POSTINGS: usize = 96;

const _: () = assert!(CHUNK_HEAD + CHUNK_POSTINGS * POSTING_BYTES <= CHUNK_BYTES);

fn run_key(segment: u64, posting: Posting) -> [u8; 20] {
    let mut key = [0; 20];
    let (high, rest) = key.split_at_mut(8);
    let (middle, low) = rest.split_at_mut(8);
    high.copy_from_slice(&segment.to_be_bytes());
    middle.copy_from_slice(&posting.0.to_be_bytes());
    low.copy_from_slice(&posting.1.to_be_bytes());
    key
}

fn with_checksum(rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + rest.len());
    bytes.extend_from_slice(&xxh3_64(rest).to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

fn checked(bytes: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields(bytes);
    let sum = fields.u64()?;
    (xxh3_64(fields.0) == sum).then_some(fields)
}

/// Writes a segment's run, then its filter. What was there before is removed.
pub(crate) fn write(month: &Month, segment: u64, sorted: &[Posting]) -> sled::Result<Stored> {
    remove(month, segment)?;
    let mut chunks = 0_u32;
    for postings in sorted.chunks(CHUNK_POSTINGS) {
        let mut rest = Vec::with_capacity(CHUNK_BYTES);
        rest.extend_from_slice(&chunks.to_le_bytes());
        for (term, offset) in postings {
            rest.extend_from_slice(&term.to_le_bytes());
            rest.extend_from_slice(&offset.to_le_bytes());
        }
        let first = postings.first().copied().unwrap_or_default();
        month.runs.insert(run_key(segment, first), with_checksum(&rest))?;
        chunks += 1;
    }
    let stored = Stored { postings: sorted.len() as u64, chunks, filter: Filter::of(sorted) };
    let mut rest = Vec::new();
    rest.extend_from_slice(&stored.postings.to_le_bytes());
    rest.extend_from_slice(&chunks.to_le_bytes());
    rest.extend_from_slice(&LAYOUT.to_le_bytes());
    for word in stored.filter.words() {
        rest.extend_from_slice(&word.to_le_bytes());
    }
    // The first piece last: without it there is no filter.
    let bytes = with_checksum(&rest);
    let pieces: Vec<_> = (0_u16..).zip(bytes.chunks(CHUNK_BYTES)).collect();
    for (number, piece) in pieces.into_iter().rev() {
        month.blooms.insert(block_key(segment, number), piece)?;
    }
    Ok(stored)
}

fn remove(month: &Month, segment: u64) -> sled::Result<()> {
    for entry in month.blooms.range(block_key(segment, 0)..=block_key(segment, u16::MAX)) {
        month.blooms.remove(entry?.0)?;
    }
    for entry in month.runs.range(run_key(segment, (0, 0))..=run_key(segment, (u64::MAX, u32::MAX)))
    {
        month.runs.remove(entry?.0)?;
    }
    Ok(())
}

/// Whether a segment has a run.
pub(crate) fn is_there(month: &Month, segment: u64) -> sled::Result<bool> {
    let piece = month.blooms.get(block_key(segment, 0))?;
    Ok(piece.is_some_and(|piece| layout(&piece) == Some(LAYOUT)))
}

/// What a filter's first piece says of its layout.
fn layout(piece: &[u8]) -> Option<u32> {
    let mut fields = Fields(piece);
    fields.take(8 + 8 + 4)?;
    fields.u32()
}

/// What is stored before a run.
pub(crate) struct Stored {
    postings: u64,
    pub(crate) chunks: u32,
    pub(crate) filter: Filter,
}

/// What is stored of a segment; `None` without a run.
pub(crate) fn stored(month: &Month, segment: u64) -> Result<Option<Stored>, String> {
    let mut bytes = Vec::new();
    for piece in month.blooms.range(block_key(segment, 0)..=block_key(segment, u16::MAX)) {
        bytes.extend_from_slice(&piece.map_err(|error| error.to_string())?.1);
    }
    if bytes.is_empty() || layout(&bytes).is_some_and(|layout| layout != LAYOUT) {
        return Ok(None);
    }
    let parse = || {
        let mut fields = checked(&bytes)?;
        let (postings, chunks, _) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let mut words = Vec::with_capacity(fields.0.len() / 8);
        while let Some(word) = fields.u64() {
            words.push(word);
        }
        let filter = Filter::from_words(words).filter(|_| fields.0.is_empty())?;
        Some(Stored { postings, chunks, filter })
    };
    parse().map(Some).ok_or_else(|| "its filter is damaged".into())
}

/// Reads which terms a sealed segment holds; `None` without a run.
pub(crate) fn filter(month: &Month, segment: &Segment) -> Result<Option<Filter>, String> {
    let stored = stored(month, segment.first)?;
    Ok(stored.map(|stored| {
        let _ = segment.run_chunks.set(stored.chunks);
        stored.filter
    }))
}

/// The whole run, for verification; `None` without one.
pub(crate) fn read(month: &Month, segment: u64) -> Result<Option<Vec<Posting>>, String> {
    let Some(Stored { postings, filter, .. }) = stored(month, segment)? else { return Ok(None) };
    let mut all = Vec::new();
    for entry in month.runs.range(run_key(segment, (0, 0))..=run_key(segment, (u64::MAX, u32::MAX)))
    {
        let (_, bytes) = entry.map_err(|error| error.to_string())?;
        let mut fields = checked(&bytes).ok_or("a chunk is damaged")?;
        fields.u32();
        while let (Some(term), Some(offset)) = (fields.u64(), fields.u32()) {
            all.push((term, offset));
        }
    }
    if all.len() as u64 != postings {
        return Err(format!("it has {} postings of {postings}", all.len()));
    }
    if all.iter().any(|posting| !filter.may_hold(posting.0)) {
        return Err("its filter misses a term".into());
    }
    Ok(Some(all))
}
