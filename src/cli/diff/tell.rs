//! A difference, told to a person.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::fmt::Write as _;

use mainstay_actors::lock::Mode;
use mainstay_actors::session::EndReason;
use mainstay_actors::time::Timestamp;
use serde_json::Value;

use crate::cli::table::{bare, lines};
use crate::travel::diff::{
    DependencyBrief, DependencyDiff, Diff, Few, HealthDiff, LeaseEnd, LeaseTale, LockDiff,
    SessionTale, SessionsDiff, Step, WaitTale,
};
use crate::travel::{clock, count};

/// The whole story.
pub(super) fn tell(diff: &Diff) -> String {
    let day = diff.from.at.unwrap_or_else(|| diff.to.judged_at());
    let about = diff.stream.as_ref().map_or(String::new(), |stream| format!(" of {stream}"));
    let events = count(diff.events, "event");
    let mut out = format!("from {}\nto   {}: {events}{about}{}\n", diff.from, diff.to, span(diff));
    for part in [
        section("the server started", &diff.starts, day),
        section("the journal was restored", &diff.restores, day),
        health(&diff.health, day),
        many(&diff.dependencies, "dependencies", |it| dependency(it, day)),
        many(&diff.locks, "locks", |it| lock(it, day)),
        sessions(&diff.sessions, day),
        section("something happened to subjects", &diff.subjects, day),
    ] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    if out.lines().count() == 2 {
        out.push_str("\nnothing changed\n");
    }
    out
}

/// ` in 1m 40s`.
fn span(diff: &Diff) -> String {
    let (Some(from), Some(to)) = (diff.from.at, diff.to.at) else { return String::new() };
    let ms = i64::try_from(to.ms_since(from)).unwrap_or(i64::MAX);
    format!(" in {:#}", jiff::SignedDuration::from_millis(ms))
}

/// Paragraphs, and how many are left out.
fn many<T>(few: &Few<T>, what: &str, tell: impl Fn(&T) -> String) -> String {
    let mut told: Vec<String> = few.shown.iter().map(tell).collect();
    if few.more > 0 {
        told.push(format!("and {} more {what}\n", few.more));
    }
    told.join("\n")
}

fn section(title: &str, steps: &Few<Step>, day: Timestamp) -> String {
    if steps.is_empty() {
        return String::new();
    }
    format!("{title} {}\n{}", times(steps.len()), walk(steps, day))
}

fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// The steps of one thing, a line each.
fn walk(steps: &Few<Step>, day: Timestamp) -> String {
    let mut rows = bare();
    for step in &steps.shown {
        let by = if step.principal.starts_with("system:") {
            String::new()
        } else {
            format!(" (by {})", step.principal)
        };
        let told = format!("{}{by}", step.text);
        rows.add_row([&format!("  {}", step.position), &clock(step.at, day), &told]);
    }
    let mut out = lines(&rows);
    if steps.more > 0 {
        let _ = writeln!(out, "   and {} more", steps.more);
    }
    out
}

fn health(health: &HealthDiff, day: Timestamp) -> String {
    if health.changes.is_empty() {
        return String::new();
    }
    let levels = health.changes.shown.iter().filter_map(|step| step.data["to"].as_str());
    let way = way(health.before.name(), levels, health.after.name(), health.changes.more);
    format!("health: {way}\n{}", walk(&health.changes, day))
}

fn dependency(told: &DependencyDiff, day: Timestamp) -> String {
    let absent = "not in use";
    let name = |it: Option<DependencyBrief>| it.map_or(absent, |it| it.state.name());
    let states = told.moves.shown.iter().filter_map(|step| match step.name.as_str() {
        "BreakerOpened" => Some("open"),
        "BreakerHalfOpened" => Some("half_open"),
        "BreakerClosed" => Some("closed"),
        "BreakerForced" => step.data["to"].as_str(),
        "DependencyRetired" => Some(absent),
        _ => None,
    });
    let way = way(name(told.before), states, name(told.after), told.moves.more);
    let weight =
        told.after.or(told.before).map_or(String::new(), |it| format!(", weight {}", it.weight));
    let calls = match told.calls {
        0 => String::new(),
        calls => format!("; {} observed, {} failed", count(calls, "call"), told.failures),
    };
    format!("dependency {}{weight}: {way}{calls}\n{}", told.name, walk(&told.moves, day))
}

/// `closed → open → closed`.
fn way<'w>(
    before: &'w str,
    steps: impl Iterator<Item = &'w str>,
    after: &'w str,
    more: u64,
) -> String {
    let mut names = vec![before];
    names.extend(steps);
    if more > 0 {
        names.push("…");
    }
    if names.last() != Some(&after) {
        names.push(after);
    }
    match names.len() {
        1 => format!("{after} as before"),
        _ => names.join(" → "),
    }
}

