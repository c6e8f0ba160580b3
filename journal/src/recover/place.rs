//! What is opened: its segments, and what was dropped before them.

use std::sync::Arc;

use super::Whole;
use crate::archive::Base;
use crate::block::Opener;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::layout::Layout;
use crate::segment::Segment;

/// What is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) disk: &'p Arc<dyn Disk>,
    pub(crate) layout: &'p Layout,
    pub(crate) opener: &'p Opener,
    /// What was dropped before its first segment.
    pub(crate) base: Option<&'p Base>,
}

impl Place<'_> {
    /// The segments behind what was dropped: month and first position. The first one must continue it.
    pub(crate) fn segments(&self) -> Result<Vec<(String, u64)>, OpenError> {
        let mut listed = crate::layout::list_segments(&**self.disk, self.layout)?;
        let Some(base) = self.base else { return Ok(listed) };
        let next = base.head().position + 1;
        listed.retain(|(_, first)| *first >= next);
        if let Some((month, first)) = listed.first() {
            let path = self.layout.segment(month, *first);
            let segment = Segment::new(*first, month.clone(), path, Arc::clone(self.disk));
            let chained = segment.previous().is_none_or(|hash| hash == *base.block());
            if *first != next || !chained {
                let path = segment.path.display();
                let reason = format!("{path} does not go on where BASE ends, at {next}");
                return Err(OpenError::Base { reason });
            }
        }
        Ok(listed)
    }

    /// What comes before them.
    pub(super) fn nothing(&self) -> Whole {
        self.base.map_or_else(
            || Whole::before(1),
            |base| Whole {
                hash: *base.block(),
                epoch: base.head().epoch,
                last_at_us: base.at_us(),
                ..Whole::before(base.head().position + 1)
            },
        )
    }

    /// The dropped ones, as they lie in the archive.
    pub(super) fn archived(&self) -> Vec<Arc<Segment>> {
        self.base.map(|base| base.segments(self.disk)).unwrap_or_default()
    }
}

/// A journal whose first events are gone, and nothing says that they were dropped.
pub(crate) fn headless(first: u64) -> OpenError {
    let reason = format!("the first segment begins at {first}, and there is no BASE");
    OpenError::Base { reason }
}
