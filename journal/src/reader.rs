//! [`Reader`]: reads a journal beside its running server, from the segments alone.
//!
//! ```text
//! server ─► segments ◄─ refresh ─ Reader      no lock, no store, nothing written
//! ```
//!
//! It sees whole groups. The newest one may not be synced yet: what a reader shows last may be
//! gone after a power cut, unlike what a log shows.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::block::Opener;
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::error::{OpenError, ReadError};
use crate::keyring::Keyring;
use crate::layout::{self, Identity, Layout};
use crate::log::{LogStatus, Query, ReadLog, Visit};
use crate::merkle::{Forest, TreeHash};
use crate::record::{Cursor, Head, StreamId};
use crate::recover::{Stop, Whole, examine, later_group, rest};
use crate::segment::{Mark, Segment};
use crate::unlock::{check_keys, sealed};
use crate::view::{View, lock};

const POLL: Duration = Duration::from_millis(20);
/// How often a bad block with later ones behind it is looked at again before it counts.
const DOUBTS: u32 = 3;

/// A journal opened to be read.
#[derive(Debug)]
pub struct Reader {
    layout: Layout,
    disk: Arc<dyn Disk>,
    identity: Identity,
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
        Self::open_on(directory, Arc::new(RealDisk))
    }

    /// Opens the journal in a directory, whose blocks may be sealed under these keys.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_under(directory: impl AsRef<Path>, keyring: &Keyring) -> Result<Self, OpenError> {
        Self::begin(directory.as_ref(), keyring, Arc::new(RealDisk))
    }

    /// Opens a journal on another disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_on(directory: impl AsRef<Path>, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::begin(directory.as_ref(), &Keyring::default(), disk)
    }

    fn begin(directory: &Path, keyring: &Keyring, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let layout = Layout { root: directory.to_path_buf() };
        let identity = Identity::read(&*disk, &layout)?.ok_or_else(|| OpenError::NotAJournal {
            path: layout.root.clone(),
            reason: "it has no JOURNAL".into(),
        })?;
        let head = Cursor { epoch: identity.epoch, position: 0 };
        let opener = Opener { journal: identity.journal, keyring: keyring.clone() };
        check_keys(&*disk, &layout, &opener)?;
        let view = View::new(opener, Vec::new(), head);
        let forest = Forest::new(Arc::clone(&disk), layout.clone(), false);
        let reader = Self { layout, disk, identity, view, forest, tail: Mutex::default() };
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
            Some(segment) if segment.end() == u64::MAX => Arc::clone(segment),
            _ => Arc::new(make(month, *first)),
        };
        let mut segments: Vec<_> = sealed.iter().map(old).collect();
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

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.view.stream_head(stream, upto)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.read_stream(stream, upto, visit)
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.find_back(query, visit)
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
            segments: self.view.segments().len(),
            sync_p50_us: 0,
            sync_p99_us: 0,
        }
    }
}
