//! A journal made from a target: up to its end, a position or a time, in an epoch of its own.
//!
//! ```text
//!   pieces ─ fetch, open ─► DIR/restoring: segments, keys ─► JOURNAL, the fence, erasures ─► DIR
//!            ▲ nothing is written before the key has opened something           renamed, JOURNAL last
//! ```
//!
//! | at a crash | |
//! |---|---|
//! | while pieces are planted | `DIR/restoring` is no journal; the next run begins again |
//! | while it is moved up | `DIR` has no `JOURNAL` yet: nothing serves it; the next run begins again |
//! | afterwards | it is a journal like any other |

mod plan;
mod settle;

pub use self::settle::settle;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crossbeam_channel::bounded;
use mainstay_actors::time::Timestamp;
use mainstay_journal::plant::{Planted, Planting, Until};
use mainstay_journal::{Cursor, Keyring};

use self::plan::Plan;
use super::base;
use super::check::fetch;
use super::claim::{begin_epoch, newest_epoch};
use super::error::BackupError;
use super::keys::{Keys, unsealed};
use super::manifest::Manifest;
use super::piece::{Piece, hex};
use super::seal::Identities;
use super::ship::Progress;
use super::target::{Target, TargetError};

/// Where a restored journal lies until it is whole.
const YOUNG: &str = "restoring";
/// Pieces that are opened ahead of those that are written.
const AHEAD: usize = 2;

/// What is restored.
#[derive(Debug)]
pub struct Restoring<'r> {
    /// The keys that open it.
    pub identities: &'r Identities,
    /// Keys of a sealed journal.
    pub keyring: Keyring,
    /// A backup by its name; none: everything that was shipped.
    pub backup: Option<&'r str>,
    /// Up to where.
    pub until: Until,
    /// The history to follow, where a restore has begun another one; none: the newest.
    pub of_epoch: Option<u32>,
    /// What time it is.
    pub now: Timestamp,
    /// Tell the target of the new epoch, so that it refuses whoever still writes in an older one.
    pub claim: bool,
    /// Go on although this machine's clock is behind the target's: tokens begin above its time.
    pub accept_clock: bool,
}

/// A journal that was planted and is not served yet.
#[derive(Debug)]
pub struct Restored {
    /// Its last record.
    pub fork: Cursor,
    /// When that happened.
    pub recorded_at: Timestamp,
    /// The epoch of what follows.
    pub epoch: u32,
    /// Bytes of its segments.
    pub size_bytes: u64,
    /// Objects that were read.
    pub pieces: u64,
    /// Later records that were left out, as far as is known.
    pub left_out: u64,
    /// The newest time that the target knows of: tokens begin above it.
    pub floor: Timestamp,
    /// Subjects that were erased, now or after the fork: `subject/{tenant}/{id}`.
    pub erased: Vec<String>,
}

/// Restores into a directory that is empty or missing. It is whole when this returns, and
/// [`settle`] makes it the journal of `directory`.
///
/// # Errors
/// See [`BackupError`]. `directory` holds no journal then.
pub fn restore(
    target: &Target,
    directory: &Path,
    restoring: &Restoring<'_>,
    progress: Progress<'_>,
) -> Result<Restored, BackupError> {
    let mut plan = Plan::of(target, restoring)?;
    // Nothing is written before the keys have opened something of each kind.
    drop(Keys::read(target, restoring.identities)?);
    try_keys(target, restoring, &plan)?;
    clear(directory)?;
    let young = directory.join(YOUNG);
    fs::create_dir_all(&young)?;
    let planting = begin(target, restoring, &plan, &young, true)?;
    let planting = plant(target, restoring, &mut plan, planting, progress)?;
    let epoch = if restoring.claim {
        let told = format!("into {}", directory.display());
        begin_epoch(target, plan.epoch(), &told)?
    } else {
        newest_epoch(target)?.max(plan.epoch()) + 1
    };
    // Read now: whoever wrote to the target until a moment ago may have erased somebody meanwhile.
    let keys = Keys::read(target, restoring.identities)?;
    keys.write(&young)?;
    let planted = planting.finish(Some(epoch))?;
    Ok(told(&plan, &planted, epoch, keys.erased))
}

/// Reads and checks everything that a restore would read, and writes nothing.
///
/// # Errors
/// See [`restore`].
pub fn rehearse(
    target: &Target,
    directory: &Path,
    restoring: &Restoring<'_>,
    progress: Progress<'_>,
) -> Result<Restored, BackupError> {
    let mut plan = Plan::of(target, restoring)?;
    is_free(directory)?;
    let keys = Keys::read(target, restoring.identities)?;
    let scratch = Scratch::new()?;
    let planting = begin(target, restoring, &plan, &scratch.0, false)?;
    let planted = plant(target, restoring, &mut plan, planting, progress)?.finish(None)?;
    let epoch = newest_epoch(target)?.max(plan.epoch()) + 1;
    Ok(told(&plan, &planted, epoch, keys.erased))
}

