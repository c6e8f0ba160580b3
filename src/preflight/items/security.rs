//! Secrets and their files, encryption, reviews.

use crate::config::{Config, KeysNeeded, ProbeTarget, parts};
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, none_of, of_config, of_journal, rule};
use crate::preflight::words::{self, OTHERS, STRANGERS};

/// Most refusals of known keys in a calm day.
const CALM_REFUSALS: u64 = 100;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "security.sealed-at-rest",
        Critical,
        "Blocks of the journal are sealed at rest",
        "mainstay journal-key create FILE, then set `journal.key_file`",
        |facts| {
            of_config(facts, |it| match &it.config.journal.key_file {
                Some(path) => Ruling::pass(format!("under the keys of {}", path.display())),
                None => Ruling::fail("they lie in the plain"),
            })
        },
    ),
    machine(
        "security.signing-key",
        Critical,
        "There is a key that signs checkpoints, and only its owner can read it",
        "mainstay checkpoint --data DIR; chmod 600 DIR/signing/key",
        |facts| private(facts.files.signing_key, "signing/key"),
    ),
    machine(
        "security.secret-mode",
        Critical,
        "Only its owner can read the secret of the data directory",
        "chmod 600 DIR/secret",
        |facts| private(facts.files.secret, "secret"),
    ),
    machine(
        "security.subject-keys-mode",
        Critical,
        "Only their owner can read the keys of subjects",
        "chmod 700 DIR/keys; chmod 600 DIR/keys/*",
        |facts| {
            let keys = &facts.files.subject_keys;
            if keys.is_empty() {
                return Ruling::not_applicable("there are none");
            }
            let open = keys.iter().filter(|(_, mode)| !words::keeps_out(*mode, OTHERS));
            let open = open.map(|(name, mode)| format!("{name} has {}", words::mode(*mode)));
            none_of(&open.collect::<Vec<_>>(), format!("{} files and folders", keys.len()))
        },
    ),
    machine(
        "security.data-mode",
        Major,
        "Nobody but its owner and group can look into the data directory",
        "chmod o-rwx DIR",
        |facts| match facts.files.data {
            Some((mode, _)) => {
                let closed = words::keeps_out(mode, STRANGERS);
                rule(closed, format!("mode {}", words::mode(mode)))
            },
            None => Ruling::unknown("there is no data directory"),
        },
    ),
    machine(
        "security.keys-required",
        Critical,
        "Every request needs a key",
        "set `access.keys = \"required\"`",
        |facts| {
            of_config(facts, |it| {
                let Config { server, access, .. } = &it.config;
                let asked = access.keys == KeysNeeded::Required;
                let needed = asked || server.tls.is_some() || server.is_public();
                let told = if needed { "it does" } else { "whoever reaches loopback is an admin" };
                rule(needed, told)
            })
        },
    ),
    machine(
        "security.origins",
        Major,
        "Pages that may ask in a browser come over https",
        "name https origins in `server.origins`",
        |facts| {
            of_config(facts, |it| {
                let origins: Vec<&str> = it.config.server.origins.iter().collect();
                let plain = origins.iter().filter(|it| it.starts_with("http://"));
                let bad: Vec<String> =
                    plain.filter(|it| !is_here(it)).map(|it| (*it).to_owned()).collect();
                none_of(&bad, format!("{} origins", origins.len()))
            })
        },
    ),
    machine(
        "security.redirect",
        Minor,
        "Plain HTTP is led to https",
        "set `server.redirect`",
        |facts| {
            of_config(facts, |it| match (&it.config.server.tls, it.config.server.redirect) {
                (None, _) => Ruling::not_applicable("there is no [server.tls]"),
                (Some(_), Some(from)) => Ruling::pass(format!("from {from}")),
                (Some(_), None) => Ruling::fail("nothing leads there"),
            })
        },
    ),
    machine(
        "security.key-file-outside",
        Critical,
        "The keys of blocks at rest lie outside the data directory",
        "move the file, then set `journal.key_file`",
        |facts| {
            of_config(facts, |it| match &it.config.journal.key_file {
                None => Ruling::not_applicable("blocks lie in the plain"),
                Some(path) => rule(!facts.files.journal_key_is_inside, path.display().to_string()),
            })
        },
    ),
    machine(
        "security.not-root",
        Major,
        "The data directory is not root's: the server needs no rights of it",
        "run the server as a user of its own; chown -R USER DIR",
        |facts| match facts.files.data {
            Some((_, owner)) => rule(owner != 0, format!("its owner is {owner}")),
            None => Ruling::unknown("there is no data directory"),
        },
    ),
    machine(
        "security.refusals-calm",
        Major,
        "At most 100 refusals of known keys were recorded in the last day",
        "mainstay audit --type AccessRefused",
        |facts| {
            of_journal(facts, |it| {
                let count = it.refusals_of_day;
                rule(count <= CALM_REFUSALS, format!("{count} refusals"))
            })
        },
    ),
    machine(
        "security.probes-encrypted",
        Minor,
        "No probe of HTTP, Redis or PostgreSQL leaves this machine in the plain",
        "set `probe` to https, rediss, or postgres with sslmode=verify-full",
        |facts| {
            of_config(facts, |it| {
                let plain = |target: &ProbeTarget| match target {
                    ProbeTarget::Http(url) => url.starts_with("http://") && !is_here(url),
                    ProbeTarget::Redis(it) => !it.tls && !is_here_host(&it.host),
                    ProbeTarget::Postgres(it) => !it.tls && !is_here_host(&it.host),
                    ProbeTarget::Tcp(_) => false,
                };
                let probed = it.config.dependency.iter().filter_map(|it| it.probe.as_ref());
                let bad: Vec<String> =
                    probed.filter(|it| plain(it)).map(ToString::to_string).collect();
                none_of(&bad, "none does")
            })
        },
    ),
    attested(
        "security.penetration-test",
        Critical,
        "The service was tested by people who tried to break in, and what they found is closed",
        "have the service tested",
        365,
    ),
    attested(
        "security.scans-clean",
        Critical,
        "Dependencies and history of the service were scanned for known holes and secrets",
        "scan both, and close what is found",
        30,
    ),
    attested(
        "security.threats-reviewed",
        Critical,
        "The threat model was read again with this release in mind",
        "read docs/threat-model.md and the service's own",
        365,
    ),
];

fn private(mode: Option<u32>, name: &str) -> Ruling {
    match mode {
        Some(mode) => {
            rule(words::keeps_out(mode, OTHERS), format!("{name} has {}", words::mode(mode)))
        },
        None => Ruling::fail(format!("there is no {name}: no server was ever started on it")),
    }
}

/// Whether a URL or origin names this machine.
fn is_here(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let (host, _) = parts(authority);
    is_here_host(host.trim_start_matches('[').trim_end_matches(']'))
}

fn is_here_host(host: &str) -> bool {
    let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}
