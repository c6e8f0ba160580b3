//! Which backups stay: the newest of so many days, weeks and months, and every one of a window.
//!
//! ```text
//!   newest ── within 48h ──┬─ daily ×7 ─┬─ weekly ×4 ─┬─ monthly ×12
//!   all of them            └ one a day  └ one a week  └ one a month
//! ```
//!
//! A time in a backup is what its maker's clock said, and can be wrong or forged. So the window counts back
//! from no later than the target's own newest write, and a backup is in it if either its own time or
//! the target's says so; a day, week or month is that of the earlier of the two.
//!
//! A piece goes when no backup that stays names it, and nothing is reached by it that has no backup yet.

use std::collections::{BTreeSet, HashSet};

use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;
use mainstay_actors::time::Timestamp;

use super::base;
use super::claim::{Claim, journal_of, newest_epoch};
use super::error::BackupError;
use super::list::{self, Listed};
use super::manifest::Manifest;
use super::piece::{Piece, Pieces};
use super::ship::Progress;
use super::target::{Entry, Target};
use crate::config::KeepConfig;

/// How many backups stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days.
    pub daily: usize,
    /// Weeks, which begin on Monday.
    pub weekly: usize,
    /// Months.
    pub monthly: usize,
    /// All of so many milliseconds back.
    pub within_ms: u64,
}

impl From<KeepConfig> for Keep {
    fn from(config: KeepConfig) -> Self {
        Self {
            daily: config.daily.size(),
            weekly: config.weekly.size(),
            monthly: config.monthly.size(),
            within_ms: config.within.as_ms(),
        }
    }
}

/// What stays and what goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// Backups that stay, the newest first, with why.
    pub kept: Vec<(Listed, Vec<&'static str>)>,
    /// Backups that go, the newest first.
    pub dropped: Vec<Listed>,
    /// Pieces that nothing needs any more.
    pub pieces: Vec<Piece>,
    /// Other objects that nothing needs any more.
    pub others: Vec<Entry>,
}

impl Pruning {
    /// Bytes of the pieces that go.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let others = self.others.iter().map(|it| it.size_bytes);
        self.pieces.iter().map(|piece| piece.size_bytes).chain(others).sum()
    }

    /// How many objects go.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.pieces.len() + self.others.len()
    }
}

/// What pruning would do; nothing is changed.
///
/// # Errors
/// See [`BackupError`].
pub fn plan(target: &Target, keep: &Keep, now: Timestamp) -> Result<Pruning, BackupError> {
    let held = list::list(target)?;
    if let Some((object, reason)) = held.bad.first() {
        // What it needs cannot be told.
        let (object, reason) = (object.clone(), format!("{reason}; nothing is pruned beside it"));
        return Err(BackupError::Damaged { object, reason });
    }
    let (kept, dropped) = choose(held.backups, keep, now);
    let pieces = unneeded(&Pieces::list(target)?, &kept, keep, now);
    let needed: HashSet<String> =
        kept.iter().flat_map(|(it, _)| base::objects(it.manifest.base)).collect();
    let mut others = target.list(base::FOLDER)?;
    // A backup that is under way has shipped its own before it has a name; it ends with the newest's.
    let newest = kept.first().map_or(0, |(it, _)| it.manifest.position);
    let is_old = |name: &str| base::position_of(name).is_some_and(|position| position < newest);
    others.retain(|it| !needed.contains(&it.name) && is_old(&it.name));
    Ok(Pruning { kept, dropped, pieces, others })
}

