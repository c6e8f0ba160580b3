//! Committing a packed group: file, write, sync, publish, and what follows a failure.

use std::io;
use std::sync::Arc;

use super::{Open, Writer};
use crate::block::Block;
use crate::disk::{self, DiskFile};
use crate::layout::{end_of_month, month_of};
use crate::log::{Outcome, Refusal};
use crate::pack::Chain;
use crate::planted;
use crate::postings::Postings;
use crate::record::Cursor;
use crate::segment::Segment;
use crate::stats::timed;
use crate::view::lock;

/// Why a group was not committed.
enum Failure {
    NoRoom,
    Poison(String),
}

impl Writer {
    pub(super) fn commit(&mut self, before: Chain, position: u64, outcomes: Vec<Outcome>) {
        match self.write(before.segment != self.packer.chain.segment || self.open.is_none()) {
            Ok(()) => {
                let head = Cursor { epoch: before.epoch, position: position - 1 };
                if let Some(brake) = &self.brake {
                    brake.written(self.next, head.position, &self.packer.buffer);
                }
                self.next = position;
                *lock(&self.shared.refusing) = None;
                self.view.publish(head);
                self.sink.group(before.epoch, outcomes);
                self.index();
                if let Some(brake) = &self.brake {
                    brake.hold(head.position);
                }
            },
            Err(failure) => self.fail(before, failure, outcomes),
        }
    }

    /// One write, one sync; then the blocks are visible to readers that ask beyond the head.
    fn write(&mut self, roll: bool) -> Result<(), Failure> {
        if let Some(reason) = self.packer.unsealed.take() {
            return Err(Failure::Poison(format!("seal a block: {reason}")));
        }
        let fresh = if roll { Some(self.new_segment()?) } else { None };
        let open = fresh.as_ref().or(self.open.as_ref());
        let Some(open) = open else { return Err(Failure::Poison("no segment is open".into())) };
        let (file, base) = (Arc::clone(&open.file), open.end);
        if let Err(error) = file.write_at(&self.packer.buffer, base) {
            if !disk::no_room(&error) {
                return Err(Failure::Poison(format!("write segment: {error}")));
            }
            // What landed must not lie there when the next group is shorter.
            let rewound = match &fresh {
                Some(fresh) => self.discard(fresh),
                None => file.set_len(base),
            };
            return Err(match rewound {
                Ok(()) => Failure::NoRoom,
                Err(error) => Failure::Poison(format!("rewind segment: {error}")),
            });
        }
        let sync = || if planted::sync_is_skipped() { Ok(()) } else { file.sync() };
        let (synced, took) = timed(sync);
        self.shared.syncs.add(took);
        synced.map_err(|error| Failure::Poison(format!("sync segment: {error}")))?;
        if let Some(fresh) = fresh {
            self.roll(fresh);
        }
        if let Some(open) = &mut self.open {
            open.end = base + self.packer.buffer.len() as u64;
            open.segment.grow(&self.packer.marks, base, open.end);
        }
        Ok(())
    }

    /// Makes the file of the next segment, its name durable.
    fn new_segment(&mut self) -> Result<Open, Failure> {
        let first = self.next;
        let at_us = self.packer.marks.first().map_or(0, |mark| mark.at_us);
        let month = month_of(at_us);
        let directory = self.layout.month(&month);
        let path = self.layout.segment(&month, first);
        let make = || -> io::Result<Arc<dyn DiskFile>> {
            self.disk.create_dir(&directory)?;
            self.disk.sync_dir(&self.layout.segments())?;
            let file = if let Some(spare) = self.spares.take() {
                self.disk.rename(&spare.path, &path)?;
                spare.file
            } else {
                self.disk.create(&path)?
            };
            self.disk.sync_dir(&directory)?;
            Ok(file)
        };
        let file = make().map_err(|error| {
            if disk::no_room(&error) && self.disk.remove(&path).map_or_else(gone, |()| true) {
                Failure::NoRoom
            } else {
                Failure::Poison(format!("begin segment: {error}"))
            }
        })?;
        let segment = Segment::new(first, month, path, Arc::clone(&self.disk));
        *lock(&segment.postings) = Some(Postings::new(first));
        let segment = Arc::new(segment.growing(Arc::clone(&file), &[], 0));
        Ok(Open { segment, file, end: 0, month_end_us: end_of_month(at_us) })
    }

    /// Takes back a segment that got no group.
    fn discard(&self, fresh: &Open) -> io::Result<()> {
        self.disk.remove(&fresh.segment.path)?;
        self.disk.sync_dir(&self.layout.month(&fresh.segment.month))
    }

    fn roll(&mut self, fresh: Open) {
        if let Some(sealed) = self.open.take() {
            let _ = sealed.file.set_len(sealed.end);
            if self.brake.as_ref().is_none_or(|brake| !brake.takes_indexes()) {
                self.view.keep_index(&sealed.segment);
            }
        }
        self.view.add_segment(Arc::clone(&fresh.segment));
        self.open = Some(fresh);
    }

    /// Adds the group to the open segment's index, block by block as written.
    fn index(&mut self) {
        let Some(open) = &self.open else { return };
        let mut slot = lock(&open.segment.postings);
        let Some(postings) = &mut *slot else { return };
        let mut rest = self.packer.buffer.as_slice();
        while let Some(block) = Block::trusted(rest, &self.view.opener.keyring) {
            for record in block.records().flatten() {
                postings.add(&record);
            }
            rest = rest.get(block.bytes.len()..).unwrap_or_default();
        }
    }

    fn fail(&mut self, before: Chain, failure: Failure, outcomes: Vec<Outcome>) {
        self.packer.chain = before;
        self.last_at_us = self.at_us_before;
        while let Some((key, activation, before)) = self.touched.pop() {
            self.heads.put(key, before, self.next);
            self.superseded.add(key, activation);
        }
        let (refusal, instead) = match failure {
            Failure::NoRoom => (Refusal::NoRoom, Outcome::Refused(Refusal::NoRoom)),
            Failure::Poison(reason) => {
                tracing::error!(%reason, "journal closed to writes");
                self.poisoned = Some(reason.clone());
                (Refusal::Poisoned(reason.clone()), Outcome::Unknown(reason))
            },
        };
        *lock(&self.shared.refusing) = Some(refusal);
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Committed { .. } => instead.clone(),
            other => other,
        });
        self.sink.group(before.epoch, outcomes.collect());
    }
}

#[expect(clippy::needless_pass_by_value, reason = "stands in for a closure")]
fn gone(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
