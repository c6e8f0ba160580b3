//! The one sequence of events.

use crate::preflight::facts::{Facts, Start};
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, machine};
use crate::preflight::ruling::{Ruling, none_of, of_config, of_journal, of_server, rule};
use crate::preflight::words::{self, DAY_MS, OTHERS};

/// Slowest sync that a launch should see, in microseconds.
const SLOW_SYNC_US: u64 = 50_000;
/// Most starts of a calm day.
const CALM_STARTS: usize = 5;
/// A checkpoint of a start is behind by at most so many times what it is kept after.
const CHECKPOINTS_BEHIND: u64 = 4;
/// The newest checkpoint of a witness leaves out at most so many events.
const WITNESS_BEHIND: u64 = 100_000;
/// File systems that keep nothing, or keep it elsewhere.
const NOT_LOCAL: [&str; 7] = ["tmpfs", "ramfs", "overlay", "nfs", "cifs", "fuse", "9p"];

pub(super) const ITEMS: &[Item] = &[
    machine(
        "journal.opens",
        Critical,
        "The journal can be opened",
        "mainstay verify --repair",
        |facts| match &facts.journal {
            Ok(it) => Ruling::pass(format!("{} events, epoch {}", it.position, it.epoch)),
            Err(error) => Ruling::fail(error.clone()),
        },
    ),
    machine(
        "journal.whole",
        Critical,
        "Every block of every segment is whole and continues the chain",
        "mainstay verify --repair",
        |facts| {
            of_journal(facts, |it| {
                none_of(&it.findings, format!("{} events were checked", it.checked))
            })
        },
    ),
    machine(
        "journal.meaning",
        Critical,
        "Every event can follow the history before it",
        "mainstay verify",
        |facts| {
            of_journal(facts, |it| {
                let mut bad = it.unreadable.clone();
                if let Some(Ok(server)) = &facts.server
                    && server.unreadable > 0
                {
                    bad.push(format!("the server could not fold {} events", server.unreadable));
                }
                none_of(&bad, "all that were looked at")
            })
        },
    ),
    machine(
        "journal.taking-writes",
        Critical,
        "The journal takes events",
        "make room, or look at the disk and restart",
        |facts| {
            of_server(facts, |it| match &it.refusing {
                None => Ruling::pass(format!("{} appends queued", it.queued)),
                Some(reason) => Ruling::fail(reason.clone()),
            })
        },
    ),
    machine(
        "journal.sync-fast",
        Major,
        "The disk syncs within 50 ms, 99 times of 100",
        "use a faster disk; `mainstay status` shows its syncs",
        |facts| {
            of_server(facts, |it| {
                rule(it.sync_p99_us <= SLOW_SYNC_US, format!("p99 {} us", it.sync_p99_us))
            })
        },
    ),
    machine(
        "journal.store-near",
        Critical,
        "The store is not far behind the segments",
        "wait for it; `/readyz?verbose` shows how far it is",
        store_near,
    ),
    machine(
        "journal.store-sound",
        Major,
        "The store is not being made again",
        "wait for it, then look at `set-aside/`",
        |facts| {
            of_server(facts, |it| match &it.store {
                None => Ruling::not_applicable("there is no store"),
                Some(store) if store.rebuilding => Ruling::fail("it is being made again"),
                Some(store) => match &store.trouble {
                    Some(trouble) => Ruling::fail(trouble.clone()),
                    None => Ruling::pass(format!("at {}", store.reached)),
                },
            })
        },
    ),
    machine(
        "journal.set-aside-empty",
        Major,
        "Nothing was set aside that nobody has looked at",
        "mainstay verify, then rm -r DATA/set-aside",
        |facts| {
            let (things, bytes) = facts.files.set_aside;
            rule(things == 0, format!("{things} things, {}", words::bytes(bytes)))
        },
    ),
    machine(
        "journal.checkpoint-fresh",
        Major,
        "A start folds few events: what it needs was kept lately",
        "restart the server",
        checkpoint_fresh,
    ),
    machine(
        "journal.witness",
        Major,
        "A witness on another disk holds a checkpoint of the journal",
        "mainstay serve --witness FILE, then name FILE here, too",
        witness,
    ),
    machine(
        "journal.key-file-mode",
        Critical,
        "Only its owner can read the keys of blocks at rest",
        "chmod 600 FILE",
        |facts| {
            of_config(facts, |it| match (&it.config.journal.key_file, facts.files.journal_key) {
                (None, _) => Ruling::not_applicable("blocks lie in the plain"),
                (Some(path), None) => Ruling::fail(format!("{} is gone", path.display())),
                (Some(_), Some(mode)) => {
                    rule(words::keeps_out(mode, OTHERS), format!("mode {}", words::mode(mode)))
                },
            })
        },
    ),
    machine(
        "journal.archive-reachable",
        Major,
        "Dropped months can be read",
        "bring the archive back, or set `journal.archive`",
        |facts| {
            of_journal(facts, |it| match it.archive {
                None => Ruling::not_applicable("no month was dropped"),
                Some((upto, readable)) => rule(readable, format!("events up to {upto}")),
            })
        },
    ),
    machine(
        "journal.local-disk",
        Major,
        "The data directory lies on a disk of this machine that keeps what was synced",
        "set `server.data` to a directory of a local disk",
        |facts| match &facts.machine.filesystem {
            Some(kind) => rule(!NOT_LOCAL.iter().any(|it| kind.starts_with(it)), kind.clone()),
            None => Ruling::unknown("the file system cannot be told"),
        },
    ),
    machine(
        "journal.quarantine",
        Critical,
        "No entity is in quarantine",
        "the log says what it panicked on; restart",
        |facts| of_server(facts, |it| none_of(&it.quarantined, "none")),
    ),
    machine(
        "journal.starts-calm",
        Major,
        "The server was started at most 5 times in the last day",
        "mainstay audit --type Booted; the log says why it ended",
        |facts| {
            of_journal(facts, |it| {
                let of_day = |start: &&Start| facts.now.ms_since(start.at) <= DAY_MS;
                let starts = it.starts.iter().filter(of_day).count();
                rule(starts <= CALM_STARTS, format!("{starts} starts"))
            })
        },
    ),
    machine(
        "journal.same",
        Minor,
        "The server that answers runs on this journal",
        "name the server of this data directory with --server",
        |facts| {
            of_journal(facts, |journal| {
                of_server(facts, |server| {
                    let (ours, theirs) =
                        ((journal.epoch, journal.position), (server.epoch, server.position));
                    let told = format!(
                        "the journal is at {}-{}, the server at {}-{}",
                        ours.0, ours.1, theirs.0, theirs.1
                    );
                    // It may have written since, or a moment before the segments were read.
                    rule(ours.0 == theirs.0 && ours.1.abs_diff(theirs.1) <= WITNESS_BEHIND, told)
                })
            })
        },
    ),
];