fn lock(told: &LockDiff, day: Timestamp) -> String {
    let (before, after) = (names(&told.before), names(&told.after));
    let way = match (before.as_str(), after.as_str()) {
        ("", "") => "is free as before, and was not all the time".to_owned(),
        ("", after) => format!("was free and is held by {after}"),
        (before, "") => format!("was held by {before} and is free"),
        (before, after) if before == after => format!("is held by {after} as before"),
        (before, after) => format!("was held by {before} and is held by {after}"),
    };
    let mut rows = bare();
    for lease in &told.leases.shown {
        let token = format!("token {}", lease.token);
        rows.add_row([
            position(lease.position),
            lease.owner.clone(),
            lease_story(lease, day),
            token,
        ]);
    }
    for wait in &told.waits.shown {
        rows.add_row([position(wait.position), wait.owner.clone(), wait_story(wait, day)]);
    }
    let mut out = format!("lock {} {way}\n{}", told.name, lines(&rows));
    for (more, what) in [(told.leases.more, "leases"), (told.waits.more, "waits")] {
        if more > 0 {
            let _ = writeln!(out, "   and {more} more {what}");
        }
    }
    out.push_str(&walk(&told.refusals, day));
    out
}

/// Where `audit --why` can be asked.
fn position(position: Option<u64>) -> String {
    position.map_or(String::new(), |position| format!("  {position}"))
}

/// Most holders that a line names.
const NAMED: usize = 3;

fn names(owners: &[String]) -> String {
    let named = owners.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match owners.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn lease_story(lease: &LeaseTale, day: Timestamp) -> String {
    let waited = lease
        .waited_since
        .map_or(String::new(), |since| format!("waited from {} and ", clock(since, day)));
    let from = lease.from.map_or("before".to_owned(), |from| clock(from, day));
    let range = lease.range.and_then(|range| serde_json::to_value(range).ok());
    let range = range.map_or(String::new(), |range| format!(" {}", part(&range)));
    let shared = if lease.mode == Mode::Shared { " with others" } else { "" };
    let renewed = match lease.renewals {
        0 => String::new(),
        renewals => format!(", renewed {}", times(renewals)),
    };
    if let (Some(to), Some(end)) = (lease.to, &lease.ended) {
        let (to, end) = (clock(to, day), end_story(end));
        return format!("{waited}held it{range}{shared} from {from} to {to}{renewed}: {end}");
    }
    let end = clock(lease.expires_at, day);
    let session = lease.session.as_ref();
    let session = session.map_or(String::new(), |it| format!(", as long as session {it} lives"));
    format!("{waited}holds it{range}{shared} since {from}{renewed}, until {end}{session}")
}

/// `2026-12-01 to 2026-12-04`.
fn part(range: &Value) -> String {
    let bound = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("{} to {}", bound(&range["from"]), bound(&range["to"]))
}

fn end_story(end: &LeaseEnd) -> String {
    match end {
        LeaseEnd::Released => "gave it back".to_owned(),
        LeaseEnd::SessionEnded { session } => format!("lost it, for session {session} ended"),
        LeaseEnd::Expired => "lost it, for the lease ran out".to_owned(),
        LeaseEnd::Unclaimed => "lost it, for nobody came to claim it".to_owned(),
        LeaseEnd::Revoked { reason, principal } => format!("{principal} took it away: {reason}"),
        LeaseEnd::Restored => "lost it, for the journal was restored".to_owned(),
    }
}

fn wait_story(wait: &WaitTale, day: Timestamp) -> String {
    let from = wait.from.map_or("before".to_owned(), |from| clock(from, day));
    match wait.to {
        None => format!("waits since {from}, until {}", clock(wait.deadline, day)),
        Some(to) => {
            let why = match (wait.session_ended, wait.restored) {
                (true, _) => ": its session ended",
                (false, true) => ": the journal was restored",
                (false, false) => "",
            };
            format!("waited in vain from {from} to {}{why}", clock(to, day))
        },
    }
}

fn sessions(told: &SessionsDiff, day: Timestamp) -> String {
    if told.created.is_empty() && told.ended.is_empty() && told.touched == 0 {
        return String::new();
    }
    let mut ends = Vec::new();
    for (number, how) in [
        (told.ended_by_caller, "by their caller"),
        (told.ran_out, "unused"),
        (told.reached_max_age, "at their greatest age"),
        (told.erased, "with their subject"),
        (told.restored, "for the journal was restored"),
    ] {
        if number > 0 {
            ends.push(format!("{number} {how}"));
        }
    }
    let ends = if ends.is_empty() { String::new() } else { format!(" ({})", ends.join(", ")) };
    let touched = match told.touched {
        0 => String::new(),
        1 => ", 1 use or change".to_owned(),
        more => format!(", {more} uses or changes"),
    };
    let mut out = format!(
        "sessions: {} live before, {} after; {} began, {} ended{ends}{touched}\n",
        told.live_before,
        told.live_after,
        told.created.len(),
        told.ended.len()
    );
    out.push_str(&listed(&told.created, "began", day));
    out.push_str(&listed(&told.ended, "ended", day));
    out
}

fn listed(few: &Few<SessionTale>, what: &str, day: Timestamp) -> String {
    let mut rows = bare();
    for it in &few.shown {
        let how = match it.reason {
            None => what,
            Some(EndReason::Ended) => "ended by its caller",
            Some(EndReason::Idle) => "ran out unused",
            Some(EndReason::MaxAge) => "reached its greatest age",
            Some(EndReason::Erased) => "ended, for its subject was erased",
            Some(EndReason::Restored) => "ended, for the journal was restored",
        };
        let told = format!("{} of {} {how}", it.id, it.subject);
        rows.add_row(["", &clock(it.at, day), &told]);
    }
    let mut out = lines(&rows);
    if few.more > 0 {
        let _ = writeln!(out, "   and {} more that {what}", few.more);
    }
    out
}
