//! One backup: everything that is durable now, and a name for it.

use std::path::Path;

use mainstay_actors::time::Timestamp;
use mainstay_journal::{ReadLog as _, Reader};

use super::error::BackupError;
use super::manifest::Manifest;
use super::piece::Pieces;
use super::place::Place;
use super::seal::Recipients;
use super::ship::{Origin, Progress, Shipper};
use super::target::{Target, TargetError};

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The backup.
    pub manifest: Manifest,
    /// Records that were shipped; the others were there.
    pub shipped: u64,
}

/// Backs a journal up as it is now, also beside its running server.
///
/// # Errors
/// See [`BackupError`]; the target holds what it held.
pub fn take(
    data: &Path,
    reader: &Reader,
    target: &Target,
    recipients: &Recipients,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Taken, BackupError> {
    let identity = reader.identity();
    let from = Origin { log: reader, data, journal: identity.journal, epoch: identity.epoch };
    if reader.head().position == 0 {
        let reason = "the journal is empty: there is nothing to back up";
        return Err(BackupError::Usage(reason.to_owned()));
    }
    // What a server has written and not synced yet is durable then, too.
    reader.sync()?;
    let mut shipper = Shipper::begin(&from, target, recipients, "backup")?;
    let before = shipper.shipped();
    let upto = shipper.ship(reader, progress)?;
    let manifest = shipper.seal(reader, now)?;
    Ok(Taken { manifest, shipped: upto - before })
}

/// What a backup would ship: events behind the first position, up to the second. Nothing is changed.
///
/// # Errors
/// See [`BackupError`].
pub fn would_ship(reader: &Reader, place: &Place) -> Result<(u64, u64), BackupError> {
    let upto = reader.head().position;
    let target = match Target::open(place, false) {
        Ok(target) => target,
        Err(TargetError::NotThere { .. }) => return Ok((0, upto)),
        Err(error) => return Err(error.into()),
    };
    let there = Pieces::list(&target)?.tip(None).map_or(0, |piece| piece.last);
    Ok((there.min(upto), upto))
}