/// Removes what [`plan`] says: first the names of backups, then pieces, so that no backup ever names one
/// that is gone. One that is cut short is completed by the next.
///
/// # Errors
/// See [`BackupError`].
pub fn prune(
    target: &Target,
    keep: &Keep,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Pruning, BackupError> {
    let none = || BackupError::NotATarget { target: target.shown().to_owned() };
    let journal = journal_of(target)?.ok_or_else(none)?;
    let claim = Claim::take(target, &journal, newest_epoch(target)?, "prune")?;
    let pruning = plan(target, keep, now)?;
    carry_out(target, &pruning, &claim, progress)?;
    Ok(pruning)
}

/// Removes what was planned, under a claim that is held.
pub(super) fn carry_out(
    target: &Target,
    pruning: &Pruning,
    claim: &Claim,
    progress: Progress<'_>,
) -> Result<(), BackupError> {
    let backups = pruning.dropped.iter().flat_map(|it| {
        let id = &it.manifest.id;
        [Manifest::object(id), Manifest::verified_object(id)]
    });
    let pieces = pruning.pieces.iter().map(Piece::name);
    let others = pruning.others.iter().map(|it| it.name.clone());
    let objects: Vec<String> = backups.chain(pieces).chain(others).collect();
    let total = objects.len() as u64;
    for (done, object) in (1..).zip(&objects) {
        claim.check()?;
        target.delete(object)?;
        progress(done, total);
    }
    Ok(())
}

fn choose(
    backups: Vec<Listed>,
    keep: &Keep,
    now: Timestamp,
) -> (Vec<(Listed, Vec<&'static str>)>, Vec<Listed>) {
    let newest_write = backups.iter().map(|it| it.stored_at).max().unwrap_or(now);
    let from = window(keep, now.min(newest_write));
    let newest = backups.first().map(|it| it.manifest.id.clone());
    let verified = backups.iter().find(|it| it.verified.is_some()).map(|it| it.manifest.id.clone());
    let dated = dated(&backups, keep);
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (backup, spans) in backups.into_iter().zip(dated) {
        let id = Some(&backup.manifest.id);
        let mut why = Vec::new();
        if id == newest.as_ref() {
            why.push("newest");
        }
        if id == verified.as_ref() {
            why.push("verified");
        }
        if backup.manifest.made_at.max(backup.stored_at).as_micros() >= from {
            why.push("within");
        }
        why.extend(spans);
        if why.is_empty() { dropped.push(backup) } else { kept.push((backup, why)) }
    }
    (kept, dropped)
}

/// When a backup was made, as far as it is believed: a time to come is not.
fn believed(backup: &Listed) -> Timestamp {
    backup.manifest.made_at.min(backup.stored_at)
}

/// Of which spans of time each backup is the newest. They are looked at by their times, so that none
/// with a wrong one takes a younger one's day.
fn dated(backups: &[Listed], keep: &Keep) -> Vec<Vec<&'static str>> {
    let mut order: Vec<(usize, &Listed)> = backups.iter().enumerate().collect();
    order.sort_by_key(|(_, it)| {
        std::cmp::Reverse((believed(it), it.manifest.epoch, it.manifest.position))
    });
    let mut days = Buckets::of(keep.daily);
    let mut weeks = Buckets::of(keep.weekly);
    let mut months = Buckets::of(keep.monthly);
    let mut spans = vec![Vec::new(); backups.len()];
    for (index, backup) in order {
        let date = date(believed(backup));
        let newest_of = [
            (days.takes(date), "daily"),
            (weeks.takes(date.first_of_week()), "weekly"),
            (months.takes(date.first_of_month()), "monthly"),
        ];
        let newest_of = newest_of.into_iter().filter(|(takes, _)| *takes).map(|(_, why)| why);
        if let Some(spans) = spans.get_mut(index) {
            spans.extend(newest_of);
        }
    }
    spans
}

/// The newest backup of each of so many spans of time.
struct Buckets {
    left: usize,
    taken: BTreeSet<Date>,
}

impl Buckets {
    fn of(left: usize) -> Self {
        Self { left, taken: BTreeSet::new() }
    }

    fn takes(&mut self, span: Date) -> bool {
        let takes = self.left > 0 && self.taken.insert(span);
        self.left -= usize::from(takes);
        takes
    }
}

trait Week {
    fn first_of_week(&self) -> Date;
}

impl Week for Date {
    fn first_of_week(&self) -> Date {
        // Monday itself, or the one before; none before the year -9999.
        self.tomorrow().and_then(|next| next.nth_weekday(-1, Weekday::Monday)).unwrap_or(*self)
    }
}

fn date(at: Timestamp) -> Date {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    Offset::UTC.to_datetime(at).date()
}

/// Pieces that no backup which stays names, and that lead to nothing that has no backup yet: neither
/// in the newest history, nor in one that a restore has left within the window.
fn unneeded(
    pieces: &Pieces,
    kept: &[(Listed, Vec<&'static str>)],
    keep: &Keep,
    now: Timestamp,
) -> Vec<Piece> {
    let mut needed: HashSet<String> = HashSet::new();
    for (backup, _) in kept {
        needed.extend(backup.manifest.pieces.iter().map(|piece| piece.name.clone()));
    }
    let Some((newest, _)) = kept.first() else { return Vec::new() };
    let newest_write = pieces.iter().map(|piece| piece.modified).max().unwrap_or(now);
    let from = window(keep, now.min(newest_write));
    let newest_epoch = pieces.iter().map(|piece| piece.epoch).max().unwrap_or_default();
    let bases: BTreeSet<u64> = kept.iter().map(|(it, _)| it.manifest.base).collect();
    let mut is_understood = true;
    for epoch in pieces.iter().map(|piece| piece.epoch).collect::<BTreeSet<_>>() {
        let Some(tip) = pieces.tip(Some(epoch)) else { continue };
        if epoch < newest_epoch && tip.modified.as_micros() < from {
            continue;
        }
        let chain = bases.iter().find_map(|base| pieces.chain(tip, *base).ok());
        is_understood &= chain.is_some();
        needed.extend(chain.iter().flatten().map(Piece::name));
    }
    let here = (newest.manifest.epoch, newest.manifest.position);
    let is_unneeded = |piece: &&Piece| {
        let name = piece.name();
        // What is not understood stays.
        !needed.contains(&name) && (is_understood || (piece.epoch, piece.last) <= here)
    };
    pieces.iter().filter(is_unneeded).cloned().collect()
}

/// Where the window begins that ends at a time.
fn window(keep: &Keep, upto: Timestamp) -> u64 {
    upto.as_micros().saturating_sub(keep.within_ms.saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
