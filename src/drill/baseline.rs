//! The backup that every scenario begins with: one of the live data under a key of the drill's own, or the
//! real one.
//!
//! ```text
//!   --data DIR        read ─► backup in the scratch directory, key in memory ─► restore
//!   --from TARGET     the real backups ──────────── the real key ─────────────► restore, not claimed
//! ```

use std::path::Path;

use mainstay_actors::time::Timestamp;
use mainstay_journal::plant::Until;
use mainstay_journal::{Keyring, Reader};
use serde::{Deserialize, Serialize};

use super::error::DrillError;
use super::measure::{instant, ms, now};
use super::plan::Watch;
use super::scratch::Scratch;
use crate::backup::{
    self, BackupError, Identities, Place, Recipients, Restored, Restoring, Target,
};
use crate::config::JournalConfig;

/// Real backups, and what opens them.
#[derive(Debug)]
pub struct Source {
    /// Where they lie.
    pub place: Place,
    /// The keys.
    pub identities: Identities,
}

/// What a drill began with, as its report tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The data directory or the target.
    pub of: String,
    /// Whether it is a real backup, and not one that was made for the drill.
    pub is_real: bool,
    /// Its last event.
    pub position: u64,
    /// When that happened.
    pub recorded_at: Timestamp,
    /// Bytes of its segments, as restored.
    pub size_bytes: u64,
    /// How long the backup took, if it was made for the drill.
    pub took_ms: Option<u64>,
}

/// A key that lives as long as the drill, and in memory only.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) identities: Identities,
    pub(super) recipient: String,
}

impl Key {
    pub(super) fn make() -> Result<Self, DrillError> {
        let (text, recipient) = Identities::generate();
        let identities = Identities::parse(&text).map_err(BackupError::Usage)?;
        Ok(Self { identities, recipient })
    }
}

/// Where everything is restored from at the beginning.
#[derive(Debug)]
pub(super) struct Begin<'b> {
    pub(super) target: Target,
    pub(super) identities: &'b Identities,
    /// How long the backup took, if it was made here.
    pub(super) took_ms: Option<u64>,
}

impl<'b> Begin<'b> {
    /// Backs the live data up into the scratch directory.
    pub(super) fn take(
        (data, reader): (&Path, &Reader),
        scratch: &Scratch,
        key: &'b Key,
        watch: &Watch<'_>,
    ) -> Result<Self, DrillError> {
        watch.tell("backing up the data directory");
        let began = instant();
        let place = Place::Directory(scratch.folder("baseline")?);
        let target = Target::open(&place, true)?;
        let recipients = Recipients::parse([&*key.recipient]).map_err(BackupError::Usage)?;
        backup::take(data, reader, &target, &recipients, now(), &mut |_, _| {})?;
        watch.check()?;
        let took_ms = Some(ms(began.elapsed()));
        Ok(Self { target, identities: &key.identities, took_ms })
    }

    /// Begins with real backups.
    pub(super) fn with(source: &'b Source) -> Result<Self, DrillError> {
        let target = Target::open(&source.place, false)?;
        Ok(Self { target, identities: &source.identities, took_ms: None })
    }
}

/// A journal from a target into a directory of its own; whoever writes to the target is not refused.
pub(super) fn restore(
    (target, identities): (&Target, &Identities),
    directory: &Path,
    journal: &JournalConfig,
    until: Until,
) -> Result<Restored, BackupError> {
    let reading = journal.reading().map_err(|error| BackupError::Usage(error.to_string()))?;
    let keyring: Keyring = reading.keyring;
    let (backup, of_epoch, claim) = (None, None, false);
    let now = now();
    let restoring =
        Restoring { identities, keyring, backup, until, of_epoch, now, claim, accept_clock: false };
    let restored = backup::restore(target, directory, &restoring, &mut |_, _| {})?;
    backup::settle(directory, &restored, journal, "a drill")?;
    Ok(restored)
}
