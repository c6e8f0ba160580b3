//! What the writer has just made durable, for the follower: it needs neither be read again nor hashed.
//!
//! ```text
//! writer ─ synced ─► [block][block][block]  ◄─ taken in one piece, and an empty one left ─ follower
//!                     └ full: what follows is read from the segments, and checked
//! ```

use std::ops::ControlFlow;

use crate::block::Header;

/// Most bytes that wait: more than the writer makes while the follower looks away.
const MOST: usize = 4 << 20;

/// Consecutive blocks, as they were written.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    bytes: Vec<u8>,
    /// Behind the blocks that were looked at.
    at: usize,
    first: u64,
    /// Behind the last record.
    next: u64,
}

impl Fresh {
    /// Adds a group, `first` to `last`, unless there is no room or it does not follow what is there.
    pub(super) fn add(&mut self, first: u64, last: u64, blocks: &[u8]) {
        if self.bytes.is_empty() {
            self.first = first;
        } else if self.next != first || self.bytes.len() + blocks.len() > MOST {
            return;
        }
        self.bytes.extend_from_slice(blocks);
        self.next = last + 1;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.at, self.first, self.next) = (0, 0, 0);
    }

    pub(super) fn holds(&self, position: u64) -> bool {
        (self.first..self.next).contains(&position)
    }

    /// The last position up to `last` that has to be read elsewhere, from `from` on.
    pub(super) fn read_upto(&self, from: u64, last: u64) -> u64 {
        if self.first > from { last.min(self.first - 1) } else { last }
    }

    /// Visits the blocks that lie in `from..=to`, each once.
    pub(super) fn blocks(
        &mut self,
        from: u64,
        to: u64,
        take: &mut dyn FnMut(&Header, &[u8]) -> ControlFlow<()>,
    ) {
        while let Some(Ok(header)) = self.bytes.get(self.at..).map(Header::parse) {
            let behind = self.at + header.block_bytes();
            let Some(block) = self.bytes.get(self.at..behind) else { return };
            if header.first > to {
                return;
            }
            self.at = behind;
            if header.first >= from && take(&header, block).is_break() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fresh, MOST};

    #[test]
    fn what_does_not_follow_or_has_no_room_is_left_to_the_segments() {
        let mut fresh = Fresh::default();
        fresh.add(11, 20, &[1; 100]);
        fresh.add(21, 30, &[1; 100]);
        // One is missing, then one that is known.
        fresh.add(32, 40, &[1; 100]);
        fresh.add(21, 30, &[1; 100]);
        assert_eq!(fresh.bytes.len(), 200);
        assert_eq!([10, 11, 30, 31].map(|at| fresh.holds(at)), [false, true, true, false]);
        assert_eq!((fresh.read_upto(3, 90), fresh.read_upto(31, 90)), (10, 90));
        fresh.add(31, 40, &vec![1; MOST]);
        assert!(!fresh.holds(31));
        fresh.clear();
        fresh.add(31, 40, &vec![1; MOST]);
        assert!(fresh.holds(31) && !fresh.holds(30));
    }
}
