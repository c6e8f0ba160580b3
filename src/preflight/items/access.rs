//! Who may come in.

use mainstay_actors::key::Role;

use crate::preflight::facts::{Facts, KeyFacts};
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, none_of, of_journal, rule};
use crate::preflight::words::{self, DAY_MS};

/// Oldest newest secret of a key, in milliseconds.
const OLD_MS: u64 = 90 * DAY_MS;
/// A key that nobody has used for so long is not needed, in milliseconds.
const UNUSED_MS: u64 = 30 * DAY_MS;
/// A key that ends within this is to be renewed now, in milliseconds.
const ENDING_MS: u64 = 14 * DAY_MS;
/// How long an older secret may go on, in milliseconds.
const OVERLAP_MS: u64 = 7 * DAY_MS;
/// Most admins.
const FEW_ADMINS: usize = 5;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "access.admin",
        Critical,
        "There is a good key of an admin of all tenants",
        "mainstay keys create NAME --role admin",
        |facts| {
            of_journal(facts, |it| {
                let admins = it.keys.iter().filter(|it| is_admin(it)).count();
                rule(admins > 0, format!("{admins} of {} keys", it.keys.len()))
            })
        },
    ),
    machine(
        "access.second-admin",
        Major,
        "There is a second admin, for when the first key is lost",
        "mainstay keys create NAME --role admin",
        |facts| {
            of_journal(facts, |it| match it.keys.iter().filter(|it| is_admin(it)).count() {
                0 => Ruling::unknown("there is none at all"),
                admins => rule(admins > 1, format!("{admins} of {} keys", it.keys.len())),
            })
        },
    ),
    machine(
        "access.few-admins",
        Minor,
        "At most 5 keys are those of admins",
        "mainstay keys revoke NAME --reason …",
        |facts| {
            of_some(facts, |keys| {
                let admins = keys.iter().filter(|it| it.role == Role::Admin).count();
                rule(admins <= FEW_ADMINS, format!("{admins} of {}", keys.len()))
            })
        },
    ),
    machine(
        "access.least-rights",
        Critical,
        "Not every key is that of an admin: services have roles of their own",
        "mainstay keys create NAME --role operator",
        |facts| {
            of_some(facts, |keys| {
                let others = keys.iter().filter(|it| it.role != Role::Admin).count();
                rule(others > 0, format!("{others} of {} have another role", keys.len()))
            })
        },
    ),
    machine(
        "access.viewer",
        Minor,
        "Whoever only reads, as a scraper does, has a key that only reads",
        "mainstay keys create NAME --role viewer",
        |facts| {
            of_some(facts, |keys| {
                if keys.iter().all(|it| it.role == Role::Admin) {
                    return Ruling::unknown("all are admins: see access.least-rights");
                }
                let viewers = keys.iter().filter(|it| it.role == Role::Viewer).count();
                rule(viewers > 0, format!("{viewers} of {}", keys.len()))
            })
        },
    ),
    machine(
        "access.fresh",
        Critical,
        "No key's secret is older than 90 days",
        "mainstay keys rotate NAME",
        |facts| {
            each(facts, |it| {
                let age = facts.now.ms_since(it.rotated_at);
                (age > OLD_MS).then(|| format!("is {} old", words::span(age)))
            })
        },
    ),
    machine(
        "access.used",
        Major,
        "No key that commands was left unused for 30 days",
        "mainstay keys revoke NAME --reason \"nobody uses it\"",
        |facts| {
            each(facts, |it| {
                // What a viewer does leaves no event.
                let last = it.used_at.unwrap_or(it.created_at).max(it.created_at);
                let idle = facts.now.ms_since(last);
                let writes = it.role != Role::Viewer && it.role != Role::Admin;
                (writes && idle > UNUSED_MS).then(|| format!("is idle for {}", words::span(idle)))
            })
        },
    ),
    machine(
        "access.not-ending",
        Critical,
        "No key ends within 14 days",
        "mainstay keys create NAME, then change its holder over",
        |facts| {
            each(facts, |it| {
                let left = it.expires_at?.ms_since(facts.now);
                (left < ENDING_MS).then(|| format!("ends in {}", words::span(left)))
            })
        },
    ),
    machine(
        "access.no-overlap",
        Major,
        "No rotated secret is still taken after 7 days",
        "mainstay keys rotate NAME --overlap 0s, once its holders have changed over",
        |facts| {
            each(facts, |it| {
                let since = facts.now.ms_since(it.overlaps_since?);
                (since > OVERLAP_MS).then(|| format!("has an older one for {}", words::span(since)))
            })
        },
    ),
    machine(
        "access.no-stale-tries",
        Major,
        "Nobody tried a key in the last day that has expired or was revoked",
        "mainstay audit --type AccessRefused; give its holder another key",
        |facts| {
            of_journal(facts, |it| {
                let tries = it.stale_tries_of_day;
                rule(tries == 0, format!("{tries} refusals"))
            })
        },
    ),
    attested(
        "access.on-call",
        Critical,
        "Who is on call has a key of their own, and has used it",
        "let each of them run `mainstay status`",
        90,
    ),
    attested(
        "access.leavers",
        Critical,
        "Keys of people and services that have left are revoked",
        "go through `mainstay keys list`",
        90,
    ),
];

fn is_admin(key: &KeyFacts) -> bool {
    key.role == Role::Admin && !key.of_tenant
}

/// Over the keys, if there are any.
fn of_some(facts: &Facts, rule: impl FnOnce(&[KeyFacts]) -> Ruling) -> Ruling {
    of_journal(facts, |it| match &it.keys[..] {
        [] => Ruling::unknown("there is no key"),
        keys => rule(keys),
    })
}

/// It passes if nothing is told of any key.
fn each(facts: &Facts, bad: impl Fn(&KeyFacts) -> Option<String>) -> Ruling {
    of_some(facts, |keys| {
        let told = keys.iter().filter_map(|it| Some(format!("{} {}", it.name, bad(it)?)));
        none_of(&told.collect::<Vec<_>>(), format!("all {}", keys.len()))
    })
}
