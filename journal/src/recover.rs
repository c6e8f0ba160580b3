//! What a cold open finds, and how the last segment is made whole before anything is appended.
//!
//! | at the first block that does not continue the chain | then |
//! |---|---|
//! | the store has the block that does | taken from there, also where a whole file is gone |
//! | a valid block of a later group lies behind it | damage: the open fails, nothing is changed |
//! | anything else that is not zero | torn tail: moved aside, whole groups before it are kept |
//!
//! The kept part is copied to a new file, synced and renamed: what reads back from the page cache
//! may not be on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::block::{Bad, Block, Hash, MAGIC, Opener, Stored};
use crate::disk::{self, DiskFile};
use crate::error::OpenError;
use crate::layout::Identity;
use crate::pack::Chain;
use crate::record::Cursor;
use crate::segment::{Mark, Segment, Step, Walk};
use crate::store::Store;
use crate::unlock::sealed;
use crate::view::Second;

mod missing;
mod place;
mod tail;

pub(crate) use self::place::{Place, headless};
use self::tail::{move_aside, rewrite};

/// How long a journal waits for a store that may hold what its segments have lost: opening the store
/// has a limit of its own.
const PATIENCE: Duration = Duration::from_hours(1);

/// What opening a journal found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Where the bytes of an unacknowledged, torn tail were moved to.
    pub cut: Option<PathBuf>,
    /// Blocks that were taken from the store because the segment had lost them.
    pub repaired_blocks: u64,
}

/// The journal as it is after recovery.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// In order; the last one grows, if there is one.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) file: Option<Arc<dyn DiskFile>>,
    pub(crate) end: u64,
    pub(crate) head: Cursor,
    pub(crate) last_at_us: u64,
    pub(crate) chain: Chain,
    pub(crate) opened: Opened,
}

/// The whole groups at the start of a segment.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) end: u64,
    pub(crate) last: u64,
    pub(crate) last_at_us: u64,
    pub(crate) epoch: u32,
    pub(crate) segment: u64,
    pub(crate) key: u32,
    pub(crate) hash: Hash,
    pub(crate) marks: Vec<Mark>,
    /// Blocks that came from the store, and where they belong.
    patches: Vec<(u64, Vec<u8>)>,
}

/// Why a segment's whole groups end where they do.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) bad: Option<Bad>,
    pub(crate) offset: u64,
    /// The group the bad block would belong to.
    pub(crate) group: u64,
    pub(crate) position: u64,
}

/// Reads a segment's whole groups from where `whole` ends, with the store's help if there is one.
pub(crate) fn examine(
    file: &Arc<dyn DiskFile>,
    opener: &Opener,
    mut whole: Whole,
    second: Option<(&dyn Second, &str)>,
) -> io::Result<(Whole, Stop)> {
    let mut ahead: Option<Whole> = None;
    let next = whole.last + 1;
    let mut stop = Stop { bad: None, offset: whole.end, group: next, position: next };
    let mut walk = Walk::new(Arc::clone(file), opener, whole.end, u64::MAX, 256 * 1024);
    loop {
        let state = ahead.as_ref().unwrap_or(&whole);
        let (next, chained) = (state.last + 1, (state.end > 0).then_some(state.hash));
        let offset = walk.offset();
        let fits = |block: &Block<'_>| {
            if block.header.first != next {
                return Err(Bad::Position);
            }
            let right = chained.is_none_or(|hash| hash == block.header.previous)
                && (state.end == 0 || block.header.segment == state.segment);
            if right { last_time(block) } else { Err(Bad::Chain) }
        };
        let found = match walk.step()? {
            Step::Block(block) => fits(&block).map(|at_us| taken(&block, at_us, offset)),
            Step::End => Err(Bad::Short),
            Step::Bad(bad) => Err(bad),
        };
        let (complete, taken_in) = match found {
            Ok(taken) => taken,
            Err(bad) => {
                let bytes = second.and_then(|(second, month)| second.block_at(month, next));
                let copy = bytes.as_deref().map(|bytes| Block::parse(bytes, opener));
                let locked = copy.as_ref().and_then(|copy| copy.as_ref().err());
                let locked = locked.copied().filter(|bad| bad.is_locked());
                let block = copy.and_then(Result::ok);
                let Some(block) = block.filter(|block| fits(block).is_ok()) else {
                    let ended = walk.header()?.is_ok_and(|header| header.is_none());
                    stop.bad = locked.or_else(|| (!ended).then_some(bad));
                    break;
                };
                let at_us = last_time(&block).unwrap_or_default();
                walk = Walk::new(
                    Arc::clone(file),
                    opener,
                    offset + block.bytes.len() as u64,
                    u64::MAX,
                    256 * 1024,
                );
                let (complete, mut copy) = taken(&block, at_us, offset);
                copy.patches.push((offset, block.bytes.to_vec()));
                (complete, copy)
            },
        };
        let mut grown = ahead.take().unwrap_or_default();
        grown.absorb(taken_in);
        if complete {
            whole.absorb(grown);
        } else {
            ahead = Some(grown);
        }
        let state = ahead.as_ref().unwrap_or(&whole);
        stop.position = state.last + 1;
        stop.offset = state.end;
        if complete {
            stop.group = state.last + 1;
        }
    }
    Ok((whole, stop))
}

