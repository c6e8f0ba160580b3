//! Which epoch a position is of.

use std::ops::ControlFlow;

use super::{FETCH_BYTES, View, missing};
use crate::error::ReadError;

impl View {
    /// The epoch of the block that holds a position; at 0 that of the first.
    pub(crate) fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        let head = self.head();
        // Epochs begin at 1 and never fall.
        if head.position == 0 || head.epoch == 1 {
            return Ok(head.epoch);
        }
        let (position, segments) = (position.max(1), self.segments());
        let segment = Self::holding(&segments, position).and_then(|index| segments.get(index));
        let segment = segment.ok_or_else(|| missing(position))?;
        let mut epoch = None;
        let _ = self.blocks(segment, position, position, FETCH_BYTES, &mut |block| {
            epoch = Some(block.header.epoch);
            Ok(ControlFlow::Break(()))
        })?;
        epoch.ok_or_else(|| missing(position))
    }
}
