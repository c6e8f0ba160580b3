//! Events as they came, and as they come.
//!
//! ```text
//!   past:   events after the moment ── with --speed: pause, event, pause, event … (at most 2 s each)
//!   follow: then what comes, from the segments as they grow, or from the server five times a second
//! ```

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_actors::time::Timestamp;
use mainstay_journal::{Query, ReadLog, Reader, StreamId};
use serde_json::Value;

use crate::cli::audit::line;
use crate::cli::exit::Failed;
use crate::cli::online::Online;
use crate::cli::source::{Source, moment, place, refusal};
use crate::event::Event;
use crate::travel::Moment;

/// Longest pause of the past: an idle night must not hold up who watches.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one wait for news lasts.
const WAIT: Duration = Duration::from_secs(1);
/// How often a server is asked for news.
const ASK: Duration = Duration::from_millis(200);

/// Which events, and how.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) at: Option<String>,
    pub(super) until: Option<String>,
    pub(super) stream: Option<StreamId>,
    pub(super) speed: Option<f64>,
    pub(super) follow: bool,
    pub(super) json: bool,
}

impl Play {
    pub(super) fn run(&self, source: &Source) -> Result<(), Failed> {
        match source {
            Source::Data(reader) => self.offline(reader),
            Source::Server(online) => self.online(online),
        }
    }

    fn offline(&self, reader: &Reader) -> Result<(), Failed> {
        let mut after = match &self.at {
            Some(at) => place(reader, "--at", Some(at))?.position,
            None if self.follow && self.speed.is_none() => reader.head().position,
            None => 0,
        };
        let until = match &self.until {
            Some(until) => place(reader, "--until", Some(until))?.position,
            None => u64::MAX,
        };
        let mut stage = Stage::new(self);
        stage.past_until = reader.head().position;
        loop {
            let query = Query { stream: self.stream.clone(), after, ..Query::default() };
            let mut done = Ok(());
            reader.find(&query, &mut |record| {
                if record.position > until {
                    return ControlFlow::Break(());
                }
                done = stage.show(&serde_json::json!(Event::of(&record)));
                if done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            done?;
            if !self.follow {
                return Ok(());
            }
            after = reader.head().position;
            if reader.wait_beyond(after, WAIT).position == after {
                // Nothing new: if that is so because something is damaged, say it.
                reader.refresh().map_err(|error| refusal(&error))?;
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]
    fn online(&self, online: &Online) -> Result<(), Failed> {
        let mut query = vec![("limit", "1000".to_owned())];
        if let Some(stream) = &self.stream {
            query.push(("stream", stream.as_str().to_owned()));
        }
        let newest = online.head()?;
        let mut after = "0".to_owned();
        match self.at.as_deref().map(|at| moment("--at", at)).transpose()? {
            // After the last event at that time: the next microsecond.
            Some(Moment::Time(at)) => {
                let next = Timestamp::from_micros(at.as_micros().saturating_add(1));
                query.push(("since", next.to_string()));
            },
            Some(place) => after = place.to_string(),
            None if self.follow && self.speed.is_none() => after = newest.to_string(),
            None => {},
        }
        let mut until = u64::MAX;
        match self.until.as_deref().map(|it| moment("--until", it)).transpose()? {
            Some(Moment::Time(at)) => query.push(("until", at.to_string())),
            Some(Moment::Position(position)) => until = position,
            Some(Moment::Cursor(cursor)) => until = cursor.position,
            None => {},
        }
        let mut stage = Stage::new(self);
        stage.past_until = newest;
        loop {
            let mut query = query.clone();
            query.push(("after", after.clone()));
            let page = online.get("/api/v1/events", &query)?;
            for event in page["events"].as_array().into_iter().flatten() {
                if event["position"].as_u64().is_some_and(|position| position > until) {
                    return Ok(());
                }
                stage.show(event)?;
                after = format!("{}-{}", event["epoch"], event["position"]);
            }
            if page["next"].is_null() {
                if !self.follow {
                    return Ok(());
                }
                std::thread::sleep(ASK);
            }
        }
    }
}

/// Where events are shown, with their pauses.
struct Stage<'p> {
    play: &'p Play,
    /// Events up to here have happened before: their pauses are played.
    past_until: u64,
    last: Option<Timestamp>,
}

impl<'p> Stage<'p> {
    const fn new(play: &'p Play) -> Self {
        Self { play, past_until: 0, last: None }
    }

    fn show(&mut self, event: &Value) -> Result<(), Failed> {
        if let Some(speed) = self.play.speed
            && event["position"].as_u64().is_some_and(|position| position <= self.past_until)
            && let Ok(at) = Timestamp::parse(event["at"].as_str().unwrap_or_default())
        {
            let last = self.last.replace(at).unwrap_or(at);
            std::thread::sleep(pause(last, at, speed));
        }
        let mut stdout = io::stdout().lock();
        if self.play.json {
            writeln!(stdout, "{event}")?;
        } else {
            writeln!(stdout, "{}", line(event))?;
        }
        if self.play.follow || self.play.speed.is_some() {
            stdout.flush()?;
        }
        Ok(())
    }
}

/// How long the way from one event to the next takes.
fn pause(last: Timestamp, at: Timestamp, speed: f64) -> Duration {
    let gap = Duration::from_micros(at.as_micros().saturating_sub(last.as_micros()));
    let seconds = (gap.as_secs_f64() / speed).min(LONGEST_PAUSE.as_secs_f64());
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_the_gap_by_the_speed_and_an_idle_night_takes_two_seconds() {
        let at = |ms: u64| Timestamp::default().plus_ms(ms);
        assert_eq!(pause(at(0), at(1_000), 1.0), Duration::from_secs(1));
        assert_eq!(pause(at(0), at(1_000), 10.0), Duration::from_millis(100));
        assert_eq!(pause(at(0), at(1_000), 0.5), Duration::from_secs(2));
        assert_eq!(pause(at(0), at(8 * 3_600_000), 60.0), LONGEST_PAUSE);
        assert_eq!(pause(at(5), at(5), 1.0), Duration::ZERO);
        assert_eq!(pause(at(0), at(1_000), f64::MIN_POSITIVE), LONGEST_PAUSE);
    }
}
