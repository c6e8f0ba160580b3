//! What the service calls.

use mainstay_actors::dependency::Mode;

use crate::preflight::facts::{DependencyFacts, Facts, JournalFacts};
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, none_of, of_config, of_journal, rule};
use crate::preflight::words::{self, DAY_MS};

/// Fewest calls that a rate should be taken over.
const MINIMUM_CALLS: u32 = 5;
/// Shares of failures, in ten-thousandths, at which a breaker should trip.
const TRIPS: std::ops::RangeInclusive<u32> = 500..=9_000;
/// How long a breaker should stay open at first, in milliseconds.
const OPEN_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "dependencies.any",
        Critical,
        "What the service calls is registered",
        "name it in [[dependency]], or PUT it",
        |facts| {
            of_journal(facts, |it| {
                let count = it.dependencies.len();
                rule(count > 0, format!("{count} dependencies"))
            })
        },
    ),
    machine(
        "dependencies.critical",
        Critical,
        "A dependency is marked as one that the service cannot do without",
        "set `critical = true` in its [[dependency]]",
        |facts| {
            of_some(facts, |all| {
                let critical = all.iter().filter(|it| it.settings.cap.is_some()).count();
                rule(critical > 0, format!("{critical} of {} are critical", all.len()))
            })
        },
    ),
    machine(
        "dependencies.weights",
        Critical,
        "Every dependency has a weight in the score",
        "set `weight` in its [[dependency]]",
        |facts| each(facts, |it| (it.settings.weight == 0).then(|| "has weight 0".to_owned())),
    ),
    machine(
        "dependencies.seen",
        Critical,
        "Every dependency was probed or called in the last day",
        "set `probe` in its [[dependency]], or report its outcomes",
        |facts| {
            let now = facts.now;
            each(facts, |it| match it.observed_at {
                Some(at) if now.ms_since(at) <= DAY_MS => None,
                Some(at) => Some(format!("was seen {}", words::ago(at, now))),
                None => Some("was never seen".to_owned()),
            })
        },
    ),
    machine(
        "dependencies.probed",
        Major,
        "Every critical dependency of the configuration has a probe",
        "set `probe` in its [[dependency]]",
        |facts| {
            of_config(facts, |it| {
                let critical = it.config.dependency.iter().filter(|it| it.critical);
                let (probed, bare): (Vec<_>, Vec<_>) = critical.partition(|it| it.probe.is_some());
                if probed.is_empty() && bare.is_empty() {
                    return Ruling::not_applicable("the configuration names no critical one");
                }
                let bare: Vec<String> =
                    bare.iter().map(|it| format!("{} has no probe", it.name)).collect();
                none_of(&bare, format!("{} are probed", probed.len()))
            })
        },
    ),
    machine(
        "dependencies.known",
        Critical,
        "The score of every dependency is known",
        "let it be called: a rate needs `minimum_calls` outcomes",
        |facts| {
            // One that was never seen, or is switched off by hand, is told by another item.
            each(facts, |it| {
                let counts = it.observed_at.is_some() && it.mode != Mode::Disabled;
                (counts && !it.is_known).then(|| "has no score yet".to_owned())
            })
        },
    ),
    machine(
        "dependencies.closed",
        Critical,
        "No breaker has tripped",
        "mainstay audit --type BreakerOpened",
        |facts| {
            let tripped = [Mode::Open, Mode::HalfOpen];
            each(facts, |it| tripped.contains(&it.mode).then(|| format!("is {}", it.mode)))
        },
    ),
    machine(
        "dependencies.not-forced",
        Critical,
        "No breaker is held by hand",
        "POST /dependencies/NAME/state {\"to\": \"closed\", \"reason\": …}",
        |facts| {
            let by_hand = [Mode::ForcedOpen, Mode::Disabled, Mode::MetricsOnly];
            each(facts, |it| by_hand.contains(&it.mode).then(|| format!("is {}", it.mode)))
        },
    ),
    machine(
        "dependencies.minimum-calls",
        Major,
        "No breaker trips on fewer than 5 calls",
        "set `minimum_calls` in [dependency.breaker]",
        |facts| {
            each(facts, |it| {
                let calls = it.settings.breaker.minimum_calls;
                (calls < MINIMUM_CALLS).then(|| format!("may trip on {calls}"))
            })
        },
    ),
    machine(
        "dependencies.failure-rate",
        Major,
        "Every breaker trips at a failure rate of 5 % to 90 %",
        "set `failure_rate` in [dependency.breaker]",
        |facts| {
            each(facts, |it| {
                let rate = it.settings.breaker.failure_rate.ten_thousandths();
                (!TRIPS.contains(&rate)).then(|| format!("trips at {} %", rate / 100))
            })
        },
    ),
    machine(
        "dependencies.open-for",
        Major,
        "Every breaker stays open for 1 s to 10 min at first",
        "set `open_for` in [dependency.breaker]",
        |facts| {
            each(facts, |it| {
                let ms = it.settings.breaker.open_for_ms;
                (!OPEN_MS.contains(&ms)).then(|| format!("stays open for {}", words::span(ms)))
            })
        },
    ),
    machine(
        "dependencies.slow-calls",
        Minor,
        "Every breaker knows from when on a call is slow",
        "set `slow_call` in [dependency.breaker]",
        |facts| {
            each(facts, |it| {
                it.settings.breaker.slow_call_ms.is_none().then(|| "finds no call slow".to_owned())
            })
        },
    ),
    machine(
        "dependencies.probe-timeouts",
        Major,
        "No probe may take longer than the time between two",
        "set `timeout` below `every` in [[dependency]]",
        |facts| {
            of_config(facts, |it| {
                let probed: Vec<_> =
                    it.config.dependency.iter().filter(|it| it.probe.is_some()).collect();
                if probed.is_empty() {
                    return Ruling::not_applicable("nothing is probed");
                }
                let slow = probed.iter().filter(|it| it.timeout > it.every);
                let slow = slow
                    .map(|it| format!("{} may take {}, every {}", it.name, it.timeout, it.every));
                none_of(&slow.collect::<Vec<_>>(), format!("{} are in time", probed.len()))
            })
        },
    ),
    attested(
        "dependencies.fallbacks-tried",
        Critical,
        "What the service does without each of its dependencies was tried, one after the other",
        "force each breaker open in a test environment and look at the service",
        90,
    ),
];

/// Over the dependencies, if there are any.
fn of_some(facts: &Facts, rule: impl FnOnce(&[DependencyFacts]) -> Ruling) -> Ruling {
    of_journal(facts, |JournalFacts { dependencies, .. }| match &dependencies[..] {
        [] => Ruling::unknown("there is no dependency"),
        all => rule(all),
    })
}

/// It passes if nothing is told of any dependency.
fn each(facts: &Facts, bad: impl Fn(&DependencyFacts) -> Option<String>) -> Ruling {
    of_some(facts, |all| {
        let told = all.iter().filter_map(|it| Some(format!("{} {}", it.name, bad(it)?)));
        none_of(&told.collect::<Vec<_>>(), format!("all {}", all.len()))
    })
}
