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
        let segments = base.segments(disk);
        self.report.archive_checked = segments.first().is_some_and(|it| it.file().is_ok());
        if self.report.archive_checked {
            let file = |segment: Arc<crate::segment::Segment>| {
                let (path, month) = (segment.path.clone(), segment.month.clone());
                File { path, month, first: segment.first }
            };
            return segments.into_iter().map(file).collect();
        }
        self.begin_at(base);
        Vec::new()
    }

    /// Goes on behind what was dropped, whatever was read of it.
    fn begin_at(&mut self, base: &Base) {
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
    }

    /// Names a file of the archive that cannot be opened; what follows is checked all the same.
    pub(super) fn is_away(&mut self, file: &File, base: Option<&Base>) -> bool {
        let Some(base) = base.filter(|base| file.first <= base.head().position) else {
            return false;
        };
        let Err(error) = self.disk.open(&file.path, false) else { return false };
        self.report.archive_checked = false;
        let text = format!("the archive does not have it: {error}");
        self.find(FindingKind::Base, (&file.path, None, file.first), text);
        if let Some(first) = base.first_behind(file.first) {
            self.records.lost_upto(first - 1);
            self.report.head.position = first - 1;
            self.last_hash = None;
        }
        true
    }

    /// Where the archive ends: what it holds is the base, or was not read whole.
    pub(super) fn pass_base(&mut self, base: &Base) {
        if self.report.archive_checked { self.compare_base(base) } else { self.begin_at(base) }
    }

    /// Holds the base against all the records before it.
    fn compare_base(&mut self, base: &Base) {
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
