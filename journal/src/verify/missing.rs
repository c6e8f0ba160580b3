//! Segments whose files are gone, as far as the store has them.
//!
//! ```text
//! listed   0001.seg                    0029.seg  0043.seg              the store's newest: 60
//! asked              28: of 0001?                42: of 0029?          60: of 0043?
//!                     └ no: 0015.seg is gone      └ yes                 └ no: 0057.seg is gone
//! ```
//!
//! The store keeps a segment's blocks as they lay in it, so the file can be made again byte by byte.

use super::segments::Check;
use super::stores::Stores;
use super::{Finding, FindingKind};
use crate::block::{Stored, segment_id};
use crate::disk;
use crate::error::OpenError;
use crate::layout;
use crate::segment::Headers;

/// A segment as the store has it.
struct Lost {
    month: String,
    first: u64,
    bytes: Vec<u8>,
}

impl Check<'_> {
    /// Names the segments that are gone and that the store has whole, and makes their files again to
    /// repair. True: there are more files now.
    pub(super) fn missing(&mut self, listed: &[(String, u64)]) -> Result<bool, OpenError> {
        let Some(mut stores) = self.stores.take() else { return Ok(false) };
        let found = self.missing_in(&mut stores, listed);
        self.stores = Some(stores);
        found
    }

    fn missing_in(
        &mut self,
        stores: &mut Stores,
        listed: &[(String, u64)],
    ) -> Result<bool, OpenError> {
        let mut months = layout::list(self.disk, &self.layout.store())?;
        months.retain(|name| layout::is_month(name));
        let mut made = false;
        // From the newest back: `until` is the first position behind what may be gone.
        let mut until = stores.newest(&months).map_or(0, |mark| mark + 1);
        for count in (0..=listed.len()).rev() {
            let before = count.checked_sub(1).and_then(|index| listed.get(index));
            let (known, first) = match before {
                Some((month, first)) => (self.id_of(month, *first), *first),
                // What was dropped is not gone.
                None => (None, self.report.dropped),
            };
            while let Some(lost) = stores.lost_before(&months, until, first, known) {
                until = lost.first;
                made |= self.lost(&lost)?;
            }
            until = first;
        }
        Ok(made)
    }

    fn id_of(&self, month: &str, first: u64) -> Option<u64> {
        let file = self.disk.open(&self.layout.segment(month, first), false).ok()?;
        let header = Headers::new(file, 0, u64::MAX, 4096).header().ok()?.ok()?;
        header.map(|(header, _)| header.segment)
    }

    /// Reports a lost segment; true if its file was made again.
    fn lost(&mut self, lost: &Lost) -> Result<bool, OpenError> {
        let path = self.layout.segment(&lost.month, lost.first);
        if self.repair {
            let directory = self.layout.month(&lost.month);
            self.disk
                .create_dir(&directory)
                .and_then(|()| self.disk.sync_dir(&self.layout.segments()))
                .and_then(|()| disk::write_durably(self.disk, &path, &lost.bytes))
                .map_err(|error| OpenError::io("make again", path.clone(), error))?;
        }
        self.gone.push(lost.first);
        self.report.findings.push(Finding {
            kind: FindingKind::Segment,
            file: path,
            offset: None,
            position: lost.first,
            text: "the file is gone; the store has the segment whole".into(),
            repaired: self.repair,
        });
        Ok(self.repair)
    }

    /// Where the segment behind this one begins or began, if the next file begins at `next`.
    pub(super) fn follower(&self, first: u64, next: Option<u64>) -> Option<u64> {
        self.gone.iter().copied().chain(next).filter(|begins| *begins > first).min()
    }
}

impl Stores {
    /// The segment that ends right before `until` and begins behind `first`, unless it is `known`.
    fn lost_before(
        &mut self,
        months: &[String],
        until: u64,
        first: u64,
        known: Option<u64>,
    ) -> Option<Lost> {
        let journal = self.journal;
        let end = until.checked_sub(1).filter(|end| *end > first)?;
        let held = |stores: &mut Self, month: &String| {
            let bytes = stores.block_ending(month, end)?;
            let id = Stored::parse(&bytes, &journal).ok()?.header.segment;
            (Some(id) != known).then(|| (month.clone(), id))
        };
        let (month, id) = months.iter().rev().find_map(|month| held(self, month))?;
        let mut blocks = Vec::new();
        let mut at = end;
        let begins = loop {
            let bytes = self.block_ending(&month, at)?;
            let header = Stored::parse(&bytes, &journal).ok()?.header;
            if header.segment != id {
                return None;
            }
            blocks.push(bytes);
            // A segment's id says where it begins.
            if header.segment == segment_id(&journal, header.epoch, header.first, &header.previous)
            {
                break header.first;
            }
            at = header.first.checked_sub(1)?;
        };
        blocks.reverse();
        (begins > first).then(|| Lost { month, first: begins, bytes: blocks.concat() })
    }
}
