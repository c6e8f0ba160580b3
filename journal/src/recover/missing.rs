//! The file of the newest segment is gone, and the store has its blocks.
//!
//! ```text
//!   …0043.seg ends at 56      store: a block that begins at 57 and continues the chain
//!        └─► …0057.seg is made, empty, and filled from the store like one that was cut
//! ```
//!
//! Without it the journal would go on at a position that was acknowledged before.

use std::path::PathBuf;

use super::Whole;
use crate::block::{Bad, Opener, Stored};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::layout::{self, Layout};
use crate::unlock::sealed;
use crate::view::Second;

/// Makes the file of the segment that followed `whole`, if the store says that there was one; gives its
/// month and first position.
pub(super) fn begin_again(
    disk: &dyn Disk,
    layout: &Layout,
    second: &dyn Second,
    opener: &Opener,
    whole: &Whole,
) -> Result<Option<(String, u64)>, OpenError> {
    let next = whole.last + 1;
    for month in layout::list(disk, &layout.store())? {
        // Only whole names of months have a database.
        if !layout::is_month(&month) {
            continue;
        }
        let bytes = second.block_at(&month, next);
        let block = bytes.as_deref().and_then(|bytes| Stored::parse(bytes, &opener.journal).ok());
        let follows = |block: &Stored<'_>| {
            let header = block.header;
            (header.first, header.previous) == (next, whole.hash) && header.segment != whole.segment
        };
        let Some(block) = block.filter(follows) else { continue };
        let path = layout.segment(&month, next);
        if !opener.keyring.holds(block.header.key) {
            return Err(sealed(&path, Bad::Key(block.header.key), &opener.keyring));
        }
        let make = || {
            disk.create_dir(&layout.month(&month))?;
            disk.sync_dir(&layout.segments())?;
            disk.create(&path)?;
            disk.sync_dir(&layout.month(&month))
        };
        make().map_err(|error| OpenError::io("make again", PathBuf::from(&path), error))?;
        tracing::warn!(segment = %path.display(), "a segment was gone; the store has it");
        return Ok(Some((month, next)));
    }
    Ok(None)
}
