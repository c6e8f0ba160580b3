//! The segments' half of a verification: block by block, over bad places and on.
//!
//! | at a bad place | then |
//! |---|---|
//! | the store has the block that continues the chain | it is checked instead, and patched in |
//! | a whole block lies further on | what is between is lost; the walk goes on there |
//! | nothing whole follows | the rest is lost, or a torn tail if it is the newest group |

use std::path::{Path, PathBuf};

use super::ahead::{Ahead, Same};
use super::records::Records;
use super::stores::Stores;
use super::{File, Finding, FindingKind, Meaning, Report};
use crate::block::{Bad, Block, Hash, Header, MAGIC, Opener, Stored};
use crate::disk::{self, Disk};
use crate::error::OpenError;
use crate::layout::Layout;
use crate::postings::Postings;
use crate::unlock::sealed;

/// A verification under way.
pub(super) struct Check<'c> {
    pub(super) layout: &'c Layout,
    pub(super) disk: &'c dyn Disk,
    pub(super) opener: Opener,
    pub(super) repair: bool,
    pub(super) stores: Option<Stores>,
    pub(super) records: Records,
    /// First positions of segments that are gone and that the store has whole.
    pub(super) gone: Vec<u64>,
    /// Hash of the block before; `None` at the start and behind a gap.
    pub(super) last_hash: Option<Hash>,
    pub(super) meaning: Meaning<'c>,
    pub(super) report: Report,
}

/// The walk through one file.
struct Place {
    path: PathBuf,
    month: String,
    at: usize,
    next: u64,
    chain: Option<Chain>,
    /// What the store has as the file has it.
    same: Same,
    patches: Vec<(usize, Vec<u8>)>,
    /// Findings that are healed when the file is.
    healed: Vec<usize>,
    /// Unless the store's index is known to be right.
    postings: Option<Postings>,
    /// First position and first finding of the group that is not complete yet.
    group: Option<u64>,
    /// Records of whole groups end here.
    whole: u64,
}

#[derive(Clone, Copy)]
struct Chain {
    hash: Hash,
    epoch: u32,
    segment: u64,
}

