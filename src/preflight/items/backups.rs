//! Backups and drills.

use crate::preflight::facts::{BackupFacts, Facts, Keep};
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, of_backup, of_drill, rule};
use crate::preflight::words::{self, DAY_MS, HOUR_MS};

/// Oldest backup of a continuous one, in milliseconds.
const CONTINUOUS_MS: u64 = HOUR_MS;
/// A good drill is at most so old, in milliseconds.
pub(in crate::preflight) const DRILL_MS: u64 = 31 * DAY_MS;
/// Daily, weekly and monthly ones that are to be kept.
const KEPT: (u32, u32, u32) = (7, 4, 12);

pub(super) const ITEMS: &[Item] = &[
    machine(
        "backups.configured",
        Critical,
        "A backup is configured",
        "set `to` in [backup]",
        |facts| match &facts.backup {
            Some(it) => Ruling::pass(it.target.clone()),
            None => Ruling::fail("there is no [backup]"),
        },
    ),
    machine(
        "backups.interval-within-rpo",
        Critical,
        "A backup is continuous, or made at least as often as the RPO wants",
        "set `continuous = true` in [backup], or a shorter `every`",
        interval,
    ),
    machine(
        "backups.continuous",
        Major,
        "The backup is continuous",
        "set `continuous = true` in [backup]",
        |facts| {
            of_backup(facts, |it| match it.interval_ms {
                // Told by the item before it, which knows the RPO.
                Some(ms) if !it.continuous && ms > it.rpo_ms => {
                    Ruling::unknown("see backups.interval-within-rpo")
                },
                _ if it.continuous => Ruling::pass("it is"),
                _ => Ruling::fail("it is made now and then"),
            })
        },
    ),
    machine(
        "backups.encrypted",
        Critical,
        "Backups are encrypted to a recipient",
        "set `recipients` in [backup]",
        |facts| {
            of_backup(facts, |it| rule(it.recipients > 0, format!("{} recipients", it.recipients)))
        },
    ),
    machine(
        "backups.two-recipients",
        Major,
        "Backups are encrypted to two recipients, so that a lost identity loses nothing",
        "add a recipient in [backup]",
        |facts| {
            of_backup(facts, |it| match it.recipients {
                0 => Ruling::unknown("they are not encrypted"),
                count => rule(count > 1, format!("{count} recipients")),
            })
        },
    ),
    machine(
        "backups.fresh",
        Critical,
        "The last backup is no older than two intervals",
        "mainstay backup",
        |facts| {
            of_backup(facts, |it| {
                let most = it.interval_ms.map_or(CONTINUOUS_MS, |ms| ms.saturating_mul(2));
                young(it.last_at, facts, most, "no backup was made yet")
            })
        },
    ),
    machine(
        "backups.verified",
        Critical,
        "A backup was read back in the last 7 days, and was good",
        "read one back; `mainstay backups` says which were",
        |facts| {
            of_backup(facts, |it| young(it.verified_at, facts, 7 * DAY_MS, "none was read back"))
        },
    ),
    machine(
        "backups.target-reachable",
        Critical,
        "The place of the backups can be reached",
        "mainstay backups",
        |facts| {
            of_backup(facts, |it| match &it.unreachable {
                None => Ruling::pass(it.target.clone()),
                Some(error) => Ruling::fail(error.clone()),
            })
        },
    ),
    machine(
        "backups.off-site",
        Critical,
        "Backups lie elsewhere than the journal",
        "set `to` in [backup] to another machine's disk or an object store",
        |facts| of_backup(facts, |it| rule(it.is_off_site, it.target.clone())),
    ),
    machine(
        "backups.retention",
        Major,
        "At least 7 daily, 4 weekly and 12 monthly backups are kept",
        "set `keep` in [backup]",
        |facts| {
            of_backup(facts, |it| {
                let Keep { daily, weekly, monthly, .. } = it.keep;
                let (days, weeks, months) = KEPT;
                let enough = daily >= days && weekly >= weeks && monthly >= months;
                rule(enough, format!("{daily} daily, {weekly} weekly, {monthly} monthly"))
            })
        },
    ),
    machine(
        "backups.keep-within",
        Minor,
        "Every backup of the last 48 hours is kept",
        "set `keep.within` in [backup] to 48h",
        |facts| {
            of_backup(facts, |it| {
                rule(it.keep.within_ms >= 2 * DAY_MS, words::span(it.keep.within_ms))
            })
        },
    ),
    machine(
        "backups.drill-recent",
        Critical,
        "A drill was good in the last 31 days",
        "mainstay drill",
        |facts| of_drill(facts, |it| young(it.good_at, facts, DRILL_MS, "none was good yet")),
    ),
    machine(
        "backups.drill-rto",
        Critical,
        "The last drill was back within the RTO",
        "mainstay drill; its report says which phase took how long",
        |facts| of_drill(facts, |it| measured(it.rto_ms, it.rto_target_ms)),
    ),
    machine(
        "backups.drill-rpo",
        Critical,
        "The last drill lost no more than the RPO",
        "mainstay drill; set `continuous = true` in [backup]",
        |facts| of_drill(facts, |it| measured(it.rpo_ms, it.rpo_target_ms)),
    ),
    attested(
        "backups.restore-rehearsed",
        Critical,
        "The people on call have restored a backup by the runbook themselves",
        "restore one into a scratch directory by hand",
        90,
    ),
    attested(
        "backups.identities-kept",
        Critical,
        "The identities that open the backups lie in two places away from the journal, and open one",
        "open a backup with each copy of the identity",
        180,
    ),
];

fn interval(facts: &Facts) -> Ruling {
    of_backup(facts, |it| {
        let BackupFacts { continuous, interval_ms, rpo_ms, .. } = it;
        let rpo = words::span(*rpo_ms);
        match interval_ms {
            _ if *continuous => Ruling::pass(format!("continuous, the RPO is {rpo}")),
            Some(ms) => rule(ms <= rpo_ms, format!("every {}, the RPO is {rpo}", words::span(*ms))),
            None => Ruling::fail(format!("neither continuous nor scheduled, the RPO is {rpo}")),
        }
    })
}

fn young(
    at: Option<mainstay_actors::time::Timestamp>,
    facts: &Facts,
    most_ms: u64,
    never: &str,
) -> Ruling {
    match at {
        Some(at) => rule(facts.now.ms_since(at) <= most_ms, words::ago(at, facts.now)),
        None => Ruling::fail(never),
    }
}

fn measured(ms: Option<u64>, target_ms: u64) -> Ruling {
    match ms {
        Some(ms) => {
            let told = format!("{}, the target is {}", words::span(ms), words::span(target_ms));
            rule(ms <= target_ms, told)
        },
        None => Ruling::unknown("no drill has measured it"),
    }
}
