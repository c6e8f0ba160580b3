//! What must hold from record to record.

use super::FindingKind;
use crate::heads::{ByStream, Heads};
use crate::layout::Identity;
use crate::record::{Head, RecordRef};

/// All streams' heads and the newest time.
#[derive(Debug)]
pub(super) struct Records {
    heads: ByStream<Head>,
    keys: Heads,
    last_at_us: u64,
    /// Positions are known to be missing: a stream may jump once.
    gap_from: u64,
}

impl Records {
    pub(super) fn new(identity: &Identity) -> Self {
        let seed = xxhash_rust::xxh3::xxh3_64(&identity.journal);
        let keys = Heads::new(1, seed, 1);
        Self { heads: ByStream::default(), keys, last_at_us: 0, gap_from: 0 }
    }

    /// A stream's head where the records begin.
    pub(super) fn begin(&mut self, stream: &str, head: Head) {
        self.heads.insert(self.keys.key(stream), head);
    }

    /// The newest record of a stream, of those that were checked.
    pub(super) fn head(&self, stream: &str) -> Head {
        self.heads.get(&self.keys.key(stream)).copied().unwrap_or_default()
    }

    /// How many streams have a record.
    pub(super) fn streams(&self) -> usize {
        self.heads.len()
    }

    /// Records up to `position` are lost, so predecessors up to there cannot be checked.
    pub(super) fn lost_upto(&mut self, position: u64) {
        self.gap_from = position;
    }

    /// Checks one record against those before it.
    pub(super) fn check(
        &mut self,
        record: &RecordRef<'_>,
        mut wrong: impl FnMut(FindingKind, String),
    ) {
        let key = self.keys.key(record.stream);
        let head = self.heads.get(&key).copied().unwrap_or_default();
        let explained = self.gap_from > head.position && record.version > head.version;
        if record.version != head.version + 1 && !explained {
            let text = format!("version {} follows {}", record.version, head.version);
            wrong(FindingKind::Version, text);
        }
        let lost = explained && record.previous > head.position && record.previous <= self.gap_from;
        if record.previous != head.position && !lost {
            let text =
                format!("names {} as its predecessor, not {}", record.previous, head.position);
            wrong(FindingKind::Previous, text);
        }
        if record.at_us < self.last_at_us {
            wrong(
                FindingKind::Time,
                format!("time falls by {} µs", self.last_at_us - record.at_us),
            );
        }
        self.last_at_us = self.last_at_us.max(record.at_us);
        self.heads.insert(key, Head { version: record.version, position: record.position });
    }
}
