//! [`Reader`]: reads a journal beside its running server, from the segments alone.
//!
//! ```text
//! server ─► segments ◄─ refresh ─ Reader      no lock, no store, nothing written
//! ```
//!
//! It sees whole groups. The newest one may not be synced yet: what a reader shows last may be
//! gone after a power cut, unlike what a log shows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::archive::Base;
use crate::block::Opener;
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::error::{OpenError, ReadError};
use crate::keyring::Keyring;
use crate::layout::{self, Identity, Layout};
use crate::log::{LogStatus, Query, ReadLog, Visit};
use crate::merkle::{Forest, TreeHash};
use crate::record::{Cursor, Head, StreamId};
use crate::recover::{Stop, Whole, examine, headless, later_group, rest};
use crate::segment::{Mark, Segment};
use crate::stored::VisitBlock;
use crate::unlock::{check_keys, sealed};
use crate::view::{View, lock};

const POLL: Duration = Duration::from_millis(20);
/// How often a bad block with later ones behind it is looked at again before it counts.
const DOUBTS: u32 = 3;

/// How a journal is opened to be read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The keys of its blocks. Default: none.
    pub keyring: Keyring,
    /// Where the archive of dropped months lies. Default: where it lay when they were dropped.
    pub archive: Option<PathBuf>,
    /// Where files lie. Default: [`RealDisk`].
    pub disk: Arc<dyn Disk>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { keyring: Keyring::default(), archive: None, disk: Arc::new(RealDisk) }
    }
}

/// A journal opened to be read.
#[derive(Debug)]
pub struct Reader {
    layout: Layout,
    disk: Arc<dyn Disk>,
    identity: Identity,
    archive: Option<PathBuf>,
    view: View,
    forest: Forest,
    tail: Mutex<Tail>,
}

/// The newest segment, as far as it was read.
#[derive(Debug, Default)]
struct Tail {
    first: u64,
    whole: Whole,
}

