//! What the program was told.

use mainstay_actors::dependency::Settings;

use crate::preflight::facts::Facts;
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, machine};
use crate::preflight::ruling::{Ruling, none_of, of_config, of_journal, rule};
use crate::preflight::words;

/// Shortest and longest time that a better level should hold before it counts, in milliseconds.
const CALM_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "configuration.readable",
        Critical,
        "The configuration can be read as `serve` reads it",
        "mainstay serve --config FILE --dry-run",
        |facts| match &facts.config {
            Ok(_) => Ruling::pass("it was read"),
            Err(error) => Ruling::fail(error.clone()),
        },
    ),
    machine(
        "configuration.file-named",
        Major,
        "The configuration is in a file, and not in defaults and variables alone",
        "mainstay serve --config FILE",
        |facts| {
            of_config(facts, |it| match &it.file {
                Some((path, _)) => Ruling::pass(path.display().to_string()),
                None => Ruling::fail("no file is named"),
            })
        },
    ),
    machine(
        "configuration.file-mode",
        Critical,
        "Only its owner can change the configuration file",
        "chmod go-w FILE",
        |facts| {
            of_config(facts, |it| match &it.file {
                Some((_, mode)) => rule(mode & 0o022 == 0, format!("mode {}", words::mode(*mode))),
                None => Ruling::not_applicable("there is no file"),
            })
        },
    ),
    machine(
        "configuration.data-absolute",
        Critical,
        "The data directory is an absolute path: a start from another folder finds the same journal",
        "set `server.data` to an absolute path",
        |facts| {
            of_config(facts, |it| {
                let data = &it.config.server.data;
                rule(data.is_absolute(), data.display().to_string())
            })
        },
    ),
    machine(
        "configuration.listen-safe",
        Critical,
        "An address that others reach is served over TLS",
        "name a certificate in [server.tls], or listen on 127.0.0.1",
        |facts| {
            of_config(facts, |it| {
                let server = &it.config.server;
                let tls = if server.tls.is_some() { "with TLS" } else { "without TLS" };
                let safe = !server.is_public() || server.tls.is_some();
                rule(safe, format!("{} {tls}", server.listen))
            })
        },
    ),
    machine(
        "configuration.port-fixed",
        Major,
        "The server listens on a port that is known before it starts",
        "set `server.listen` to a port other than 0",
        |facts| {
            of_config(facts, |it| {
                let port = it.config.server.listen.port();
                rule(port != 0, format!("port {port}"))
            })
        },
    ),
    machine(
        "configuration.names",
        Major,
        "A server that others reach knows the names by which it may be asked for",
        "set `server.names`",
        |facts| {
            of_config(facts, |it| {
                let server = &it.config.server;
                if !server.is_public() {
                    return Ruling::not_applicable("it listens on loopback");
                }
                let names: Vec<&str> = server.names.iter().collect();
                let told = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                rule(!names.is_empty(), told)
            })
        },
    ),
    machine(
        "configuration.rate-limited",
        Critical,
        "No key may ask without a limit",
        "set `access.rate_per_second`",
        |facts| {
            of_config(facts, |it| {
                let rate = it.config.access.rate_per_second.size();
                rule(rate > 0, format!("{rate} requests a second"))
            })
        },
    ),
    machine(
        "configuration.checkpoint-kept",
        Major,
        "What a start needs is kept, so that it folds only what came after",
        "set `limits.checkpoint_events` above 0",
        |facts| {
            of_config(facts, |it| {
                let events = it.config.limits.host().checkpoint_events;
                rule(events > 0, format!("after {events} events"))
            })
        },
    ),
    machine(
        "configuration.recover-after",
        Minor,
        "A better level has to hold for a while before it counts",
        "set `health.recover_after` to 1 s to 10 min",
        |facts| {
            of_config(facts, |it| {
                let ms = it.config.health.recover_after.as_ms();
                rule(CALM_MS.contains(&ms), words::span(ms))
            })
        },
    ),
    machine(
        "configuration.applied",
        Critical,
        "The journal has every dependency as the configuration names it",
        "start the server with this configuration",
        applied,
    ),
    machine(
        "configuration.release-same",
        Critical,
        "The newest start of the journal was of this release",
        "start the server of this release",
        |facts| {
            of_journal(facts, |it| match it.starts.last() {
                Some(start) => rule(
                    start.version == facts.release,
                    format!("{} was started, this is {}", start.version, facts.release),
                ),
                None => Ruling::fail("no server was ever started on it"),
            })
        },
    ),
];

fn applied(facts: &Facts) -> Ruling {
    of_config(facts, |config| {
        of_journal(facts, |journal| {
            let named = config.config.settings();
            let differs = |(name, settings): (&String, &Settings)| {
                let held = journal.dependencies.iter().find(|it| it.name == *name);
                match held {
                    Some(held) if held.settings == *settings => None,
                    Some(_) => Some(format!("{name} has other settings")),
                    None => Some(format!("{name} is unknown")),
                }
            };
            let bad: Vec<String> = named.iter().filter_map(differs).collect();
            none_of(&bad, format!("{} are named, and are as they are named", named.len()))
        })
    })
}
