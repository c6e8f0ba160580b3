//! A journal made from copied blocks: where a restore writes.
//!
//! ```text
//!   blocks, in order ─► check hash, journal, chain ─► segments as they were ─► JOURNAL, last of all
//!                            └─ the first record that is too late: its block is cut before it
//! ```
//!
//! Without `JOURNAL` a directory is no journal, so one that was begun is never taken for a whole one.
//! A block that is cut keeps its records, their positions and their epoch: leaves and tree stay
//! what they were, only the last block's hash is another.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::Base;
use crate::block::{Bad, Block, Hash, Header, Opener};
use crate::disk::{self, Disk, RealDisk};
use crate::error::OpenError;
use crate::keyring::Keyring;
use crate::layout::{Identity, Layout, month_of};
use crate::merkle::{Frontier, TreeHash, leaf_hash};
use crate::record::{Cursor, RecordRef};
use crate::unlock;

/// Up to where records are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All that come.
    End,
    /// This position, included.
    Position(u64),
    /// This time, included, in microseconds since the Unix epoch.
    Time(u64),
}

/// Why blocks do not make a journal.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    /// A block is not what should follow.
    #[error("position {position}: {reason}")]
    Damaged {
        /// Where the next block should begin.
        position: u64,
        /// What came instead.
        reason: String,
    },
    /// A block is sealed under a key that is not at hand.
    #[error(transparent)]
    Sealed(OpenError),
    /// The operating system said no.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
}

/// What was planted so far.
#[derive(Debug, Clone, Default)]
pub struct Planted {
    /// The last record.
    pub head: Cursor,
    /// Its time, in microseconds since the Unix epoch.
    pub at_us: u64,
    /// The hash of the last block.
    pub block: Hash,
    /// Segment files, and their bytes.
    pub segments: usize,
    /// See `segments`.
    pub bytes: u64,
    /// The Merkle tree over all records.
    pub tree: Frontier,
    /// Whether a record came that was too late.
    pub is_cut: bool,
}

/// A journal in the making.
#[derive(Debug)]
pub struct Planting {
    /// `None` checks and writes nothing.
    layout: Option<Layout>,
    opener: Opener,
    until: Until,
    planted: Planted,
    /// The segment that grows: its id, its file, its bytes.
    growing: Option<(u64, PathBuf, Vec<u8>)>,
    /// The last block, until it is known whether another one follows.
    held: Option<Vec<u8>>,
    disk: RealDisk,
}

impl Planting {
    /// Begins a journal in a directory that exists and holds none, or checks blocks only. What was
    /// dropped into an archive before the first block comes with `base`.
    #[must_use]
    pub fn begin(
        directory: Option<&Path>,
        journal: [u8; 16],
        keyring: Keyring,
        until: Until,
        base: Option<&Base>,
    ) -> Self {
        let planted = base.map_or_else(Planted::default, |base| Planted {
            head: base.head(),
            at_us: base.at_us(),
            block: *base.block(),
            tree: base.tree(),
            ..Planted::default()
        });
        let layout = directory.map(|root| Layout { root: root.to_path_buf() });
        let opener = Opener { journal, keyring };
        Self { layout, opener, until, planted, growing: None, held: None, disk: RealDisk }
    }

    /// What was planted so far.
    #[must_use]
    pub fn planted(&self) -> &Planted {
        &self.planted
    }