impl Reader {
    /// Opens the journal in a directory.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(directory, Reading::default())
    }

    /// Opens the journal in a directory, whose blocks may be sealed, whose months may be archived.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with(directory: impl AsRef<Path>, reading: Reading) -> Result<Self, OpenError> {
        let Reading { keyring, archive, disk } = reading;
        let layout = Layout { root: directory.as_ref().to_path_buf() };
        let identity = Identity::read(&*disk, &layout)?.ok_or_else(|| OpenError::NotAJournal {
            path: layout.root.clone(),
            reason: "it has no JOURNAL".into(),
        })?;
        let head = Cursor { epoch: identity.epoch, position: 0 };
        let opener = Opener { journal: identity.journal, keyring };
        check_keys(&*disk, &layout, &opener)?;
        let view = View::new(opener, Vec::new(), head);
        let forest = Forest::new(Arc::clone(&disk), layout.clone(), false);
        let tail = Mutex::default();
        let reader = Self { layout, disk, identity, archive, view, forest, tail };
        reader.refresh()?;
        Ok(reader)
    }

    /// Who this journal is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Looks for what was written since; returns the head.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] if acknowledged records are unreadable.
    pub fn refresh(&self) -> Result<Cursor, OpenError> {
        let mut tail = lock(&self.tail);
        let mut listed = layout::list_segments(&*self.disk, &self.layout)?;
        self.find_base(&listed)?;
        let base = self.view.base();
        let dropped = base.as_ref().map_or(0, |base| base.head().position);
        listed.retain(|(_, first)| *first > dropped);
        if let Some(base) = base.filter(|_| listed.is_empty()) {
            self.view.set_segments(base.segments(&self.disk));
            self.view.publish(base.head());
        }
        while let Some((month, first)) = listed.pop() {
            let path = self.layout.segment(&month, first);
            let file = match self.disk.open(&path, false) {
                Ok(file) => file,
                Err(error) => return Err(OpenError::Io { doing: "read", path, source: error }),
            };
            if tail.first != first {
                *tail = Tail { first, whole: Whole::before(first) };
            }
            let before = std::mem::take(&mut tail.whole);
            tail.whole = Self::read_on(&file, &path, &self.view.opener, before)?;
            if tail.whole.end == 0 {
                continue;
            }
            let marks = std::mem::take(&mut tail.whole.marks);
            self.show(&listed, &month, &tail, file, &marks);
            break;
        }
        Ok(self.view.head())
    }

    /// Makes what was read so far durable: a server may have written its last groups, and not synced
    /// them yet.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        let Some(segment) = self.view.segments().last().cloned() else { return Ok(()) };
        self.disk.open(&segment.path, false)?.sync()
    }

    /// Learns what was dropped before the first segment: there is nothing to learn while the position
    /// behind what is known still begins one.
    fn find_base(&self, listed: &[(String, u64)]) -> Result<(), OpenError> {
        let known = self.view.base().map_or(0, |base| base.head().position);
        if known > 0 && listed.iter().any(|(_, first)| *first == known + 1) {
            return Ok(());
        }
        let (disk, layout, keyring) = (&*self.disk, &self.layout, &self.view.opener.keyring);
        let base = Base::read(disk, layout, &self.identity, keyring, self.archive.as_deref())?;
        if let Some((_, first)) = listed.first().filter(|(_, first)| base.is_none() && *first > 1) {
            return Err(headless(*first));
        }
        self.forest.begin(base.as_deref());
        self.view.set_base(base);
        Ok(())
    }

    /// Reads whole groups; a writer may be at work in the same place.
    fn read_on(
        file: &Arc<dyn DiskFile>,
        path: &Path,
        opener: &Opener,
        mut whole: Whole,
    ) -> Result<Whole, OpenError> {
        let io = |source| OpenError::Io { doing: "read", path: path.into(), source };
        let mut doubts = 0;
        loop {
            let before = whole.end;
            let (now, stop) = examine(file, opener, whole, None).map_err(io)?;
            whole = now;
            let Stop { bad: Some(bad), offset, position, .. } = stop else { return Ok(whole) };
            if bad.is_locked() {
                return Err(sealed(path, bad, &opener.keyring));
            }
            let behind = rest(&**file, whole.end).map_err(io)?;
            if !later_group(&behind, &opener.journal, &stop, whole.segment) {
                return Ok(whole);
            }
            doubts = if whole.end == before { doubts + 1 } else { 0 };
            if doubts == DOUBTS {
                let reason = bad.to_string();
                return Err(OpenError::Damaged { path: path.into(), offset, position, reason });
            }
        }
    }

    fn show(
        &self,
        sealed: &[(String, u64)],
        month: &str,
        tail: &Tail,
        file: Arc<dyn DiskFile>,
        marks: &[Mark],
    ) {
        let known = self.view.segments();
        let find = |first: u64| known.iter().find(|segment| segment.first == first);
        let make = |month: &str, first: u64| {
            let path = self.layout.segment(month, first);
            Segment::new(first, month.to_owned(), path, Arc::clone(&self.disk))
        };
        let old = |(month, first): &(String, u64)| match find(*first) {
            // It was the growing one: now all of it may be read.
            Some(segment) if segment.end() == u64::MAX && !segment.is_archived => {
                Arc::clone(segment)
            },
            _ => Arc::new(make(month, *first)),
        };
        let base = self.view.base();
        let gone = base.map(|base| base.segments(&self.disk)).unwrap_or_default();
        let gone = gone.into_iter().map(|it| match find(it.first) {
            Some(known) if known.is_archived => Arc::clone(known),
            _ => it,
        });
        let mut segments: Vec<_> = gone.chain(sealed.iter().map(old)).collect();
        if let Some(open) = find(tail.first).filter(|open| open.end() != u64::MAX) {
            open.replace_file(file);
            open.grow(marks, 0, tail.whole.end);
            segments.push(Arc::clone(open));
        } else {
            let open = make(month, tail.first).growing(file, marks, tail.whole.end);
            segments.push(Arc::new(open));
        }
        self.view.set_segments(segments);
        self.view.publish(Cursor { epoch: tail.whole.epoch, position: tail.whole.last });
    }
}

impl ReadLog for Reader {
    fn head(&self) -> Cursor {
        self.view.head()
    }

    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.scan(from, to, visit)
    }

    fn blocks(&self, from: u64, to: u64, visit: VisitBlock<'_>) -> Result<(), ReadError> {
        self.view.stored(from, to, visit)
    }

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.view.stream_head(stream, upto)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.read_stream(stream, upto, visit)
    }

    fn read_between(
        &self,
        stream: &StreamId,
        after: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        self.view.read_between(stream, after, upto, visit)
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.find_back(query, visit)
    }

    fn base(&self) -> Option<Arc<Base>> {
        self.view.base()
    }

    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        self.view.epoch_at(position)
    }

    fn tree_node(&self, level: u32, index: u64) -> Result<TreeHash, ReadError> {
        self.forest.node(&self.view, level, index)
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        let mut left = limit;
        loop {
            let head = self.refresh().unwrap_or_else(|_| self.view.head());
            if head.position > position || left.is_zero() {
                return head;
            }
            let pause = left.min(POLL);
            std::thread::sleep(pause);
            left -= pause;
        }
    }

    fn status(&self) -> LogStatus {
        LogStatus {
            head: self.view.head(),
            refusing: None,
            queued: 0,
            store: None,
            size_bytes: self.view.size_bytes(),
            segments: self.view.own_segments(),
            sync_p50_us: 0,
            sync_p99_us: 0,
        }
    }
}
