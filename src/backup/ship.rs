//! From a journal into a target: keys, then the blocks that are not there yet.
//!
//! ```text
//!   journal   1 ───────────────── 870 871 ───── 940 941 ── head
//!   pieces    [1 ………………………… 870][871 … 940]  ▲
//!                sealed             tail      next
//! ```
//!
//! Where to go on is read from the names of the pieces and held against the journal's own blocks, so
//! a piece of another history is never taken for one of this. The tail's pieces are small, for they
//! are shipped at once; sealing writes one in their place.

use std::ops::ControlFlow;
use std::path::Path;

use mainstay_actors::time::Timestamp;
use mainstay_journal::{Base, Cursor, ReadLog, merkle};

use super::claim::Claim;
use super::error::BackupError;
use super::keys::KeyShipper;
use super::list;
use super::manifest::{Manifest, Of};
use super::piece::{Link, Piece, Pieces, link};
use super::seal::Recipients;
use super::target::Target;

/// Bytes of blocks in a piece, before they are compressed.
pub(super) const PIECE_BYTES: usize = 8 << 20;

/// An object of this size is not joined with others any more.
const LARGE_BYTES: u64 = 1 << 20;

/// Which journal is shipped, and whereto.
#[derive(Clone, Copy)]
pub(super) struct Origin<'f> {
    pub(super) log: &'f dyn ReadLog,
    /// Its data directory.
    pub(super) data: &'f Path,
    pub(super) journal: [u8; 16],
    /// The epoch of what is written next.
    pub(super) epoch: u32,
}

/// Called with records done and records in all.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// Ships a journal, and remembers how far it is.
#[derive(Debug)]
pub(super) struct Shipper {
    target: Target,
    recipients: Recipients,
    claim: Claim,
    keys: KeyShipper,
    journal: [u8; 16],
    epoch: u32,
    /// All pieces of this journal, in order.
    chain: Vec<Piece>,
    /// Of them, those that are there for good.
    sealed: usize,
    /// Everything up to here was dropped into an archive before the first piece.
    base: u64,
    /// The last block that is there.
    block: [u8; 32],
}

