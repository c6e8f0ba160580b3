//! `mainstay audit`: search the events of a journal, offline or at a running server.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, Query, ReadLog, StreamId};
use serde_json::Value;

use super::exit::Failed;
use super::online::Online;
use super::replay::open;
use super::table::{lines, table};
use super::{DEFAULT_DATA, EXIT_CODES};
use crate::event::{Event, type_ids};

/// Search the events of a journal
///
/// Reads the segments of a data directory, also beside a running server; with --server it asks
/// the server instead. Every given filter must match.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Audit {
    /// Data directory [default: ./mainstay-data]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// Ask this server instead
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// One stream: lock/room-101
    #[arg(long, value_name = "KIND/ID")]
    stream: Option<String>,
    /// Event types, with commas between: LeaseGranted,LeaseReleased
    #[arg(long = "type", value_name = "NAME")]
    types: Option<String>,
    /// Who asked for it
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Trace id or request id of the caller
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Not before this time: 2026-11-22T03:12:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// After this position or {epoch}-{position}
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// At most so many events
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let (events, more) = match &self.server {
            Some(server) => self.online(server)?,
            None => self.offline()?,
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            for event in &events {
                writeln!(stdout, "{event}")?;
            }
        } else {
            write!(stdout, "{}", shown(&events))?;
        }
        stdout.flush()?;
        if let (true, Some(last)) = (more, events.last()) {
            writeln!(
                io::stderr(),
                "more events match; go on with --after {}-{}",
                last["epoch"],
                last["position"]
            )?;
        } else if events.is_empty() {
            writeln!(io::stderr(), "no event matches")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The events, and whether there are more.
    fn offline(&self) -> Result<(Vec<Value>, bool), Failed> {
        let data = self
            .data
            .clone()
            .or_else(|| std::env::var_os("MAINSTAY__SERVER__DATA").map(Into::into));
        let reader = open(&data.unwrap_or_else(|| DEFAULT_DATA.into()))?;
        let query = self.query(reader.head())?;
        let mut events = Vec::new();
        let mut trouble = None;
        reader.find(&query, &mut |record| {
            match serde_json::to_value(Event::of(&record)) {
                Ok(event) => events.push(event),
                Err(error) => trouble = Some(error.to_string()),
            }
            if events.len() <= self.limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if let Some(reason) = trouble {
            return Err(Failed::work(reason));
        }
        let more = events.len() > self.limit;
        events.truncate(self.limit);
        Ok((events, more))
    }

    fn query(&self, head: Cursor) -> Result<Query, Failed> {
        let time = |flag: &str, text: &Option<String>| {
            let parse = |it: &String| Timestamp::parse(it).map(Timestamp::as_micros);
            let parsed = text.as_ref().map(parse).transpose();
            parsed.map_err(|reason| Failed::usage(format!("--{flag}: {reason}")))
        };
        let stream = self.stream.as_deref().map(|name| {
            StreamId::parse(name).ok_or_else(|| {
                Failed::usage(format!(
                    "--stream: {name:?} is no stream; write KIND/ID: lock/room-101"
                ))
            })
        });
        Ok(Query {
            stream: stream.transpose()?,
            types: self.types.as_deref().map_or(Ok(Vec::new()), type_ids).map_err(Failed::usage)?,
            principal: self.principal.clone(),
            correlation: self.correlation.clone(),
            tags: Vec::new(),
            since_us: time("since", &self.since)?,
            until_us: time("until", &self.until)?,
            after: self.after.as_deref().map_or(Ok(0), |text| after(text, head))?,
        })
    }

    fn online(&self, server: &str) -> Result<(Vec<Value>, bool), Failed> {
        let online = Online::new(server)?;
        let mut events = Vec::new();
        let mut after = self.after.clone();
        loop {
            let page = (self.limit - events.len()).min(1_000);
            let filters = [
                ("stream", &self.stream),
                ("type", &self.types),
                ("principal", &self.principal),
                ("correlation", &self.correlation),
                ("since", &self.since),
                ("until", &self.until),
                ("after", &after),
            ];
            let mut query: Vec<(&str, String)> = filters
                .into_iter()
                .filter_map(|(key, value)| Some((key, value.clone()?)))
                .collect();
            query.push(("limit", page.max(1).to_string()));
            let mut answer = online.get("/api/v1/events", &query)?;
            if let Value::Array(found) = answer["events"].take() {
                events.extend(found);
            }
            let Some(next) = answer["next"].as_str() else { return Ok((events, false)) };
            if events.len() >= self.limit {
                events.truncate(self.limit);
                return Ok((events, true));
            }
            after = Some(next.to_owned());
        }
    }
}

/// `{epoch}-{position}`, or a bare position of the current history.
fn after(text: &str, head: Cursor) -> Result<u64, Failed> {
    let cursor = text
        .parse::<Cursor>()
        .or_else(|()| text.parse().map(|position| Cursor { epoch: head.epoch, position }))
        .map_err(|_| Failed::usage("--after: write a position or {epoch}-{position}"))?;
    if cursor.epoch != head.epoch || cursor.position > head.position {
        return Err(Failed::usage(format!(
            "--after: {cursor} is no place in this journal, which ends at {head}"
        )));
    }
    Ok(cursor.position)
}

fn shown(events: &[Value]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut rows = table(&["position", "at", "stream", "type", "by", "data"]);
    for event in events {
        rows.add_row([
            text(&event["position"]),
            text(&event["at"]),
            text(&event["stream"]),
            text(&event["type"]),
            text(&event["principal"]),
            brief(&event["data"]),
        ]);
    }
    lines(&rows)
}

/// The fields of an event on one line, nested ones left out.
fn brief(data: &Value) -> String {
    let Some(members) = data.as_object() else { return String::new() };
    let plain = members
        .iter()
        .filter(|(_, value)| value.is_string() || value.is_number() || value.is_boolean());
    plain
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        })
        .collect::<Vec<_>>()
        .join(" ")
}
