//! Nodes of the tree over a journal's records, without hashing everything again.
//!
//! ```text
//! node ─► known? ─► of one sealed segment: its file of leaves, else its records (and the file is made)
//!            │      of the growing one: its leaves in memory, hashed as far as is asked
//!            └───── of several: both children
//! ```
//!
//! Known are the largest nodes of each sealed segment that was met and all above them: some thirty
//! a segment. So a proof reads one segment's file, and the others' only the first time.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, TryLockError};

use super::leaves::{Leaves, Of, write};
use super::row::{Row, crown};
use super::{TreeHash, leaf_hash, parent, positions};
use crate::archive::Base;
use crate::disk::Disk;
use crate::error::ReadError;
use crate::layout::Layout;
use crate::segment::Segment;
use crate::view::{Segments, View, lock};

/// Most sealed segments whose leaves stay open, or in memory where they have no file.
const OPEN: usize = 2;

/// The leaves of every segment.
#[derive(Debug)]
pub(crate) struct Forest {
    disk: Arc<dyn Disk>,
    layout: Layout,
    /// Whether missing files are made.
    makes: bool,
    trees: Mutex<Trees>,
}

#[derive(Debug, Default)]
struct Trees {
    /// By level and index; nodes over durable records never change.
    known: HashMap<(u32, u64), TreeHash>,
    /// Sealed segments that were used last, by their first position.
    open: VecDeque<(u64, Source)>,
    /// The growing segment's leaves, as far as they were asked for.
    growing: Option<Row>,
    /// Every sealed segment before this position has its file, as far as it can have one.
    made: u64,
}

/// Where the leaves of a sealed segment are.
#[derive(Debug)]
enum Source {
    File(Leaves),
    Memory(Row),
}

impl Source {
    fn node(&mut self, level: u32, index: u64) -> Option<TreeHash> {
        match self {
            Self::File(leaves) => leaves.node(level, index),
            Self::Memory(row) => row.node(level, index),
        }
    }
}

impl Forest {
    pub(crate) fn new(disk: Arc<dyn Disk>, layout: Layout, makes: bool) -> Self {
        Self { disk, layout, makes, trees: Mutex::default() }
    }

    /// Of what was dropped the largest nodes are known, and no files are made.
    pub(crate) fn begin(&self, base: Option<&Base>) {
        let Some(base) = base else { return };
        let mut trees = lock(&self.trees);
        trees.known.extend(base.nodes().map(|(level, index, node)| ((level, index), node)));
        trees.made = trees.made.max(base.head().position + 1);
    }

    /// See [`crate::ReadLog::tree_node`].
    pub(crate) fn node(&self, view: &View, level: u32, index: u64) -> Result<TreeHash, ReadError> {
        let durable = view.durable();
        let last = positions(level, index).map_or(u64::MAX, |(_, last)| last);
        if last > durable {
            let (position, reason) = (durable + 1, "it is not durable".to_owned());
            return Err(ReadError::Damaged { position, reason });
        }
        let segments = view.segments();
        let at = At { forest: self, view, segments: &segments, durable };
        lock(&self.trees).node(&at, level, index)
    }

    /// Makes the file of the oldest sealed segment that has none. For when there is little else to do:
    /// whoever asks for a proof makes those that are missing. Does not wait for others: the writer waits
    /// for who calls this.
    pub(crate) fn make_next(&self, view: &View) {
        let segments = view.segments();
        let durable = view.durable();
        let at = At { forest: self, view, segments: &segments, durable };
        let mut trees = match self.trees.try_lock() {
            Ok(trees) => trees,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let next = segments.partition_point(|segment| segment.first < trees.made.max(1));
        if let Some(behind) = segments.get(next + 1).filter(|behind| behind.first <= durable) {
            // What was sealed a moment ago had no end to name the file by.
            trees.open.retain(|(_, source)| matches!(source, Source::File(_)));
            // One that cannot be read is told by who needs it.
            let _ = trees.source(&at, next);
            trees.made = behind.first;
        }
    }
}

/// A look at the journal.
struct At<'v> {
    forest: &'v Forest,
    view: &'v View,
    segments: &'v Segments,
    durable: u64,
}

impl At<'_> {
    /// Which sealed segment it is; `None` if its end is not known for sure.
    fn of(&self, place: usize) -> Option<Of> {
        let (segment, next) = (self.segments.get(place)?, self.segments.get(place + 1)?);
        let (first, last, chain) = (segment.first, next.first - 1, next.previous()?);
        Some(Of { journal: self.view.opener.journal, first, last, chain })
    }

    /// Extends a row by the records of a segment up to `last`.
    fn extend(&self, row: &mut Row, segment: &Arc<Segment>, last: u64) -> Result<(), ReadError> {
        let from = row.end() + 1;
        if from > last {
            return Ok(());
        }
        let visited = self.view.scan_segment(segment, from, last, &mut |record| {
            row.push(leaf_hash(&record));
            ControlFlow::Continue(())
        });
        visited.map(drop)
    }
}

