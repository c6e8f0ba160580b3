//! What the journal keeps of dropped months: held against their records where the archive is there,
//! else the beginning of everything that follows.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::segments::Check;
use super::{File, FindingKind};
use crate::archive::Base;
use crate::disk::Disk;
use crate::record::Head;

impl Check<'_> {
    /// The archive's files, if it can be read; else the check begins at the base.
    pub(super) fn begin(&mut self, base: &Base, disk: &Arc<dyn Disk>) -> Vec<File> {
        self.report.dropped = base.head().position;
        let segments = base.segments(disk);
        self.report.archive_checked = segments.first().is_some_and(|it| it.file().is_ok());
        if self.report.archive_checked {
            let file = |segment: Arc<crate::segment::Segment>| {
                let (path, month) = (segment.path.clone(), segment.month.clone());
                File { path, month, first: segment.first }
            };
            return segments.into_iter().map(file).collect();
        }
        self.report.head = base.head();
        self.last_hash = Some(*base.block());
        let read = base.states("", &mut |state| {
            self.records.begin(state.stream.as_str(), state.head);
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            let place = (self.layout.states(base.head().position), base.head().position);
            self.find(FindingKind::Base, (&place.0, None, place.1), error.to_string());
            self.records.lost_upto(base.head().position);
        }
        Vec::new()
    }

    /// Holds the base against all the records before it.
    pub(super) fn compare_base(&mut self, base: &Base) {
        let (path, position) = (self.layout.base(), base.head().position);
        if self.last_hash.is_some_and(|hash| hash != *base.block()) {
            let text = "it names another last block than the archive has".into();
            self.find(FindingKind::Base, (&path, None, position), text);
        }
        let mut wrong = Vec::new();
        let mut streams = 0;
        let read = base.states("", &mut |state| {
            // What is at version 0 is of no stream.
            if state.head.version == 0 {
                return ControlFlow::Continue(());
            }
            streams += 1;
            let Head { version, position } = self.records.head(state.stream.as_str());
            if (Head { version, position }) != state.head {
                wrong.push((position, format!("{} is at version {version}", state.stream)));
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            wrong.push((position, error.to_string()));
        } else if streams != self.records.streams() {
            let there = self.records.streams();
            wrong.push((position, format!("it has {streams} streams, the archive {there}")));
        }
        let path = self.layout.states(position);
        for (position, text) in wrong {
            self.find(FindingKind::Base, (Path::new(&path), None, position), text);
        }
    }
}
