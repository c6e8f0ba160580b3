//! Room for what is to come.

use crate::preflight::facts::{Facts, JournalFacts};
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, of_config, of_journal, of_server, rule};
use crate::preflight::words::{self, DAY_MS, GIB, HOUR_MS, percent};

/// Days for which there is to be room.
const DAYS: u64 = 30;
/// Bytes of both copies and every index for one of the records, in tenths.
const STORED_TENTHS: u64 = 35;
/// What a session in memory takes, in bytes.
const RESIDENT_BYTES: u64 = 3 * 1_024;
/// Files that are open beside those of connections.
const OTHER_FILES: u64 = 256;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "capacity.disk-days",
        Critical,
        "There is room for 30 days of growth at the rate of the last 7 days",
        "make room, or `mainstay archive` old months",
        disk_days,
    ),
    machine(
        "capacity.disk-free",
        Critical,
        "10 % and 1 GiB of the disk are free",
        "make room, or use a larger disk",
        |facts| match facts.machine.disk {
            Some((all, free)) => {
                let share = percent(free, all);
                rule(share >= 10 && free >= GIB, format!("{} free, {share} %", words::bytes(free)))
            },
            None => Ruling::unknown("the disk cannot be looked at"),
        },
    ),
    machine(
        "capacity.inodes",
        Major,
        "5 % of the files that the disk can hold are free",
        "remove files, or use another disk",
        |facts| match facts.machine.inodes {
            Some((all, free)) => rule(percent(free, all) >= 5, format!("{free} of {all} are free")),
            None => Ruling::not_applicable("the file system does not count them"),
        },
    ),
    machine(
        "capacity.open-files",
        Critical,
        "A process may open two files for each connection, and 256 more",
        "raise the limit of open files (`LimitNOFILE=`), or set `limits.connections` lower",
        |facts| {
            of_config(facts, |it| {
                let connections = words::number(it.config.limits.connections.size());
                let needed = connections.saturating_mul(2).saturating_add(OTHER_FILES);
                match facts.machine.open_files {
                    Some(most) => {
                        rule(most >= needed, format!("{most} may be open, {needed} are needed"))
                    },
                    None => Ruling::pass("there is no limit"),
                }
            })
        },
    ),
    machine(
        "capacity.memory",
        Critical,
        "The entities in memory take at most half of it",
        "set `limits.residents` lower, or use more memory",
        |facts| {
            of_config(facts, |it| {
                let residents = words::number(it.config.limits.residents.size());
                let needed = residents.saturating_mul(RESIDENT_BYTES);
                let Some((all, _)) = facts.machine.memory else {
                    return Ruling::unknown("the memory cannot be looked at");
                };
                let told = format!("{} of {}", words::bytes(needed), words::bytes(all));
                rule(needed <= all / 2, told)
            })
        },
    ),
    machine(
        "capacity.memory-available",
        Major,
        "10 % of the memory is available now",
        "end what takes it, or use more memory",
        |facts| match facts.machine.memory {
            Some((all, available)) => {
                let told = format!("{} of {}", words::bytes(available), words::bytes(all));
                rule(percent(available, all) >= 10, told)
            },
            None => Ruling::unknown("the memory cannot be looked at"),
        },
    ),
    machine(
        "capacity.in-flight",
        Major,
        "At most half of the appends that may be on their way are",
        "set `limits.in_flight` higher, or use a faster disk",
        |facts| {
            of_server(facts, |it| {
                let (now, most) = it.in_flight;
                rule(now <= most / 2, format!("{now} of {most}"))
            })
        },
    ),
    machine(
        "capacity.queue",
        Major,
        "The journal's queue is at most half full",
        "set `limits.in_flight` higher, or use a faster disk",
        |facts| {
            of_server(facts, |it| {
                let (_, most) = it.in_flight;
                rule(it.queued <= most / 2, format!("{} of {most}", it.queued))
            })
        },
    ),
    machine(
        "capacity.cores",
        Minor,
        "There are two processors, so that the journal's writer has one",
        "use a machine with two processors",
        |facts| rule(facts.machine.cores >= 2, format!("{}", facts.machine.cores)),
    ),
    machine(
        "capacity.load",
        Minor,
        "The load of the last 15 minutes was at most 2 for each processor",
        "use more processors, or move what else runs here",
        |facts| match facts.machine.load_hundredths {
            Some(load) => {
                let most = facts.machine.cores * 200;
                rule(load <= most, format!("{}.{:02}", load / 100, load % 100))
            },
            None => Ruling::unknown("the load cannot be read"),
        },
    ),
    machine(
        "capacity.own-filesystem",
        Minor,
        "The data directory lies on a file system of its own, which logs cannot fill",
        "mount one at `server.data`",
        |facts| {
            let shared = facts.machine.is_root_filesystem;
            rule(!shared, if shared { "it is on that of /" } else { "it does" })
        },
    ),
    attested(
        "capacity.peak-planned",
        Critical,
        "The highest load that is expected is known, and was tried twice over",
        "write the figure down, and try twice as much",
        90,
    ),
];

fn disk_days(facts: &Facts) -> Ruling {
    of_journal(facts, |it| {
        let Some((_, free)) = facts.machine.disk else {
            return Ruling::unknown("the disk cannot be looked at");
        };
        let (events, bytes) = a_day(it, facts);
        let needed = bytes.saturating_mul(DAYS);
        let told = format!(
            "{events} events a day, {} for {DAYS} days, {} free",
            words::bytes(needed),
            words::bytes(free)
        );
        rule(needed <= free, told)
    })
}

/// Events and bytes of a day, at the rate of the last days. A journal that is younger than an hour is
/// taken for one of an hour.
fn a_day(journal: &JournalFacts, facts: &Facts) -> (u64, u64) {
    let age = journal.first_at.map_or(0, |first| facts.now.ms_since(first));
    let over = age.clamp(HOUR_MS, 7 * DAY_MS);
    let events = journal.events_of_week.saturating_mul(DAY_MS) / over;
    let each = journal.record_bytes.checked_div(journal.checked).unwrap_or(0);
    (events, events.saturating_mul(each).saturating_mul(STORED_TENTHS) / 10)
}