/// Begins in a directory, where the chain begins: what was dropped before it is written there.
fn begin(
    target: &Target,
    restoring: &Restoring<'_>,
    plan: &Plan,
    directory: &Path,
    writes: bool,
) -> Result<Planting, BackupError> {
    let first = plan.chain.first().map_or(1, |piece| piece.first);
    let keyring = restoring.keyring.clone();
    let mut base = None;
    if first > 1 {
        base::fetch(target, first - 1, restoring.identities, directory)?;
        base = mainstay_journal::plant::base(directory, plan.journal, &keyring)?;
    }
    let directory = writes.then_some(directory);
    Ok(Planting::begin(directory, plan.journal, keyring, restoring.until, base.as_deref()))
}

/// A directory for what is looked at and not kept; gone when it is dropped.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("mainstay-{}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Opens the first piece, and the first block of a sealed journal.
fn try_keys(target: &Target, restoring: &Restoring<'_>, plan: &Plan) -> Result<(), BackupError> {
    let Some(piece) = plan.chain.first() else { return Ok(()) };
    let blocks = open(target, piece, restoring.identities)?;
    Ok(mainstay_journal::plant::try_key(&blocks, plan.journal, &restoring.keyring)?)
}

fn told(plan: &Plan, planted: &Planted, epoch: u32, erased: Vec<String>) -> Restored {
    Restored {
        fork: planted.head,
        recorded_at: Timestamp::from_micros(planted.at_us),
        epoch,
        size_bytes: planted.bytes,
        pieces: plan.chain.len() as u64,
        left_out: plan.last.saturating_sub(planted.head.position),
        floor: plan.floor,
        erased,
    }
}

/// How often the pieces are listed anew while they are planted.
const LISTED_AGAIN: usize = 5;

/// Plants all pieces; a server that goes on may put others in their place meanwhile.
fn plant(
    target: &Target,
    restoring: &Restoring<'_>,
    plan: &mut Plan,
    mut planting: Planting,
    progress: Progress<'_>,
) -> Result<Planting, BackupError> {
    let mut again = 0;
    loop {
        match plant_chain(target, restoring, plan, &mut planting, progress) {
            Ok(()) => break,
            Err(BackupError::Target(TargetError::NotThere { .. }))
                if restoring.backup.is_none() && again < LISTED_AGAIN =>
            {
                again += 1;
                plan.again(target, restoring.of_epoch, planting.planted().head.position)?;
            },
            Err(error) => return Err(error),
        }
    }
    let planted = planting.planted();
    if planted.head.position == 0 {
        let reason = "nothing had happened by then: name a later time";
        return Err(BackupError::Usage(reason.to_owned()));
    }
    if let (Until::End, true) = (restoring.until, planted.head.position < plan.last) {
        let object = format!("the last piece of {}", target.shown());
        return Err(BackupError::Damaged { object, reason: "it ends early".to_owned() });
    }
    Ok(planting)
}

/// Plants pieces one after the other, while the next ones are fetched and opened.
fn plant_chain(
    target: &Target,
    restoring: &Restoring<'_>,
    plan: &Plan,
    planting: &mut Planting,
    progress: Progress<'_>,
) -> Result<(), BackupError> {
    let (give, take) = bounded(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for piece in &plan.chain {
                let opened = open(target, piece, restoring.identities);
                let failed = opened.is_err();
                // Nobody takes any more: the rest is not wanted.
                if give.send((piece, opened)).is_err() || failed {
                    return;
                }
            }
        });
        for (piece, opened) in take {
            if planting.take(&opened?, &mut |_| {})?.is_break() {
                break;
            }
            compare(plan, planting.planted())?;
            progress(piece.last, plan.last);
        }
        Ok(())
    })
}

/// What was planted must be what the backup on the way says.
fn compare(plan: &Plan, planted: &Planted) -> Result<(), BackupError> {
    let Some(known) = plan.known.iter().find(|it| it.head() == planted.head) else {
        return Ok(());
    };
    if hex(&planted.root()) == known.tree {
        return Ok(());
    }
    let reason = "its pieces hold other records than it says".to_owned();
    Err(BackupError::Damaged { object: Manifest::object(&known.id), reason })
}

fn open(target: &Target, piece: &Piece, identities: &Identities) -> Result<Vec<u8>, BackupError> {
    let sealed = fetch(target, piece)?;
    identities.open(&sealed).map_err(|error| unsealed(&piece.name(), error))
}

/// What a restore may have left in a directory when it was cut short.
const OURS: [&str; 11] = [
    YOUNG, "segments", "store", "proofs", "kept", "keys", "signing", "secret", "BASE", "base",
    "LOCK",
];

/// Whether a restore may write into a directory.
fn is_free(directory: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(BackupError::Here(format!("{}: {error}", directory.display())));
        },
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name());
    }
    let begun = names.iter().any(|name| name == YOUNG);
    let ours = |name: &std::ffi::OsString| OURS.iter().any(|ours| name == ours);
    let free = names.iter().all(|name| name == "lost+found" || (begun && ours(name)));
    let path = || directory.display().to_string();
    if free { Ok(()) } else { Err(BackupError::NotEmpty { path: path() }) }
}

/// Makes room: what a restore that was cut short has left goes.
fn clear(directory: &Path) -> Result<(), BackupError> {
    is_free(directory)?;
    // The mark goes last, so that this can be cut short, too.
    let last = std::iter::once(&YOUNG);
    for name in OURS.iter().skip(1).chain(last) {
        let path = directory.join(name);
        let gone = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {},
        }
    }
    Ok(())
}
