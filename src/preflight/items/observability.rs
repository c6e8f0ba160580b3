//! Who would see trouble.

use std::collections::BTreeSet;

use crate::preflight::facts::ServerFacts;
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, none_of, of_journal, of_server, rule};

/// The contract of the metrics.
const CONTRACT: &str = include_str!("../../../docs/metrics.md");

pub(super) const ITEMS: &[Item] = &[
    machine(
        "observability.ready",
        Critical,
        "The server takes commands",
        "mainstay status",
        |facts| match &facts.server {
            Some(Ok(ServerFacts { ready, .. })) => match ready {
                Ok(()) => Ruling::pass("/readyz says so"),
                Err(reason) => Ruling::fail(reason.clone()),
            },
            Some(Err(error)) => Ruling::fail(error.clone()),
            None => of_server(facts, |_| Ruling::pass("it was asked")),
        },
    ),
    machine(
        "observability.metrics",
        Critical,
        "/metrics answers",
        "let whoever asks have a key of all tenants, role viewer",
        |facts| {
            of_server(facts, |it| match &it.metrics {
                Ok(names) => Ruling::pass(format!("{} names", names.len())),
                Err(error) => Ruling::fail(error.clone()),
            })
        },
    ),
    machine(
        "observability.families",
        Critical,
        "/metrics has every name of docs/metrics.md",
        "run the server of this release",
        |facts| {
            of_server(facts, |it| match &it.metrics {
                Ok(names) => missing(names),
                Err(_) => Ruling::unknown("/metrics does not answer"),
            })
        },
    ),
    machine(
        "observability.health",
        Critical,
        "/health answers with a level and a score",
        "mainstay status",
        |facts| {
            of_server(facts, |it| match &it.health {
                Some((level, score)) => Ruling::pass(format!("{level}, score {score}")),
                None => Ruling::fail("it has neither"),
            })
        },
    ),
    machine(
        "observability.openapi",
        Minor,
        "/openapi.json answers",
        "run the server of this release",
        |facts| {
            of_server(facts, |it| match &it.version {
                Some(version) => Ruling::pass(format!("of {version}")),
                None => Ruling::fail("it has no version"),
            })
        },
    ),
    machine(
        "observability.release",
        Major,
        "The server that answers is of this release",
        "run the server of this release",
        |facts| {
            of_server(facts, |it| match &it.version {
                Some(version) => rule(
                    *version == facts.release,
                    format!("it is {version}, this is {}", facts.release),
                ),
                None => Ruling::unknown("it does not say which"),
            })
        },
    ),
    machine(
        "observability.correlated",
        Minor,
        "Callers name their trace or request, so that their work can be followed",
        "send `traceparent` or `X-Request-Id` with every command",
        |facts| {
            of_journal(facts, |it| {
                let (events, named) = it.correlated;
                if events == 0 {
                    return Ruling::not_applicable("nobody has commanded anything lately");
                }
                rule(named * 2 >= events, format!("{named} of the newest {events} events"))
            })
        },
    ),
    attested(
        "observability.scraped",
        Critical,
        "The metrics are collected, and kept for 30 days",
        "let Prometheus scrape /metrics",
        90,
    ),
    attested(
        "observability.alerts",
        Critical,
        "An alert was seen to reach the person on call",
        "let one fire, and see it arrive",
        90,
    ),
    attested(
        "observability.logs",
        Major,
        "Logs are collected away from this machine",
        "collect stderr of the server",
        90,
    ),
    attested(
        "observability.dashboard",
        Major,
        "A dashboard shows health, breakers and journal to who is on call",
        "make one of the metrics",
        90,
    ),
    attested(
        "observability.status-page",
        Critical,
        "A status page tells customers when something is down, and somebody can write on it",
        "write a test message on it",
        90,
    ),
];

/// Names of the contract, but those that need a dependency, a key or a backup to be there.
fn missing(served: &BTreeSet<String>) -> Ruling {
    let rows = CONTRACT.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let always = rows.filter(|(name, rest)| {
        let labels = rest.split(" | ").next().unwrap_or_default();
        let of_one = labels.contains("`dependency`") || labels.contains("`key`");
        // `backups.fresh` and its sisters say what is wrong with those.
        !of_one && !name.starts_with("mainstay_backup")
    });
    let names: Vec<&str> = always.map(|(name, _)| name).collect();
    let bad = names.iter().filter(|name| !served.contains(**name));
    let bad: Vec<String> = bad.map(|name| format!("no {name}")).collect();
    none_of(&bad, format!("all {}", names.len()))
}
