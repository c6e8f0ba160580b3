//! How much failure there was.

use mainstay_actors::health::Level;
use mainstay_actors::time::Timestamp;

use crate::preflight::item::Severity::{Critical, Major};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, none_of, of_journal, rule};
use crate::preflight::words::{self, DAY_MS};

/// How far back levels are looked at, in milliseconds.
pub(in crate::preflight) const LOOK_BACK_MS: u64 = 7 * DAY_MS;
/// Most level changes of a calm day.
const CALM_LEVELS: usize = 10;
/// Most openings of one breaker in a calm day.
const CALM_OPENINGS: u64 = 5;
/// Share of failures that is taken, in ten-thousandths.
const MOST_FAILURES: u64 = 100;
/// Share of the time that the level should be OPTIMAL, in ten-thousandths.
const LEAST_OPTIMAL: u64 = 9_950;
/// Fewer calls give no rate.
const FEW_CALLS: u64 = 100;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "budgets.no-p0-p1",
        Critical,
        "The level was never EMERGENCY (P0) or MINIMAL (P1) in the last 7 days",
        "mainstay audit --type LevelChanged; launch 7 days after the last one",
        |facts| {
            of_journal(facts, |it| {
                let worst = worst(&it.levels, facts.now);
                rule(worst > Level::Minimal, format!("the worst was {worst}"))
            })
        },
    ),
    machine("budgets.level-now", Critical, "The level is OPTIMAL", "mainstay status", |facts| {
        of_journal(facts, |it| {
            let level = it.levels.last().map_or(Level::Optimal, |(_, level)| *level);
            // A worse level of the last week is told by the item before this one.
            if level <= Level::Minimal {
                return Ruling::unknown(format!("it is {level}; see budgets.no-p0-p1"));
            }
            rule(level == Level::Optimal, format!("it is {level}"))
        })
    }),
    machine(
        "budgets.optimal-share",
        Major,
        "The level was OPTIMAL 99.5 % of the last 7 days",
        "mainstay audit --type LevelChanged",
        |facts| {
            of_journal(facts, |it| {
                let Some(first) = it.first_at else {
                    return Ruling::unknown("there is no event");
                };
                let (share, of_ms) = optimal(&it.levels, first, facts.now);
                let told = format!("{}.{:02} %", share / 100, share % 100);
                rule(share >= LEAST_OPTIMAL, format!("{told} of {}", words::span(of_ms)))
            })
        },
    ),
    machine(
        "budgets.level-calm",
        Major,
        "The level changed at most 10 times in the last day",
        "mainstay audit --type LevelChanged; set `health.recover_after` higher",
        |facts| {
            of_journal(facts, |it| {
                let of_day = |(at, _): &&(Timestamp, Level)| facts.now.ms_since(*at) <= DAY_MS;
                let changes = it.levels.iter().filter(of_day).count();
                rule(changes <= CALM_LEVELS, format!("{changes} changes"))
            })
        },
    ),
    machine(
        "budgets.breakers-calm",
        Major,
        "No breaker opened more than 5 times in the last day",
        "mainstay audit --type BreakerOpened",
        |facts| {
            of_journal(facts, |it| {
                let busy = it.dependencies.iter().filter(|it| it.openings_of_day > CALM_OPENINGS);
                let busy: Vec<String> = busy
                    .map(|it| format!("{} opened {} times", it.name, it.openings_of_day))
                    .collect();
                none_of(&busy, format!("{} dependencies", it.dependencies.len()))
            })
        },
    ),
    machine(
        "budgets.failures",
        Critical,
        "At most 1 % of the calls of each dependency failed in the last day",
        "mainstay audit --type WindowObserved",
        |facts| {
            of_journal(facts, |it| {
                let rate = |calls, failures: u64| failures.saturating_mul(10_000) / calls;
                let bad = it.dependencies.iter().filter(|it| it.calls_of_day >= FEW_CALLS);
                let bad =
                    bad.filter(|it| rate(it.calls_of_day, it.failures_of_day) > MOST_FAILURES);
                let bad: Vec<String> = bad
                    .map(|it| {
                        let (calls, failures) = (it.calls_of_day, it.failures_of_day);
                        format!("{} of {calls} calls of {} failed", failures, it.name)
                    })
                    .collect();
                let calls: u64 = it.dependencies.iter().map(|it| it.calls_of_day).sum();
                none_of(&bad, format!("{calls} calls"))
            })
        },
    ),
    attested(
        "budgets.load-report",
        Critical,
        "A load test of this release met its thresholds in the last 24 hours",
        "run the load test against this release",
        1,
    ),
    attested(
        "budgets.smoke-report",
        Critical,
        "The smoke tests of this release passed in the last 24 hours",
        "run the smoke tests against this release",
        1,
    ),
];

/// The start of the days that are looked at.
fn since(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_sub(LOOK_BACK_MS * 1_000))
}

/// The worst level of the last days, that in which they began among them.
pub(in crate::preflight) fn worst(levels: &[(Timestamp, Level)], now: Timestamp) -> Level {
    let since = since(now);
    let before = levels.iter().rev().find(|(at, _)| *at <= since);
    let within = levels.iter().filter(|(at, _)| *at > since);
    before.into_iter().chain(within).map(|(_, level)| *level).min().unwrap_or(Level::Optimal)
}

/// The share of the last days in which the level was OPTIMAL, in ten-thousandths, and how long they
/// are; a journal that is younger is looked at from its beginning.
fn optimal(levels: &[(Timestamp, Level)], first: Timestamp, now: Timestamp) -> (u64, u64) {
    let begin = since(now).max(first).min(now);
    let (mut at, mut level, mut good_us) = (begin, Level::Optimal, 0);
    for (changed, to) in levels.iter().chain([&(now, Level::Optimal)]) {
        let until = (*changed).clamp(begin, now).max(at);
        if level == Level::Optimal {
            good_us += until.as_micros() - at.as_micros();
        }
        (at, level) = (until, *to);
    }
    let whole_us = now.as_micros() - begin.as_micros();
    let share = good_us.saturating_mul(10_000).checked_div(whole_us).unwrap_or(10_000);
    (share, now.ms_since(begin))
}