/// The time of a block's last record; an error if one of them breaks the format.
fn last_time(block: &Block<'_>) -> Result<u64, Bad> {
    let mut at_us = block.header.first_at_us;
    for record in block.records() {
        at_us = at_us.max(record?.at_us);
    }
    Ok(at_us)
}

/// A block as a state: whether it ends its group, and what the segment is after it.
fn taken(block: &Block<'_>, last_at_us: u64, offset: u64) -> (bool, Whole) {
    let header = block.header;
    let mark = Mark { first: header.first, offset, at_us: header.first_at_us };
    let whole = Whole {
        end: offset + block.bytes.len() as u64,
        last: header.last(),
        last_at_us,
        epoch: header.epoch,
        segment: header.segment,
        key: header.key,
        hash: block.hash,
        marks: vec![mark],
        patches: Vec::new(),
    };
    (header.last_of_group, whole)
}

impl Whole {
    /// Nothing yet of the segment that begins at `first`.
    pub(crate) fn before(first: u64) -> Self {
        Self { last: first - 1, ..Self::default() }
    }

    fn absorb(&mut self, step: Self) {
        let Self { marks, patches, .. } = self;
        marks.extend(step.marks);
        patches.extend(step.patches);
        let (marks, patches) = (std::mem::take(marks), std::mem::take(patches));
        *self = Self { marks, patches, ..step };
    }
}

/// Whether anything but zeros lies at or behind `offset`, and up to where.
pub(crate) fn rest(file: &dyn DiskFile, offset: u64) -> io::Result<Vec<u8>> {
    static ZEROS: [u8; 65_536] = [0; 65_536];
    let mut kept = Vec::new();
    let mut zeros = 0_usize;
    let mut chunk = vec![0; ZEROS.len()];
    let mut at = offset;
    loop {
        let count = disk::read_full(file, &mut chunk, at)?;
        let read = chunk.get(..count).unwrap_or_default();
        if ZEROS.get(..count) == Some(read) {
            zeros += count;
        } else {
            kept.resize(kept.len() + zeros, 0);
            zeros = 0;
            kept.extend_from_slice(read);
        }
        if count < chunk.len() {
            return Ok(kept);
        }
        at += count as u64;
    }
}

/// A valid block of a later group in what lies behind a bad one.
pub(crate) fn later_group(bytes: &[u8], journal: &[u8; 16], stop: &Stop, segment: u64) -> bool {
    let mut from = bytes;
    while let Some(start) = from.windows(MAGIC.len()).position(|window| window == MAGIC) {
        let found = from.get(start..).unwrap_or_default();
        if let Ok(block) = Stored::parse(found, journal) {
            let same = segment == 0 || block.header.segment == segment;
            if same && block.header.group > stop.group {
                return true;
            }
        }
        from = found.get(1..).unwrap_or_default();
    }
    false
}

