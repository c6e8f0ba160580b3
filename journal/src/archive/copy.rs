//! Whole months into an archive: every block is checked on its way, every record folded.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::manifest::{Filed, Manifest};
use super::plan::{Chosen, choose};
use super::states::{States, Writing};
use super::{ArchiveError, ArchiveOptions, Shelf, apart};
use crate::block::{Bad, Block, Hash, Opener};
use crate::disk;
use crate::layout::Layout;
use crate::log::Snapshot;
use crate::merkle::{Frontier, leaf_hash};
use crate::record::{Cursor, RecordRef, StreamId};
use crate::unlock::sealed;

/// Finds a stream's state at the end of what was archived before.
pub type Before<'b> = &'b dyn Fn(&StreamId) -> io::Result<Option<Snapshot>>;

/// Folds records into states, of which the journal knows bytes only.
pub trait Fold {
    /// Takes the next record in. `before` gives what its stream was in the archive so far.
    ///
    /// # Errors
    /// Why the record cannot be folded.
    fn take(&mut self, record: &RecordRef<'_>, before: Before<'_>) -> Result<(), String>;

    /// Gives the states that were taken in, each once, by stream. One at version 0 is of no stream: a
    /// row that others are found by; without bytes it takes an older one out.
    ///
    /// # Errors
    /// Why a state cannot be kept.
    fn next_state(&mut self) -> Result<Option<Snapshot>, String>;
}

/// What went into an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The months that were added.
    pub months: Vec<String>,
    /// Segments that were added, and their bytes.
    pub segments: usize,
    /// See `segments`.
    pub bytes: u64,
    /// The last record in the archive.
    pub head: Cursor,
    /// Streams that have a state there.
    pub states: u64,
}

/// Copies every month before another (`2026-10`) that is not there yet into an archive, and every
/// stream's state at its end. The newest month stays. Works beside a running server.
///
/// # Errors
/// See [`ArchiveError`]; the archive is as it was.
pub fn archive(
    directory: &Path,
    to: &Path,
    before: &str,
    options: &ArchiveOptions,
    fold: &mut dyn Fold,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Archived, ArchiveError> {
    apart(directory, to)?;
    let layout = Layout { root: directory.to_path_buf() };
    let shelf = Shelf { root: to.to_path_buf() };
    let disk = &*options.disk;
    let chosen = choose(&layout, &shelf, before, options)?;
    if chosen.segments.is_empty() {
        return Ok(chosen.done());
    }
    make(disk, to).map_err(|error| ArchiveError::io("create", to, error))?;
    let held = disk.lock(&shelf.lock());
    let held = held.map_err(|error| ArchiveError::io("lock", &shelf.lock(), error))?;
    let _held = held.ok_or_else(|| ArchiveError::InUse { path: to.into() })?;
    // Nobody else changes it from here on.
    let chosen = choose(&layout, &shelf, before, options)?;
    let mut done = chosen.done();
    let Chosen { identity, manifest, segments } = chosen;
    let Some((.., last)) = segments.last() else { return Ok(done) };
    let start = manifest.head.position;
    let before = (start > 0)
        .then(|| {
            let path = shelf.states(start);
            let states = States::open(disk, &path, &options.keyring, &manifest.states_hash);
            states.map_err(|error| ArchiveError::file(&path, error))
        })
        .transpose()?;
    let mut copy = Copy {
        layout: &layout,
        shelf: &shelf,
        options,
        opener: Opener { journal: identity.journal, keyring: options.keyring.clone() },
        tree: Frontier::of(start, manifest.tree.clone()),
        before,
        manifest,
        fold,
    };
    let total = last - start;
    for (month, first, last) in &segments {
        done.bytes += copy.segment(month, *first, *last)?;
        progress(last - start, total);
    }
    let manifest = copy.end()?;
    if start > 0 {
        let _ = disk.remove(&shelf.states(start));
    }
    Ok(Archived { head: manifest.head, states: manifest.states, ..done })
}

/// Makes the directory, its name durable in each that had to be made for it.
fn make(disk: &dyn disk::Disk, directory: &Path) -> io::Result<()> {
    let young = |path: &&Path| !path.as_os_str().is_empty() && disk.list(path).is_err();
    let young: Vec<&Path> = directory.ancestors().take_while(young).collect();
    disk.create_dir(directory)?;
    for path in young {
        let above = path.parent().filter(|it| !it.as_os_str().is_empty());
        disk.sync_dir(above.unwrap_or_else(|| Path::new(".")))?;
    }
    Ok(())
}

/// A copy under way.
struct Copy<'c> {
    layout: &'c Layout,
    shelf: &'c Shelf,
    options: &'c ArchiveOptions,
    opener: Opener,
    tree: Frontier,
    /// The states of what was archived before.
    before: Option<States>,
    manifest: Manifest,
    fold: &'c mut dyn Fold,
}

