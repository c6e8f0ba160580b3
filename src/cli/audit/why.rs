//! `audit --why`: one event as the tree of its causes and effects.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::filters::position as position_of;
use crate::cli::exit::Failed;
use crate::cli::source::Source;
use crate::cli::table::{bare, lines};
use crate::travel::clock;
use crate::travel::diff::Few;
use crate::travel::why::{LOOK_AHEAD, Told, Why, why};

/// Tells the event at a position.
pub(super) fn run(source: &Source, at: &str, json: bool) -> Result<(), Failed> {
    let story = match source {
        Source::Data(reader) => {
            let position = position_of("--why", at, &**reader)?;
            let none = || Failed::work(format!("there is no event at position {position}"));
            why(&**reader, position)?.ok_or_else(none)?
        },
        Source::Server(online) => {
            let path = format!("/api/v1/events/{}/why", crate::cli::online::path(at));
            serde_json::from_value(online.get(&path, &[])?)
                .map_err(|error| Failed::work(format!("the server's answer: {error}")))?
        },
    };
    let mut stdout = io::stdout().lock();
    if json {
        let json = serde_json::to_string(&story);
        writeln!(stdout, "{}", json.map_err(|error| Failed::work(error.to_string()))?)?;
    } else {
        write!(stdout, "{}", told(&story))?;
    }
    stdout.flush()?;
    Ok(())
}

fn told(story: &Why) -> String {
    let event = &story.event.event;
    let mut out =
        format!("{} at {}, {} of {}\n", event.name, event.cursor(), event.at, event.stream);
    let mut meta = bare();
    meta.add_row(["asked for by", event.principal.as_str()]);
    for (name, value) in [("request", &event.request), ("correlation", &event.correlation)] {
        if let Some(value) = value {
            meta.add_row([name, value.as_str()]);
        }
    }
    out.push_str(&lines(&meta));
    out.push('\n');
    out.push_str(&tree(story));
    if !story.correlated.is_empty() {
        let correlation = event.correlation.as_deref().unwrap_or_default();
        let _ = writeln!(out, "\nbeside it, under the correlation {correlation}:");
        out.push_str(&list(story, &story.correlated, 1, ""));
    }
    out.push('\n');
    out.push_str(&ends(story));
    out
}

/// Where the tree begins, and how far was looked for its end.
fn ends(story: &Why) -> String {
    let root = story.causes.shown.last().unwrap_or(&story.event);
    let (by, at) = (&root.event.principal, root.event.position);
    let mut out = if story.causes.more > 0 {
        format!("the causes go on before {at}\n")
    } else if by.starts_with("system:") {
        format!("it began with {at}, which {by} decided by itself: no other event caused it\n")
    } else {
        format!("it began with {at}, which {by} asked for: no other event caused it\n")
    };
    if story.effects.is_empty() && story.complete {
        out.push_str("no other event names it as its cause\n");
    }
    if !story.complete {
        let until = story.looked_until;
        let _ = writeln!(out, "effects were looked for in {LOOK_AHEAD} events, up to {until}");
    }
    out
}

/// Causes above, effects below, each a step further to the right.
fn tree(story: &Why) -> String {
    let mut rows = bare();
    let mut depth = 0;
    for cause in story.causes.shown.iter().rev() {
        rows.add_row(row(story, cause, depth, ""));
        depth += 1;
    }
    let position = story.event.event.position;
    let (before, after): (Vec<&Told>, Vec<&Told>) =
        story.together.shown.iter().partition(|told| told.event.position < position);
    for told in before {
        rows.add_row(row(story, told, depth, "+"));
    }
    rows.add_row(row(story, &story.event, depth, "►"));
    for told in after {
        rows.add_row(row(story, told, depth, "+"));
    }
    for effect in &story.effects.shown {
        let below = depth + usize::try_from(effect.depth).unwrap_or_default();
        rows.add_row(row(story, &effect.told, below, ""));
    }
    let mut out = lines(&rows);
    if story.effects.more > 0 {
        let _ = writeln!(out, "   and {} more effects", story.effects.more);
    }
    out
}

fn list(story: &Why, few: &Few<Told>, depth: usize, mark: &str) -> String {
    let mut rows = bare();
    for told in &few.shown {
        rows.add_row(row(story, told, depth, mark));
    }
    let mut out = lines(&rows);
    if few.more > 0 {
        let _ = writeln!(out, "   and {} more", few.more);
    }
    out
}

/// Position, time, and the sentence behind its place in the tree.
fn row(story: &Why, told: &Told, depth: usize, mark: &str) -> [String; 3] {
    let at = clock(told.event.at, story.event.event.at);
    let branch = match (depth, mark) {
        (0, "") => String::new(),
        (0, mark) => format!("{mark} "),
        (depth, mark) => format!("{}└ {mark}", "  ".repeat(depth - 1)),
    };
    let gap = if depth > 0 && !mark.is_empty() { " " } else { "" };
    [told.event.position.to_string(), at, format!("{branch}{gap}{}", told.text)]
}