/// Brings the last segment in order and says where the journal stands.
pub(crate) fn recover(
    place: &Place<'_>,
    identity: &Identity,
    zero_to: Option<u64>,
    store: Option<&Arc<Store>>,
) -> Result<Recovered, OpenError> {
    let Place { disk, layout, opener, .. } = *place;
    let mut listed = place.segments()?;
    if let Some((_, first)) = listed.first().filter(|(_, first)| place.base.is_none() && *first > 1)
    {
        return Err(headless(*first));
    }
    let nothing = place.nothing();
    let mut opened = Opened::default();
    let chain = Chain {
        journal: identity.journal,
        epoch: identity.epoch,
        segment: 0,
        key: 0,
        hash: nothing.hash,
    };
    let shut = |(month, first): &(String, u64)| {
        let path = layout.segment(month, *first);
        Segment::new(*first, month.clone(), path, Arc::clone(disk))
    };
    // Each lost segment is begun again once.
    let mut begun = 0;
    let gone = |store: &&Arc<Store>| listed.is_empty() && store.may_hold(nothing.last + 1);
    if let Some(store) = store.filter(gone) {
        listed.extend(missing::begin_again(&**disk, layout, &**store, opener, &nothing)?);
    }
    if place.base.is_some() && listed.is_empty() {
        // A month always stays: its events were acknowledged.
        let reason = format!("no segment follows BASE, at {}", nothing.last + 1);
        return Err(OpenError::Base { reason });
    }
    while let Some((month, first)) = listed.pop() {
        let path = layout.segment(&month, first);
        let io = |error| OpenError::io("read", path.clone(), error);
        let source = disk.open(&path, false).map_err(io)?;
        let (mut whole, mut stop) =
            examine(&source, opener, Whole::before(first), None).map_err(io)?;
        let mut behind = rest(&*source, whole.end).map_err(io)?;
        // Opening waits for the store only if that may hold what is missing here.
        if let Some(store) = store.filter(|store| store.may_hold(whole.last + 1)) {
            store.wait_tried(PATIENCE);
            let second = Some((&**store as &dyn Second, month.as_str()));
            (whole, stop) = examine(&source, opener, Whole::before(first), second).map_err(io)?;
            behind = rest(&*source, whole.end).map_err(io)?;
        }
        check(&path, &whole, &stop, &behind, opener)?;
        let whole_file = behind.is_empty() && whole.end > 0 && whole.last > begun;
        if let Some(store) = store.filter(|store| whole_file && store.may_hold(whole.last + 1)) {
            begun = whole.last;
            let lost = missing::begin_again(&**disk, layout, &**store, opener, &whole)?;
            if let Some(lost) = lost {
                if !whole.patches.is_empty() {
                    opened.repaired_blocks += whole.patches.len() as u64;
                    rewrite(&**disk, &source, &path, &whole, None)?;
                }
                listed.extend([(month, first), lost]);
                continue;
            }
        }
        if !behind.is_empty() {
            opened.cut = Some(move_aside(&**disk, layout, &path, whole.end, &behind)?);
        }
        opened.repaired_blocks += whole.patches.len() as u64;
        if whole.end == 0 {
            disk.remove(&path).map_err(|error| OpenError::io("remove", path.clone(), error))?;
            disk.sync_dir(&layout.month(&month))
                .map_err(|error| OpenError::io("sync", layout.month(&month), error))?;
            continue;
        }
        if whole.epoch > identity.epoch {
            let reason = format!(
                "JOURNAL says epoch {}, the last record is of epoch {}",
                identity.epoch, whole.epoch
            );
            return Err(OpenError::NotAJournal { path: layout.identity(), reason });
        }
        let file = rewrite(&**disk, &source, &path, &whole, zero_to)?;
        let mut segments = place.archived();
        segments.extend(listed.iter().map(|entry| Arc::new(shut(entry))));
        let open = shut(&(month, first)).growing(Arc::clone(&file), &whole.marks, whole.end);
        segments.push(Arc::new(open));
        return Ok(Recovered {
            segments,
            file: Some(file),
            end: whole.end,
            head: Cursor { epoch: whole.epoch, position: whole.last },
            last_at_us: whole.last_at_us,
            chain: Chain { segment: whole.segment, key: whole.key, hash: whole.hash, ..chain },
            opened,
        });
    }
    let head = Cursor { epoch: identity.epoch, position: nothing.last };
    let (segments, last_at_us) = (place.archived(), nothing.last_at_us);
    Ok(Recovered { segments, file: None, end: 0, head, last_at_us, chain, opened })
}

/// Refuses to go on over damage; see the table above.
fn check(
    path: &Path,
    whole: &Whole,
    stop: &Stop,
    behind: &[u8],
    opener: &Opener,
) -> Result<(), OpenError> {
    // Whole bytes, which a key is missing for, are never cut.
    if let Some(bad) = stop.bad.filter(|bad| bad.is_locked()) {
        return Err(sealed(path, bad, &opener.keyring));
    }
    let (path, offset) = (path.to_path_buf(), stop.offset);
    if later_group(behind, &opener.journal, stop, whole.segment) {
        let reason = stop.bad.unwrap_or(Bad::Magic).to_string();
        return Err(OpenError::Damaged { path, offset, position: stop.position, reason });
    }
    Ok(())
}