fn store_near(facts: &Facts) -> Ruling {
    of_config(facts, |config| {
        of_server(facts, |server| {
            let Some(store) = &server.store else {
                return Ruling::not_applicable("there is no store");
            };
            let behind = server.position.saturating_sub(store.reached);
            let most = config.config.limits.journal().store_lag;
            rule(behind <= most / 2, format!("{behind} events behind, {most} are allowed"))
        })
    })
}

fn checkpoint_fresh(facts: &Facts) -> Ruling {
    of_config(facts, |config| {
        of_journal(facts, |journal| {
            let after = config.config.limits.host().checkpoint_events;
            if journal.position < after.saturating_mul(CHECKPOINTS_BEHIND) {
                let told = format!("{} events are few", journal.position);
                return Ruling::not_applicable(told);
            }
            match facts.files.checkpoint_at {
                Some(at) => rule(
                    facts.now.ms_since(at) <= 7 * DAY_MS,
                    format!("kept {}", words::ago(at, facts.now)),
                ),
                None => Ruling::fail("none was kept"),
            }
        })
    })
}

fn witness(facts: &Facts) -> Ruling {
    of_journal(facts, |journal| match &journal.witness {
        None => Ruling::unknown("none was named: --witness FILE"),
        Some(Err(error)) => Ruling::fail(error.clone()),
        Some(Ok(it)) => {
            let behind = journal.position.saturating_sub(it.covers);
            let place = if it.is_beside { "on the journal's own disk" } else { "elsewhere" };
            let told = format!("{} is {place}, {behind} events behind", it.path.display());
            rule(!it.is_beside && it.covers > 0 && behind <= WITNESS_BEHIND, told)
        },
    })
}