impl Shipper {
    /// Claims the target and finds out what is there.
    pub(super) fn begin(
        from: &Origin<'_>,
        target: &Target,
        recipients: &Recipients,
        doing: &str,
    ) -> Result<Self, BackupError> {
        let claim = Claim::take(target, &from.journal, from.epoch, doing)?;
        target.sweep()?;
        let mut shipper = Self {
            target: target.clone(),
            recipients: recipients.clone(),
            claim,
            keys: KeyShipper::of(from.data),
            journal: from.journal,
            epoch: from.epoch,
            chain: Vec::new(),
            sealed: 0,
            base: 0,
            block: [0; 32],
        };
        shipper.find(from, &Pieces::list(target)?)?;
        // What a backup names stays as it is, and so does a large one.
        let named = list::named(target)?;
        let stays = |piece: &Piece| piece.size_bytes >= LARGE_BYTES || named.has(&piece.name());
        shipper.sealed = shipper.chain.iter().rposition(stays).map_or(0, |index| index + 1);
        Ok(shipper)
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Finds what is there of this journal: from its first record on, or from where it begins now.
    fn find(&mut self, from: &Origin<'_>, pieces: &Pieces) -> Result<(), BackupError> {
        let base = from.log.base();
        while let Some(piece) = self.next_piece(from.log, base.as_deref(), pieces)? {
            self.chain.push(piece);
        }
        let Some(base) = base.filter(|base| self.shipped() < base.head().position) else {
            return Ok(());
        };
        // What was dropped is not there whole: what stands for it is.
        (self.base, self.block) = (base.head().position, *base.block());
        self.chain.clear();
        super::base::ship(from.data, self.base, &self.target, &self.recipients)?;
        while let Some(piece) = self.next_piece(from.log, None, pieces)? {
            self.chain.push(piece);
        }
        Ok(())
    }

    /// Up to where everything is there.
    pub(super) fn shipped(&self) -> u64 {
        self.chain.last().map_or(self.base, |piece| piece.last)
    }

    /// A piece that goes on where the chain ends, and holds this journal's own blocks.
    fn next_piece(
        &mut self,
        log: &dyn ReadLog,
        base: Option<&Base>,
        pieces: &Pieces,
    ) -> Result<Option<Piece>, BackupError> {
        let next = self.shipped() + 1;
        let previous = self.chain.last().map_or(link(&self.block), |piece| piece.block);
        let candidates = pieces.behind(next, previous);
        let mut diverged = false;
        for piece in candidates.into_iter().filter(|piece| piece.epoch <= self.epoch) {
            let dropped = base.map_or(0, |base| base.head().position);
            if piece.last < dropped {
                // Its blocks are not here any more; those that follow it tell whether it was ours.
                return Ok(Some(piece.clone()));
            }
            let block = match base.filter(|base| base.head().position == piece.last) {
                Some(base) => Some((piece.last, *base.block())),
                None => block_at(log, piece.last)?,
            };
            match block {
                Some((last, hash)) if last == piece.last && link(&hash) == piece.block => {
                    self.block = hash;
                    return Ok(Some(piece.clone()));
                },
                _ => diverged |= piece.epoch == self.epoch,
            }
        }
        if diverged {
            let (target, epoch) = (self.target.shown().to_owned(), self.epoch);
            return Err(BackupError::Diverged { target, epoch, position: next });
        }
        Ok(None)
    }

    /// Ships keys, then everything durable that is not there. Returns up to where all of it is.
    pub(super) fn ship(
        &mut self,
        log: &dyn ReadLog,
        progress: Progress<'_>,
    ) -> Result<u64, BackupError> {
        // Read before the keys are: whatever is in the journal by now has its key.
        let head = log.head().position;
        self.claim.check()?;
        let claim = &self.claim;
        self.keys.ship(log, &self.target, &self.recipients, &|| claim.confirm())?;
        let start = self.shipped();
        while self.shipped() < head {
            let piece = self.put(log, self.shipped() + 1, head, self.block)?;
            self.chain.push(piece);
            progress(self.shipped() - start, head - start);
        }
        Ok(self.shipped())
    }

    /// Makes the next piece from a position on.
    fn put(
        &mut self,
        log: &dyn ReadLog,
        first: u64,
        upto: u64,
        previous: [u8; 32],
    ) -> Result<Piece, BackupError> {
        let mut run = Run { bytes: Vec::new(), last: 0, hash: previous, whole: 0 };
        log.blocks(first, upto, &mut |block| {
            run.bytes.extend_from_slice(block.bytes);
            if block.ends_group {
                (run.last, run.hash, run.whole) = (block.last, block.hash, run.bytes.len());
                if run.whole >= PIECE_BYTES {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        let blocks = run.bytes.get(..run.whole).unwrap_or_default();
        if blocks.is_empty() {
            return Err(BackupError::Here(format!("no whole group begins at {first}")));
        }
        let object = self.recipients.seal(blocks);
        let object = object.map_err(|error| BackupError::Here(format!("seal a piece: {error}")))?;
        let links: (Link, Link) = (link(&previous), link(&run.hash));
        let piece = Piece::of(self.epoch, (first, run.last), links, &object);
        self.claim.check()?;
        self.target.put(&piece.name(), object)?;
        self.block = run.hash;
        Ok(piece)
    }

    /// How many records and pieces are in the tail.
    pub(super) fn tail(&self) -> (u64, usize) {
        let tail = self.chain.get(self.sealed..).unwrap_or_default();
        let first = tail.first().map_or(self.shipped() + 1, |piece| piece.first);
        (self.shipped() + 1 - first, tail.len())
    }

    /// Writes the tail's small pieces as large ones and names the moment: a backup.
    pub(super) fn seal(
        &mut self,
        log: &dyn ReadLog,
        now: Timestamp,
    ) -> Result<Manifest, BackupError> {
        let small = self.join_tail(log)?;
        let manifest = self.manifest(log, now)?;
        self.claim.confirm()?;
        self.target.put(&Manifest::object(&manifest.id), manifest.bytes())?;
        self.sealed = self.chain.len();
        self.remove(&small)?;
        Ok(manifest)
    }

    /// Writes the tail's small pieces as large ones.
    pub(super) fn join_only(&mut self, log: &dyn ReadLog) -> Result<(), BackupError> {
        let small = self.join_tail(log)?;
        self.sealed = self.chain.len();
        self.remove(&small)
    }

    /// Removes small pieces that a large one stands for. Those of an older epoch lead to the history
    /// that was left, and what a backup names is needed as it is.
    fn remove(&self, small: &[Piece]) -> Result<(), BackupError> {
        if small.is_empty() {
            return Ok(());
        }
        let named = list::named(&self.target)?;
        self.claim.confirm()?;
        let ours = small.iter().filter(|piece| piece.epoch == self.epoch);
        for piece in ours.filter(|piece| !named.has(&piece.name())) {
            self.target.delete(&piece.name())?;
        }
        Ok(())
    }

    /// Puts large pieces in the place of small ones; returns these.
    fn join_tail(&mut self, log: &dyn ReadLog) -> Result<Vec<Piece>, BackupError> {
        // Large ones need not be written again.
        let tail = self.chain.get(self.sealed..).unwrap_or_default();
        let large = tail.iter().rposition(|piece| piece.size_bytes >= LARGE_BYTES);
        self.sealed += large.map_or(0, |index| index + 1);
        let (_, pieces) = self.tail();
        if pieces < 2 {
            return Ok(Vec::new());
        }
        let small = self.chain.split_off(self.sealed);
        let (upto, block) = (small.last().map_or(0, |piece| piece.last), self.block);
        let joined = self.join(log, &small, upto);
        if joined.is_err() {
            self.chain.truncate(self.sealed);
            self.chain.extend(small);
            self.block = block;
            return joined.map(|()| Vec::new());
        }
        let kept = |piece: &&Piece| self.chain.iter().any(|it| it.name() == piece.name());
        Ok(small.iter().filter(|piece| !kept(piece)).cloned().collect())
    }

    fn join(&mut self, log: &dyn ReadLog, small: &[Piece], upto: u64) -> Result<(), BackupError> {
        let first = small.first().map_or(1, |piece| piece.first);
        let mut previous = match (first - 1, log.base()) {
            (0, _) => [0; 32],
            (before, Some(base)) if base.head().position == before => *base.block(),
            (before, _) => block_at(log, before)?.map_or([0; 32], |(_, hash)| hash),
        };
        let mut next = first;
        while next <= upto {
            let piece = self.put(log, next, upto, previous)?;
            (next, previous) = (piece.last + 1, self.block);
            self.chain.push(piece);
        }
        Ok(())
    }

    fn manifest(&self, log: &dyn ReadLog, now: Timestamp) -> Result<Manifest, BackupError> {
        let position = self.shipped();
        let mut last = (Cursor { epoch: self.epoch, position }, 0);
        log.scan(position, position, &mut |record| {
            last = (record.cursor(), record.at_us);
            ControlFlow::Break(())
        })?;
        let tree = merkle::root(log, position);
        let tree = tree.map_err(|error| BackupError::Here(error.to_string()))?;
        let of = Of {
            journal: self.journal,
            head: last.0,
            recorded_at: Timestamp::from_micros(last.1),
            made_at: now,
            block: self.block,
            tree,
            base: self.base,
        };
        Ok(Manifest::new(&of, &self.chain))
    }

    /// Writes the keys over there as they are here now.
    pub(super) fn ship_keys(&mut self, log: &dyn ReadLog) -> Result<(), BackupError> {
        let claim = &self.claim;
        self.keys.ship(log, &self.target, &self.recipients, &|| claim.confirm())
    }
}

/// Blocks that become a piece.
struct Run {
    bytes: Vec<u8>,
    /// The last record of the last whole group, its block's hash, and where it ends.
    last: u64,
    hash: [u8; 32],
    whole: usize,
}

/// The last record and the hash of the block that holds a position; `None` past the end.
fn block_at(log: &dyn ReadLog, position: u64) -> Result<Option<(u64, [u8; 32])>, BackupError> {
    let mut found = None;
    if position <= log.head().position {
        log.blocks(position, position, &mut |block| {
            found = Some((block.last, block.hash));
            ControlFlow::Break(())
        })?;
    }
    Ok(found)
}
