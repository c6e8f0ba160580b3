//! The clocks of the machine and the journal.

use crate::preflight::facts::Facts;
use crate::preflight::item::Severity::{Critical, Major, Minor};
use crate::preflight::item::{Item, attested, machine};
use crate::preflight::ruling::{Ruling, of_journal, of_server, rule};
use crate::preflight::words;

/// How far the newest event may lie ahead of this clock, in milliseconds.
const AHEAD_MS: u64 = 1_000;
/// How far two clocks may be apart, in milliseconds.
const APART_MS: u64 = 2_000;
/// What counts by interrupts, or slowly.
const POOR: [&str; 3] = ["jiffies", "refined-jiffies", "acpi_pm"];

pub(super) const ITEMS: &[Item] = &[
    machine(
        "clocks.synchronised",
        Major,
        "The machine's clock is synchronised",
        "timedatectl set-ntp true",
        |facts| match facts.machine.is_synchronised {
            Some(true) => Ruling::pass("systemd-timesyncd says so"),
            Some(false) => Ruling::fail("systemd-timesyncd has not reached a server yet"),
            None => Ruling::unknown("no systemd-timesyncd runs here; ask what sets this clock"),
        },
    ),
    machine(
        "clocks.journal-not-ahead",
        Critical,
        "No event of the journal lies in the future",
        "set the machine's clock",
        |facts| {
            of_journal(facts, |it| match it.last_at {
                None => Ruling::unknown("there is no event"),
                Some(at) => {
                    let ahead = at.ms_since(facts.now);
                    rule(ahead <= AHEAD_MS, format!("the newest is {} ahead", words::span(ahead)))
                },
            })
        },
    ),
    machine(
        "clocks.order",
        Critical,
        "Time never falls along the journal",
        "mainstay verify",
        |facts| {
            of_journal(facts, |it| match it.falling {
                None => Ruling::pass(format!("{} events were looked at", it.checked)),
                Some(position) => Ruling::fail(format!("it falls at position {position}")),
            })
        },
    ),
    machine(
        "clocks.server-agrees",
        Critical,
        "The server's clock is within 2 s of this machine's",
        "set both clocks; restart the server, whose time follows the journal",
        |facts| {
            of_server(facts, |it| match it.clock_off_ms {
                Some(ms) => rule(ms <= APART_MS, format!("{} apart", words::span(ms))),
                None => Ruling::unknown("its answers have no date"),
            })
        },
    ),
    machine(
        "clocks.source",
        Minor,
        "The machine's clock counts something fast and steady",
        "choose another one in /sys/devices/system/clocksource/clocksource0",
        clock_source,
    ),
    attested(
        "clocks.sources",
        Major,
        "The machine follows three sources of time, so that one that is wrong is outvoted",
        "name them in the configuration of what sets the clock",
        365,
    ),
];

fn clock_source(facts: &Facts) -> Ruling {
    match &facts.machine.clock_source {
        Some(source) => rule(!POOR.contains(&source.as_str()), source.clone()),
        None => Ruling::unknown("it cannot be read"),
    }
}