impl Trees {
    fn node(&mut self, at: &At<'_>, level: u32, index: u64) -> Result<TreeHash, ReadError> {
        if let Some(known) = self.known.get(&(level, index)) {
            return Ok(*known);
        }
        let missing = |position| ReadError::Damaged {
            position,
            reason: "no segment holds all of its tree".to_owned(),
        };
        let (first, last) = positions(level, index).ok_or_else(|| missing(u64::MAX))?;
        let place = at.segments.partition_point(|segment| segment.first <= first);
        let place = place.checked_sub(1).ok_or_else(|| missing(first))?;
        if last > View::last_of(at.segments, place, at.durable) {
            let below = level.checked_sub(1).ok_or_else(|| missing(first))?;
            let left = self.node(at, below, index * 2)?;
            let right = self.node(at, below, index * 2 + 1)?;
            let node = parent(&left, &right);
            self.known.insert((level, index), node);
            return Ok(node);
        }
        if place + 1 == at.segments.len() {
            let row = self.growing(at, place, at.durable)?;
            return row.and_then(|row| row.node(level, index)).ok_or_else(|| missing(first));
        }
        if let Some(node) = self.source(at, place)?.and_then(|source| source.node(level, index)) {
            return Ok(node);
        }
        // The file is damaged: its segment is not.
        self.forget(at, place);
        self.remade(at, place)?
            .and_then(|source| source.node(level, index))
            .ok_or_else(|| missing(first))
    }

    /// The leaves of the growing segment, up to `last`.
    fn growing(&mut self, at: &At<'_>, place: usize, last: u64) -> Result<Option<&Row>, ReadError> {
        let Some(segment) = at.segments.get(place) else { return Ok(None) };
        let start = segment.first - 1;
        if self.growing.as_ref().is_none_or(|row| row.first() != start) {
            self.growing = Some(Row::new(start));
        }
        let Some(row) = &mut self.growing else { return Ok(None) };
        at.extend(row, segment, last)?;
        Ok(Some(row))
    }

    /// A sealed segment's leaves; its largest nodes are known from then on.
    fn source(&mut self, at: &At<'_>, place: usize) -> Result<Option<&mut Source>, ReadError> {
        let Some(segment) = at.segments.get(place) else { return Ok(None) };
        if let Some(index) = self.open.iter().position(|(first, _)| *first == segment.first) {
            return Ok(self.open.get_mut(index).map(|(_, source)| source));
        }
        let path = at.forest.layout.leaves(&segment.month, segment.first);
        let file = at.of(place).and_then(|of| Leaves::open(&*at.forest.disk, &path, &of));
        let Some(leaves) = file else { return self.remade(at, place) };
        let source = Source::File(leaves);
        if self.learn(at, place, source) { Ok(self.newest()) } else { self.remade(at, place) }
    }

    /// A sealed segment's leaves, from its records; the file is made anew.
    fn remade(&mut self, at: &At<'_>, place: usize) -> Result<Option<&mut Source>, ReadError> {
        let Some(segment) = at.segments.get(place) else { return Ok(None) };
        let last = View::last_of(at.segments, place, at.durable);
        let start = segment.first - 1;
        // What was hashed while it grew need not be hashed again.
        let held = self.growing.take_if(|row| row.first() == start);
        let mut row = held.unwrap_or_else(|| Row::new(start));
        at.extend(&mut row, segment, last)?;
        let path = at.forest.layout.leaves(&segment.month, segment.first);
        let disk = &*at.forest.disk;
        let makes = at.forest.makes && !segment.is_archived;
        let kept = at.of(place).filter(|of| makes && of.last == row.end());
        let kept = kept.and_then(|of| {
            let written = write(disk, &path, &of, &row);
            let told = |error| tracing::debug!(%error, path = %path.display(), "no leaves kept");
            written.map_err(told).ok().and_then(|()| Leaves::open(disk, &path, &of))
        });
        self.learn(at, place, kept.map_or(Source::Memory(row), Source::File));
        Ok(self.newest())
    }

    /// Takes a segment's largest nodes and keeps it open; false if it does not have them.
    fn learn(&mut self, at: &At<'_>, place: usize, mut source: Source) -> bool {
        let Some(segment) = at.segments.get(place) else { return false };
        let last = View::last_of(at.segments, place, at.durable);
        for (level, index) in crown(segment.first - 1, last) {
            let Some(node) = source.node(level, index) else { return false };
            self.known.insert((level, index), node);
        }
        self.open.push_back((segment.first, source));
        if self.open.len() > OPEN {
            self.open.pop_front();
        }
        true
    }

    fn newest(&mut self) -> Option<&mut Source> {
        self.open.back_mut().map(|(_, source)| source)
    }

    fn forget(&mut self, at: &At<'_>, place: usize) {
        if let Some(segment) = at.segments.get(place) {
            self.open.retain(|(first, _)| *first != segment.first);
        }
    }
}
