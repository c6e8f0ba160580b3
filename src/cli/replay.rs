//! `mainstay replay`: the state at a moment, or the events as they came.

mod play;
mod state;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use mainstay_journal::{Cursor, ReadLog, StreamId};
use serde_json::{Value, json};

use self::play::Play;
use super::EXIT_CODES;
use super::exit::Failed;
use super::online::Online;
use super::source::{Source, Way, moment, place, progress};
use crate::travel::{Fold, Place, StatePage, StreamError, state_at, stream_at};

/// Show the state at a moment, or the events as they came
///
/// A moment is a time (2026-11-22T03:12:00Z: after the last event at or before it), a position, or
/// {epoch}-{position}. Without --server it reads segments only, so it also works beside a running
/// server and on a copy. What time alone has ended is over: a lease or session past its end is not
/// shown as live.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Replay {
    #[command(flatten)]
    way: Way,
    /// The moment of the state; of events: where they begin [default: the newest event; of --events
    /// and --speed the first one]
    #[arg(long, value_name = "MOMENT")]
    at: Option<String>,
    /// One stream only: lock/room-101
    #[arg(long, value_name = "KIND/ID")]
    stream: Option<String>,
    /// Print the events that came after the moment
    #[arg(long)]
    events: bool,
    /// Print events as they come, until interrupted
    #[arg(long, conflicts_with = "until")]
    follow: bool,
    /// Print events with their own pauses, so many times as fast; no pause is longer than 2 s
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    speed: Option<f64>,
    /// Print events up to this moment only
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// Print JSON; of events one object a line
    #[arg(long)]
    json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|it| it.is_finite() && *it > 0.0);
    factor.ok_or_else(|| "write a factor above 0: 1, 10, 0.5".to_owned())
}

impl Replay {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let stream = self.stream.as_deref().map(stream_id).transpose()?;
        let source = self.way.open()?;
        if self.events || self.follow || self.speed.is_some() || self.until.is_some() {
            let Self { at, until, speed, follow, json, .. } = self;
            Play { at, until, stream, speed, follow, json }.run(&source)?;
            return Ok(ExitCode::SUCCESS);
        }
        let at = self.at.as_deref();
        let shown = match (&source, &stream) {
            (Source::Data(reader), Some(stream)) => {
                let place = place(reader, "--at", at)?;
                json!(stream_at(&**reader, stream, &place)?)
            },
            (Source::Data(reader), None) => {
                let place = place(reader, "--at", at)?;
                tell_the_end(&**reader, &place);
                let bar = progress("replaying", place.position);
                let mut fold = Fold::default();
                fold.advance(&**reader, &place, &mut |position| {
                    bar.set_position(position);
                    true
                })?;
                bar.finish_and_clear();
                let page = StatePage { limit: self.most(), ..StatePage::default() };
                json!(state_at(&fold, place, page))
            },
            (Source::Server(online), Some(stream)) => online_stream(online, stream, at)?,
            (Source::Server(online), None) => self.online_state(online)?,
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{shown}")?;
        } else if stream.is_some() {
            write!(stdout, "{}", state::stream(&shown))?;
        } else {
            write!(stdout, "{}", state::whole(&shown))?;
        }
        stdout.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// Sessions and locks that are printed: all as JSON, the first for people.
    fn most(&self) -> usize {
        if self.json { usize::MAX - 1 } else { state::SHOWN }
    }

    /// Every page of one moment as one document.
    #[expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]
    fn online_state(&self, online: &Online) -> Result<Value, Failed> {
        let limit = self.most().min(1_000).to_string();
        let mut query = vec![("limit", limit)];
        if let Some(at) = &self.at {
            moment("--at", at)?;
            query.push(("at", at.clone()));
        }
        let mut whole = online.get("/api/v1/state", &query)?;
        if self.at.is_none() {
            query.push(("at", format!("{}-{}", whole["epoch"], whole["position"])));
        }
        let mut next = [whole["next_session"].take(), whole["next_lock"].take()];
        while self.json && next.iter().any(|next| !next.is_null()) {
            let mut query = query.clone();
            // A list that has ended goes on after its last row: with nothing.
            for (key, list, row) in [
                ("after_session", "sessions", ["tenant", "id"]),
                ("after_lock", "locks", ["name", "name"]),
            ] {
                let last = &whole[list].as_array().and_then(|it| it.last()).cloned();
                let last = last.as_ref().map(|it| [&it[row[0]], &it[row[1]]]);
                if let Some([Value::String(first), Value::String(second)]) = last {
                    let is_lock = key == "after_lock";
                    query.push((
                        key,
                        if is_lock { first.clone() } else { format!("{first}/{second}") },
                    ));
                }
            }
            let mut page = online.get("/api/v1/state", &query)?;
            for list in ["sessions", "locks"] {
                if let (Some(all), Value::Array(more)) =
                    (whole[list].as_array_mut(), page[list].take())
                {
                    all.extend(more);
                }
            }
            next = [page["next_session"].take(), page["next_lock"].take()];
        }
        Ok(whole)
    }
}

pub(super) fn stream_id(name: &str) -> Result<StreamId, Failed> {
    StreamId::parse(name).ok_or_else(|| {
        Failed::usage(format!("--stream: {name:?} is no stream; write KIND/ID: lock/room-101"))
    })
}

fn online_stream(online: &Online, stream: &StreamId, at: Option<&str>) -> Result<Value, Failed> {
    let mut query = Vec::new();
    if let Some(at) = at {
        moment("--at", at)?;
        query.push(("at", at.to_owned()));
    }
    online.get(&format!("/api/v1/streams/{}", super::online::path(stream.as_str())), &query)
}

/// A time after the last event is answered, and where the knowledge ends is said.
fn tell_the_end(reader: &dyn ReadLog, place: &Place) {
    let head: Cursor = reader.head();
    if let Ok(newest) = Place::newest(reader)
        && place.position == head.position
        && place.at > newest.at
    {
        drop(writeln!(io::stderr(), "the journal ends at {newest}; nothing later is known"));
    }
}

impl From<StreamError> for Failed {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NoStream { .. } => Self::work(error.to_string()),
            StreamError::Fold(error) => error.into(),
        }
    }
}
