//! `mainstay audit`: search the events of a journal, offline or at a running server.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

mod export;
mod filters;
mod why;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use self::export::{Export, Format};
use self::filters::Filters;
use super::EXIT_CODES;
use super::exit::Failed;
use super::source::Way;
use super::table::{bare, is_narrow, lines, table, text};

/// Search the events of a journal
///
/// Reads the segments of a data directory, also beside a running server; with --server it asks
/// the server instead. Every given filter must match.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Audit {
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    filters: Filters,
    /// At most so many events [default: 100; of --export all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Write all matching events to a file; - is stdout
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    export: Option<PathBuf>,
    /// Format of the export [default: by the file's ending]
    #[arg(long, value_name = "FORMAT", requires = "export")]
    format: Option<Format>,
    /// Replace the file if it is there
    #[arg(long, requires = "export")]
    yes: bool,
    /// Tell one event: who asked for it, what caused it, what it caused
    #[arg(long, value_name = "POSITION", conflicts_with_all = [
        "stream", "types", "principal", "correlation", "since", "until", "after", "limit", "export",
    ])]
    why: Option<String>,
}

/// Most events that are printed unless asked for more.
const LIMIT: usize = 100;

impl Audit {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let source = self.way.open()?;
        if let Some(position) = &self.why {
            why::run(&source, position, self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(file) = &self.export {
            let export = Export::new(file, self.format, self.yes)?;
            export.run(&source, &self.filters, self.limit)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut events = Vec::new();
        let limit = self.limit.unwrap_or(LIMIT);
        let mut stdout = io::stdout().lock();
        let mut last = None;
        let more = self.filters.find(&source, Some(limit), &mut |event| {
            last = Some((event["epoch"].clone(), event["position"].clone()));
            if self.json {
                writeln!(stdout, "{event}")?;
            } else {
                events.push(event);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        write!(stdout, "{}", shown(&events))?;
        stdout.flush()?;
        match last {
            Some((epoch, position)) if more => {
                writeln!(io::stderr(), "more events match; go on with --after {epoch}-{position}")?;
            },
            None => writeln!(io::stderr(), "no event matches")?,
            Some(_) => {},
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn shown(events: &[Value]) -> String {
    if events.is_empty() {
        return String::new();
    }
    if is_narrow() {
        return in_lines(events);
    }
    let mut rows = table(&["position", "at", "stream", "type", "by", "data"]);
    for event in events {
        rows.add_row([
            text(&event["position"]),
            text(&event["at"]),
            text(&event["stream"]),
            text(&event["type"]),
            text(&event["principal"]),
            brief(event),
        ]);
    }
    lines(&rows)
}

/// On a narrow terminal every event has a few lines of its own, wrapped between words.
fn in_lines(events: &[Value]) -> String {
    let mut rows = bare();
    for event in events {
        let [at, stream, name, by] =
            ["at", "stream", "type", "principal"].map(|it| text(&event[it]));
        let told = format!("{at} {name} {stream} by {by}\n{}", brief(event));
        rows.add_row([text(&event["position"]), told]);
    }
    lines(&rows)
}

/// An event on one line.
pub(super) fn line(event: &Value) -> String {
    let [at, stream, name, by] = ["at", "stream", "type", "principal"].map(|it| text(&event[it]));
    let line = format!("{}  {at}  {stream}  {name}  {by}  {}", event["position"], brief(event));
    line.trim_end().to_owned()
}

/// The fields of an event on one line, without nested ones and the time that is told already.
fn brief(event: &Value) -> String {
    let Some(members) = event["data"].as_object() else { return String::new() };
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let plain = members
        .iter()
        .filter(|(name, value)| is_plain(value) && (*name != "at" || **value != event["at"]));
    plain.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}
