//! What is known of backups and drills: the target is asked, and the journal.

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::system::{DrillCompleted, SystemEvent};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Query, ReadError, ReadLog};

use crate::backup::{BackupError, Held, Place, Schedule, Target, TargetError, list};
use crate::config::Config;
use crate::preflight::facts::{BackupFacts, DrillFacts, Keep};

/// The configured backup; `None` if there is none.
pub(super) fn of_backups(config: &Config, data: &Path, now: Timestamp) -> Option<BackupFacts> {
    let (backup, to) = (&config.backup, config.backup.to.as_deref()?);
    // A configuration that was read has been checked.
    let place = Place::parse(to, backup.secret_file.as_deref()).ok()?;
    let schedule = Schedule::of(backup.every, backup.at.as_deref()).ok()?;
    let (held, unreachable) = match held(&place) {
        Ok(held) => (held, None),
        Err(error) => (Held::default(), Some(error.to_string())),
    };
    let keep = backup.keep;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(BackupFacts {
        target: place.to_string(),
        continuous: backup.continuous,
        interval_ms: Some(schedule.longest(now).as_ms()),
        rpo_ms: config.drill.rpo.as_ms(),
        recipients: backup.recipients.iter().count(),
        keep: Keep {
            daily: count(keep.daily.size()),
            weekly: count(keep.weekly.size()),
            monthly: count(keep.monthly.size()),
            within_ms: keep.within.as_ms(),
        },
        unreachable,
        is_off_site: is_elsewhere(&place, data),
        last_at: held.backups.first().map(|it| it.manifest.made_at),
        verified_at: held.backups.iter().filter_map(|it| it.verified).map(|it| it.at).max(),
    })
}

/// What the target holds; one that was never written to holds nothing.
fn held(place: &Place) -> Result<Held, BackupError> {
    let listed = Target::open(place, false).map_err(BackupError::from).and_then(|it| list(&it));
    match listed {
        Err(BackupError::NotATarget { .. } | BackupError::Target(TargetError::NotThere { .. })) => {
            Ok(Held::default())
        },
        listed => listed,
    }
}

/// Whether a target lies on another disk than the data.
fn is_elsewhere(place: &Place, data: &Path) -> bool {
    let device = |path: &Path| {
        let there = path.ancestors().find_map(|path| std::fs::metadata(path).ok());
        there.map(|it| it.dev())
    };
    place.directory().is_none_or(|target| device(target) != device(data))
}

/// The drills that the journal tells of; `None` if nothing is backed up and none ever was.
pub(super) fn of_drills(
    config: &Config,
    log: &dyn ReadLog,
) -> Result<Option<DrillFacts>, ReadError> {
    let types = SystemEvent::catalogue().iter().filter(|(name, _)| *name == "DrillCompleted");
    let types = types.map(|(_, type_id)| *type_id).collect();
    let mut good: Option<DrillCompleted> = None;
    let mut any = false;
    // Those of dropped months are too old to count.
    let after = log.base().map_or(0, |base| base.head().position);
    log.find_back(&Query { types, after, ..Query::default() }, &mut |record| {
        any = true;
        let event = SystemEvent::decode(record.type_id, record.schema, record.payload);
        if let Ok(SystemEvent::DrillCompleted(drill)) = event
            && drill.good
        {
            good = Some(drill);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    if !any && config.backup.to.is_none() {
        return Ok(None);
    }
    Ok(Some(DrillFacts {
        good_at: good.as_ref().map(|it| it.at),
        rto_ms: good.as_ref().map(|it| it.rto_ms),
        rto_target_ms: config.drill.rto.as_ms(),
        rpo_ms: good.as_ref().map(|it| it.rpo_ms),
        rpo_target_ms: config.drill.rpo.as_ms(),
    }))
}
