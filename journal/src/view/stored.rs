//! Blocks as they lie: for who copies a journal.

use super::{READ_BYTES, View};
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
        let mut take = |block: &Block<'_>| Ok(visit(StoredBlock::of(block)));
        self.over(from, to, |segment, from, to| {
            self.blocks(segment, from, to, READ_BYTES, &mut take)
        })
    }
}