impl Check<'_> {
    pub(super) fn find(
        &mut self,
        kind: FindingKind,
        place: (&Path, Option<u64>, u64),
        text: String,
    ) -> usize {
        let (file, offset, position) = place;
        let file = file.to_path_buf();
        let finding = Finding { kind, file, offset, position, text, repaired: false };
        self.report.findings.push(finding);
        self.report.findings.len() - 1
    }

    fn mark_repaired(&mut self, index: usize) {
        if let Some(finding) = self.report.findings.get_mut(index) {
            finding.repaired = true;
        }
    }

    /// Checks one segment; returns its bytes. `follower` is the first position of the next one.
    pub(super) fn segment(
        &mut self,
        file: &File,
        ahead: Ahead,
        follower: Option<u64>,
    ) -> Result<u64, OpenError> {
        let File { path, month, first } = file;
        let (path, first, same) = (path.clone(), *first, ahead.same);
        let bytes = ahead.bytes.map_err(|error| OpenError::io("read", path.clone(), error))?;
        let mut place = Place {
            path,
            month: month.clone(),
            same,
            at: 0,
            next: first,
            chain: None,
            patches: Vec::new(),
            healed: Vec::new(),
            postings: (self.stores.is_some() && !same.index).then(|| Postings::new(first)),
            group: None,
            whole: first - 1,
        };
        let follower = self.follower(first, follower);
        let expected = self.report.head.position + 1;
        if first != expected {
            self.gap(&place.path.clone(), expected, first);
        }
        self.walk(&mut place, &bytes, follower)?;
        self.report.head.position = follower.map_or(place.whole, |next| next - 1);
        let size = bytes.len() as u64;
        self.heal_file(&mut place, bytes)?;
        if let Some(last) = follower.map(|next| next - 1) {
            self.index(&place, first, last);
        }
        Ok(size)
    }

    fn gap(&mut self, path: &Path, expected: u64, first: u64) {
        if first > expected {
            self.records.lost_upto(first - 1);
            // What the store has is not lost.
            let upto = self.follower(expected - 1, Some(first)).unwrap_or(first) - 1;
            if upto >= expected {
                let text = format!("a segment is missing: positions {expected} to {upto} are lost");
                self.find(FindingKind::Segment, (path, None, expected), text);
            }
        } else {
            let text = format!("begins at {first} where {expected} should follow");
            self.find(FindingKind::Segment, (path, None, expected), text);
        }
        self.last_hash = None;
    }

    fn walk(
        &mut self,
        place: &mut Place,
        bytes: &[u8],
        follower: Option<u64>,
    ) -> Result<(), OpenError> {
        loop {
            if follower.is_some_and(|follower| place.next >= follower) {
                return Ok(());
            }
            let here = bytes.get(place.at..).unwrap_or_default();
            let found = Block::parse(here, &self.opener);
            let fits = found.and_then(|block| self.fits(place, &block).map(|()| block));
            match fits {
                Ok(block) => self.block(place, &block, false),
                Err(bad) if bad.is_locked() => {
                    return Err(sealed(&place.path, bad, &self.opener.keyring));
                },
                Err(bad) => {
                    if !self.over(place, bytes, bad, follower)? {
                        return Ok(());
                    }
                },
            }
        }
    }

    /// Whether a block is the one that must come here.
    fn fits(&self, place: &Place, block: &Block<'_>) -> Result<(), Bad> {
        if block.header.first != place.next {
            return Err(Bad::Position);
        }
        let chain = place.chain;
        let hash = chain.map(|chain| chain.hash).or(self.last_hash);
        let chained = hash.is_none_or(|hash| hash == block.header.previous)
            && chain.is_none_or(|chain| {
                chain.segment == block.header.segment && chain.epoch <= block.header.epoch
            });
        if chained { Ok(()) } else { Err(Bad::Chain) }
    }

    /// A good block: its records, its group, its copy.
    fn block(&mut self, place: &mut Place, block: &Block<'_>, from_store: bool) {
        let header = block.header;
        self.report.blocks += 1;
        let at = Some(place.at as u64);
        let group = place.group.unwrap_or(header.first);
        if header.group != group {
            let text = format!("says group {}, lies in group {group}", header.group);
            self.find(FindingKind::Group, (&place.path, at, header.first), text);
        }
        place.group = (!header.last_of_group).then_some(group);
        for record in block.records() {
            let Ok(record) = record else {
                let text = Bad::Records.to_string();
                self.find(FindingKind::Record, (&place.path, at, header.first), text);
                break;
            };
            self.report.records += 1;
            if let Some(postings) = &mut place.postings {
                postings.add(&record);
            }
            let mut wrong = Vec::new();
            self.records.check(&record, |kind, text| wrong.push((kind, text)));
            if let Err(text) = (self.meaning)(record) {
                wrong.push((FindingKind::Meaning, text));
            }
            for (kind, text) in wrong {
                self.find(kind, (&place.path, at, record.position), text);
            }
        }
        if !from_store {
            self.compare(place, block);
        }
        place.next = header.last() + 1;
        place.at += block.bytes.len();
        place.chain =
            Some(Chain { hash: block.hash, epoch: header.epoch, segment: header.segment });
        self.last_hash = Some(block.hash);
        if header.last_of_group {
            place.whole = header.last();
            self.report.head.epoch = header.epoch;
        }
    }

    /// Holds the store's copy against a good block.
    fn compare(&mut self, place: &Place, block: &Block<'_>) {
        let Some(stores) = &mut self.stores else { return };
        if place.at + block.bytes.len() <= place.same.bytes {
            return;
        }
        let first = block.header.first;
        let Some(text) = stores.differs(&place.month, first, block.bytes) else { return };
        let path = stores.path(&place.month);
        let healed = self.repair && stores.put(&place.month, first, block.bytes);
        let index = self.find(FindingKind::StoreBlock, (&path, None, first), text.into());
        if healed {
            self.mark_repaired(index);
        }
    }

    /// Gets over a bad place; `false` if the file ends here.
    fn over(
        &mut self,
        place: &mut Place,
        bytes: &[u8],
        bad: Bad,
        follower: Option<u64>,
    ) -> Result<bool, OpenError> {
        let kind = if bad == Bad::Chain { FindingKind::Chain } else { FindingKind::Segment };
        let at = (place.path.clone(), Some(place.at as u64), place.next);
        let copy = self.stores.as_mut().and_then(|s| s.block_at(&place.month, place.next));
        let opened = copy.as_deref().map(|copy| Block::parse(copy, &self.opener));
        if let Some(Err(locked)) = &opened
            && locked.is_locked()
        {
            return Err(sealed(&place.path, *locked, &self.opener.keyring));
        }
        if let Some(Ok(block)) = opened
            && self.fits(place, &block).is_ok()
        {
            let text = format!("{bad}; the store has it whole");
            let index = self.find(kind, (&at.0, at.1, at.2), text);
            place.healed.push(index);
            place.patches.push((place.at, block.bytes.to_vec()));
            self.block(place, &block, true);
            return Ok(true);
        }
        let behind = bytes.get(place.at..).unwrap_or_default();
        let group = place.group.unwrap_or(place.next);
        if let Some((offset, header)) = self.resync(behind, place.next, group, follower.is_some()) {
            let text = format!("{bad}: positions {} to {} are lost", place.next, header.first - 1);
            self.find(kind, (&at.0, at.1, at.2), text);
            self.records.lost_upto(header.first - 1);
            (place.at, place.next) = (place.at + offset, header.first);
            place.chain = None;
            place.group = (header.group != header.first).then_some(header.group);
            self.last_hash = None;
            // An index over a gap would not be this segment's.
            return Ok(true);
        }
        if let Some(follower) = follower {
            let text = format!("{bad}: positions {} to {} are lost", place.next, follower - 1);
            self.find(kind, (&at.0, at.1, at.2), text);
            self.records.lost_upto(follower - 1);
            self.last_hash = None;
        } else if behind.iter().any(|byte| *byte != 0) || place.group.is_some() {
            let text = "an unacknowledged group was cut short".into();
            self.find(FindingKind::TornTail, (&at.0, at.1, at.2), text);
        }
        Ok(false)
    }

    /// The next whole block behind a bad place: of a later group, or of any if the segment is
    /// sealed.
    fn resync(
        &self,
        behind: &[u8],
        next: u64,
        group: u64,
        sealed: bool,
    ) -> Option<(usize, Header)> {
        let mut from = 1;
        loop {
            let rest = behind.get(from..)?;
            let start = from + rest.windows(MAGIC.len()).position(|window| window == MAGIC)?;
            let found = Stored::parse(behind.get(start..)?, &self.opener.journal);
            if let Ok(block) = found
                && block.header.first >= next
                && (sealed || block.header.group > group)
            {
                return Some((start, block.header));
            }
            from = start + 1;
        }
    }

    /// Writes a healed segment over the bad one.
    fn heal_file(&mut self, place: &mut Place, mut bytes: Vec<u8>) -> Result<(), OpenError> {
        if !self.repair || place.patches.is_empty() {
            return Ok(());
        }
        for (offset, patch) in &place.patches {
            let end = offset + patch.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(room) = bytes.get_mut(*offset..end) {
                room.copy_from_slice(patch);
            }
        }
        disk::write_durably(self.disk, &place.path, &bytes)
            .map_err(|error| OpenError::io("repair", place.path.clone(), error))?;
        for index in std::mem::take(&mut place.healed) {
            self.mark_repaired(index);
        }
        Ok(())
    }

    /// Holds the store's index against the records of a sealed segment.
    fn index(&mut self, place: &Place, first: u64, last: u64) {
        let Some(stores) = &mut self.stores else { return };
        let Some(postings) = place.postings.as_ref().filter(|held| held.upto() == last) else {
            return;
        };
        let sorted = postings.sorted();
        let Some(text) = stores.run_differs(&place.month, first, last, &sorted) else { return };
        let path = stores.path(&place.month);
        let healed = self.repair && stores.put_run(&place.month, first, &sorted);
        let index = self.find(FindingKind::StoreIndex, (&path, None, first), text);
        if healed {
            self.mark_repaired(index);
        }
    }

    /// Closes the databases and gives the report.
    pub(super) fn end(mut self) -> Report {
        if let Some(mut stores) = self.stores.take() {
            stores.flush();
            for (name, reason) in std::mem::take(&mut stores.broken) {
                let path = stores.path(&name);
                let aside = if self.repair { stores.set_aside(&name) } else { String::new() };
                let text = format!("does not open: {reason}{aside}");
                let index = self.find(FindingKind::Store, (&path, None, 0), text);
                if self.repair {
                    self.mark_repaired(index);
                }
            }
        }
        self.report
    }
}
