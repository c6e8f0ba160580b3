//! Blocks as they lie: for who copies a journal.

use super::{READ_BYTES, View, missing};
use crate::block::Block;
use crate::error::ReadError;
use crate::stored::{StoredBlock, VisitBlock};

impl View {
    /// Visits the blocks that hold `from..=to`, as they are stored.
    pub(crate) fn stored(
        &self,
        from: u64,
        to: u64,
        visit: VisitBlock<'_>,
    ) -> Result<(), ReadError> {
        let durable = self.durable();
        let (from, to) = (from.max(1), to.min(durable));
        let segments = self.segments();
        let Some(start) = Self::holding(&segments, from) else {
            return if from > to { Ok(()) } else { Err(missing(from)) };
        };
        for (index, segment) in segments.iter().enumerate().skip(start) {
            let last = Self::last_of(&segments, index, durable).min(to);
            let from = from.max(segment.first);
            if from > last {
                break;
            }
            let mut take = |block: &Block<'_>| Ok(visit(StoredBlock::of(block)));
            if self.blocks(segment, from, last, READ_BYTES, &mut take)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