impl Copy<'_> {
    /// Copies a sealed segment; returns its bytes.
    fn segment(&mut self, month: &str, first: u64, last: u64) -> Result<u64, ArchiveError> {
        let path = self.layout.segment(month, first);
        let disk = &*self.options.disk;
        let bytes = disk::read_all(disk, &path);
        let bytes = bytes.map_err(|error| ArchiveError::io("read", &path, error))?;
        let (end, at_us) = self.check(&path, &bytes, first, last)?;
        let bytes = bytes.get(..end).unwrap_or_default();
        let to = self.shelf.segment(month, first);
        let written = disk.create_dir(to.parent().unwrap_or(&to));
        let written = written.and_then(|()| disk::write_durably(disk, &to, bytes));
        written.map_err(|error| ArchiveError::io("write", &to, error))?;
        let (bytes, hash) = (bytes.len() as u64, Sha256::digest(bytes).into());
        self.manifest.segments.push(Filed { month: month.to_owned(), first, bytes, at_us, hash });
        Ok(bytes)
    }

    /// Checks and folds every block of `first..=last`; returns where they end and when they begin.
    fn check(
        &mut self,
        path: &Path,
        bytes: &[u8],
        first: u64,
        last: u64,
    ) -> Result<(usize, u64), ArchiveError> {
        let damaged = |position: u64, reason: String| {
            let reason = format!("{reason}, position {position}: run `mainstay verify --repair`");
            ArchiveError::Damaged { path: path.into(), reason }
        };
        let next = self.manifest.head.position + 1;
        if first != next {
            return Err(damaged(next, format!("begins at {first} where {next} should follow")));
        }
        let (mut at, mut began) = (0, None);
        while self.manifest.head.position < last {
            let next = self.manifest.head.position + 1;
            let block = Block::parse(bytes.get(at..).unwrap_or_default(), &self.opener);
            let block = block.and_then(|block| match block.header.first == next {
                true if block.header.previous == self.manifest.block => Ok(block),
                true => Err(Bad::Chain),
                false => Err(Bad::Position),
            });
            let block = match block {
                Ok(block) => block,
                Err(bad) if bad.is_locked() => {
                    return Err(sealed(path, bad, &self.opener.keyring).into());
                },
                Err(bad) => return Err(damaged(next, bad.to_string())),
            };
            for record in block.records() {
                let record = record.map_err(|bad| damaged(next, bad.to_string()))?;
                self.record(&record)?;
            }
            began = began.or(Some(block.header.first_at_us));
            at += block.bytes.len();
            self.manifest.block = block.hash;
            let (epoch, position) = (block.header.epoch, block.header.last());
            self.manifest.head = Cursor { epoch, position };
        }
        Ok((at, began.unwrap_or_default()))
    }

    fn record(&mut self, record: &RecordRef<'_>) -> Result<(), ArchiveError> {
        self.tree.push(leaf_hash(record));
        self.manifest.at_us = record.at_us;
        let before = &self.before;
        let find = |stream: &StreamId| before.as_ref().map_or(Ok(None), |it| it.get(stream));
        let (position, taken) = (record.position, self.fold.take(record, &find));
        taken.map_err(|reason| ArchiveError::Meaningless { position, reason })
    }

    /// Writes the states, then the manifest, which makes everything count.
    fn end(mut self) -> Result<Manifest, ArchiveError> {
        let path = self.shelf.states(self.manifest.head.position);
        let young = path.with_extension("new");
        let written = self.states(&young).and_then(|written| {
            self.options.disk.rename(&young, &path)?;
            Ok(written)
        });
        let (count, hash) = written.map_err(|error| ArchiveError::io("write", &path, error))?;
        (self.manifest.states, self.manifest.states_hash) = (count, hash);
        self.manifest.tree = self.tree.roots().to_vec();
        let disk = &*self.options.disk;
        let synced = disk.sync_dir(&self.shelf.root);
        synced.map_err(|error| ArchiveError::io("sync", &self.shelf.root, error))?;
        self.manifest.write(disk, &self.shelf.manifest())?;
        Ok(self.manifest)
    }

    /// The states from before and those that were folded, merged by stream.
    fn states(&mut self, path: &Path) -> io::Result<(u64, Hash)> {
        let writing = Writing::create(&*self.options.disk, path, &self.options.keyring)?;
        let fresh = next_of(self.fold)?;
        let mut merge = Merge { writing, fold: self.fold, fresh };
        let mut merged = Ok(());
        if let Some(before) = &self.before {
            before.from("", &mut |old| {
                merged = merge.with(&old);
                if merged.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        merged?;
        while let Some(state) = merge.fresh.take() {
            merge.put(&state)?;
        }
        Ok((merge.writing.count, merge.writing.end()?))
    }
}

/// States that were folded, on their way between those from before.
struct Merge<'m> {
    writing: Writing<'m>,
    fold: &'m mut dyn Fold,
    /// The next one that was folded.
    fresh: Option<Snapshot>,
}

impl Merge<'_> {
    fn put(&mut self, fresh: &Snapshot) -> io::Result<()> {
        if fresh.head.version > 0 || !fresh.bytes.is_empty() {
            self.writing.put(fresh)?;
        }
        self.fresh = next_of(self.fold)?;
        Ok(())
    }

    /// Everything folded that comes before `old`, and `old` unless it is newer there.
    fn with(&mut self, old: &Snapshot) -> io::Result<()> {
        while let Some(state) = self.fresh.take_if(|it| it.stream < old.stream) {
            self.put(&state)?;
        }
        match self.fresh.take_if(|it| it.stream == old.stream) {
            Some(newer) => self.put(&newer),
            None => self.writing.put(old),
        }
    }
}

fn next_of(fold: &mut dyn Fold) -> io::Result<Option<Snapshot>> {
    fold.next_state().map_err(io::Error::other)
}
