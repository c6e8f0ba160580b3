//! The store's half of a verification, one segment ahead of the segments' half and beside it.
//!
//! ```text
//! file   [block][block][block][block] …    ─► hash, chain, records: the other half
//! store  [ pile       ][ pile       ] …    same bytes under the right keys: a walk through both
//! run    of the records in the file        same postings: sorted and compared
//! ```
//!
//! What is the same on both sides needs no look of its own; from the first difference on each block
//! and the index are looked at by the other half, which knows what is good.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::File;
use crate::block::{Block, Header};
use crate::disk::{self, Disk};
use crate::keyring::Keyring;
use crate::postings::Posting;
use crate::store::{Month, guarded, pile, run};
use crate::terms;

/// A segment's file, and how far the store is known to have the same.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) bytes: std::io::Result<Vec<u8>>,
    pub(super) same: Same,
}

/// What the store has as the file has it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Same {
    /// Bytes of whole blocks, from the start of the file.
    pub(super) bytes: usize,
    /// All of it, and the index is that of its records.
    pub(super) index: bool,
}

/// Reads the files in order; ends when nobody wants the next one.
pub(super) fn run(
    files: &[File],
    disk: &dyn Disk,
    months: &BTreeMap<String, Arc<Month>>,
    keyring: &Keyring,
    next: &Sender<Ahead>,
) {
    for (at, file) in files.iter().enumerate() {
        let bytes = disk::read_all(disk, &file.path);
        let follower = files.get(at + 1).map(|next| next.first);
        let same = months.get(&file.month).zip(bytes.as_deref().ok()).map(|(month, bytes)| {
            let same = guarded(|| Ok(compare(month, keyring, bytes, (file.first, follower))));
            same.unwrap_or_default()
        });
        if next.send(Ahead { bytes, same: same.unwrap_or_default() }).is_err() {
            return;
        }
    }
}

fn compare(
    month: &Month,
    keyring: &Keyring,
    bytes: &[u8],
    (first, follower): (u64, Option<u64>),
) -> Same {
    let (mut same, mut block_at, mut next) = (0, 0, first);
    for value in month.values(first) {
        let Ok((key, chunk, value)) = value else { break };
        // A new key where a block begins, or the next piece of the block before.
        let fits = if chunk == 0 { same == block_at && key == next } else { same < block_at };
        let blocks = if chunk == 0 { pile::unpack(&value) } else { (&*value).into() };
        let end = same + blocks.len();
        if !fits || bytes.get(same..end) != Some(&*blocks) {
            break;
        }
        same = end;
        while block_at < same {
            let header = bytes.get(block_at..).map(Header::parse);
            let Some(Ok(header)) = header.filter(|_| follower.is_none_or(|end| next < end)) else {
                return Same { bytes: 0, index: false };
            };
            (block_at, next) =
                (block_at + header.block_bytes(), header.first.saturating_add(header.count.into()));
        }
    }
    // Of a block in pieces that do not all match, nothing is the same.
    let whole = if same == block_at { same } else { 0 };
    let index = whole > 0 && follower == Some(next) && {
        let mut postings: Vec<Posting> = Vec::new();
        let mut rest = bytes.get(..whole).unwrap_or_default();
        while let Some(block) = Block::trusted(rest, keyring) {
            for record in block.records().flatten() {
                let offset = u32::try_from(record.position - first).unwrap_or(u32::MAX);
                terms::of_record(&record, |term| postings.push((term, offset)));
            }
            rest = rest.get(block.bytes.len()..).unwrap_or_default();
        }
        postings.sort_unstable();
        rest.is_empty() && run::read(month, first).is_ok_and(|found| found == Some(postings))
    };
    Same { bytes: whole, index }
}