    /// Takes blocks that follow each other; each record that is kept is visited. Breaks once one is
    /// too late: what comes after it is not wanted.
    ///
    /// # Errors
    /// See [`PlantError`].
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        visit: &mut dyn FnMut(&RecordRef<'_>),
    ) -> Result<ControlFlow<()>, PlantError> {
        while !bytes.is_empty() && !self.planted.is_cut {
            // What was planted from another copy already.
            if let Ok(header) = Header::parse(bytes)
                && header.last() <= self.planted.head.position
            {
                bytes = bytes.get(header.block_bytes()..).unwrap_or_default();
                continue;
            }
            let next = self.planted.head.position + 1;
            let opener = self.opener.clone();
            let block = Block::parse(bytes, &opener).and_then(|block| {
                let header = &block.header;
                match (header.first == next, header.previous == self.planted.block) {
                    (false, _) => Err(Bad::Position),
                    (_, false) => Err(Bad::Chain),
                    _ => Ok(block),
                }
            });
            let block = block.map_err(|bad| self.bad(next, bad))?;
            bytes = bytes.get(block.bytes.len()..).unwrap_or_default();
            self.block(&block, visit)?;
        }
        Ok(if self.planted.is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn block(
        &mut self,
        block: &Block<'_>,
        visit: &mut dyn FnMut(&RecordRef<'_>),
    ) -> Result<(), PlantError> {
        let mut kept = 0;
        for record in block.records() {
            let record = record.map_err(|bad| self.bad(block.header.first, bad))?;
            let late = match self.until {
                Until::End => false,
                Until::Position(last) => record.position > last,
                Until::Time(last_us) => record.at_us > last_us,
            };
            if late {
                self.planted.is_cut = true;
                break;
            }
            visit(&record);
            kept += 1;
            self.planted.tree.push(leaf_hash(&record));
            (self.planted.head, self.planted.at_us) = (record.cursor(), record.at_us);
        }
        if kept == 0 {
            return Ok(());
        }
        self.put_held()?;
        self.planted.block = block.hash;
        if self.planted.is_cut {
            return self.hold_cut(block, kept);
        }
        self.held = Some(block.bytes.to_vec());
        Ok(())
    }

    /// Keeps the first records of a block only, as the end of its group.
    fn hold_cut(&mut self, block: &Block<'_>, records: u16) -> Result<(), PlantError> {
        let root = self.layout.as_ref().map_or_else(PathBuf::new, |it| it.root.clone());
        let cut = block.cut(records, &self.opener.keyring);
        let (bytes, hash) = cut.map_err(|source| io_error("seal a block of", root, source))?;
        self.planted.block = hash;
        self.held = Some(bytes);
        Ok(())
    }

    /// The block before the one that comes now stays as it is.
    fn put_held(&mut self) -> Result<(), PlantError> {
        let Some(bytes) = self.held.take() else { return Ok(()) };
        // It was parsed before it was held.
        let Ok(header) = Header::parse(&bytes) else { return Ok(()) };
        self.planted.bytes += bytes.len() as u64;
        if self.growing.as_ref().is_none_or(|(growing, ..)| *growing != header.segment) {
            self.end_segment()?;
            self.planted.segments += 1;
            let month = month_of(header.first_at_us);
            let path = self.layout.as_ref().map(|layout| layout.segment(&month, header.first));
            self.growing = Some((header.segment, path.unwrap_or_default(), Vec::new()));
        }
        if let Some((_, _, segment)) = self.growing.as_mut().filter(|_| self.layout.is_some()) {
            segment.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// The last block ends its group, whatever followed it.
    fn end_group(&mut self) -> Result<(), PlantError> {
        let Some(bytes) = self.held.clone() else { return Ok(()) };
        let opener = self.opener.clone();
        let block = Block::parse(&bytes, &opener);
        match block.map_err(|bad| self.bad(self.planted.head.position, bad))? {
            block if block.header.last_of_group => Ok(()),
            block => self.hold_cut(&block, block.header.count),
        }
    }

    fn end_segment(&mut self) -> Result<(), PlantError> {
        let Some((_, path, bytes)) = self.growing.take() else { return Ok(()) };
        if self.layout.is_none() {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&path);
        let written = self.disk.create_dir(folder);
        let written = written.and_then(|()| disk::write_durably(&self.disk, &path, &bytes));
        written.map_err(|source| io_error("write", path, source))
    }

    /// Ends on a whole group: one whose last blocks never came is taken to end here. Then the
    /// directory becomes a journal, whose next record belongs to `epoch`; or not, if `epoch` is `None`.
    ///
    /// # Errors
    /// [`PlantError::Io`].
    pub fn finish(mut self, epoch: Option<u32>) -> Result<Planted, PlantError> {
        self.end_group()?;
        self.put_held()?;
        self.end_segment()?;
        let (Some(layout), Some(epoch)) = (&self.layout, epoch) else { return Ok(self.planted) };
        let segments = layout.segments();
        let made = self.disk.create_dir(&segments).and_then(|()| {
            // The names of months, then of the folder that holds them.
            self.disk.sync_dir(&segments)?;
            self.disk.sync_dir(&layout.root)
        });
        made.map_err(|source| io_error("sync", segments, source))?;
        let identity = Identity { journal: self.opener.journal, epoch };
        identity.write(&self.disk, layout).map_err(|error| match error {
            OpenError::Io { doing, path, source } => PlantError::Io { doing, path, source },
            other => io_error("write", layout.identity(), io::Error::other(other.to_string())),
        })?;
        Ok(self.planted)
    }

    fn bad(&self, position: u64, bad: Bad) -> PlantError {
        if bad.is_locked() {
            let path = Path::new("the backup");
            return PlantError::Sealed(unlock::sealed(path, bad, &self.opener.keyring));
        }
        PlantError::Damaged { position, reason: bad.to_string() }
    }
}

/// Whether the first of some blocks opens: asked before anything is written.
///
/// # Errors
/// [`PlantError::Sealed`]; other faults are found when the blocks are taken.
pub fn try_key(bytes: &[u8], journal: [u8; 16], keyring: &Keyring) -> Result<(), PlantError> {
    match Block::parse(bytes, &Opener { journal, keyring: keyring.clone() }) {
        Err(bad) if bad.is_locked() => {
            Err(PlantError::Sealed(unlock::sealed(Path::new("the backup"), bad, keyring)))
        },
        _ => Ok(()),
    }
}

/// The time of the last record of some blocks that follow each other, in microseconds since the Unix
/// epoch; 0 if there is none. Of a block that does not open it is that of its first record.
#[must_use]
pub fn last_time(mut bytes: &[u8], journal: [u8; 16], keyring: &Keyring) -> u64 {
    let opener = Opener { journal, keyring: keyring.clone() };
    let mut last = (&[][..], 0);
    while let Ok(header) = Header::parse(bytes) {
        let Some((block, rest)) = bytes.split_at_checked(header.block_bytes()) else { break };
        (last, bytes) = ((block, header.first_at_us), rest);
    }
    let opened = Block::parse(last.0, &opener);
    let times = opened.iter().flat_map(Block::records).flatten().map(|record| record.at_us);
    times.chain([last.1]).max().unwrap_or_default()
}

/// What a directory says was dropped before its first block, where it is no journal yet; `None` if
/// nothing was.
///
/// # Errors
/// [`OpenError::Base`], [`OpenError::Sealed`].
pub fn base(
    directory: &Path,
    journal: [u8; 16],
    keyring: &Keyring,
) -> Result<Option<Arc<Base>>, OpenError> {
    let layout = Layout { root: directory.to_path_buf() };
    Base::read(&RealDisk, &layout, &Identity { journal, epoch: 0 }, keyring, None)
}

impl Planted {
    /// The root of the Merkle tree over all records.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.tree.root()
    }
}

fn io_error(doing: &'static str, path: PathBuf, source: io::Error) -> PlantError {
    PlantError::Io { doing, path, source }
}
