//! The filters of `audit`, as a query of the journal and as one of the API.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::ops::ControlFlow;

use clap::Args;
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Query, ReadLog, Reader};
use serde_json::{Value, json};

use crate::cli::exit::Failed;
use crate::cli::online::Online;
use crate::cli::replay::stream_id;
use crate::cli::source::Source;
use crate::event::{Event, type_ids};
use crate::travel::cursor::{self, NoPlace};

/// See the module.
#[derive(Debug, Args)]
pub(super) struct Filters {
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
}

/// Most rows of a page of the API.
const PAGE: usize = 1_000;

/// What is called with each event; `Break` ends the search.
type Take<'t> = &'t mut dyn FnMut(Value) -> Result<ControlFlow<()>, Failed>;

impl Filters {
    /// Gives every matching event, oldest first, at most `limit`; says whether there are more.
    pub(super) fn find(
        &self,
        source: &Source,
        limit: Option<usize>,
        take: Take<'_>,
    ) -> Result<bool, Failed> {
        match source {
            Source::Data(reader) => self.offline(reader, limit.unwrap_or(usize::MAX), take),
            Source::Server(online) => self.online(online, limit.unwrap_or(usize::MAX), take),
        }
    }

    fn offline(&self, reader: &Reader, limit: usize, take: Take<'_>) -> Result<bool, Failed> {
        let query = self.query(reader)?;
        let (mut count, mut more, mut failed) = (0, false, None);
        reader.find(&query, &mut |record| {
            if count == limit {
                more = true;
                return ControlFlow::Break(());
            }
            count += 1;
            take(json!(Event::of(&record))).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            })
        })?;
        failed.map_or(Ok(more), Err)
    }

    fn query(&self, log: &dyn ReadLog) -> Result<Query, Failed> {
        let time = |flag: &str, text: &Option<String>| {
            let parse = |it: &String| Timestamp::parse(it).map(Timestamp::as_micros);
            let parsed = text.as_ref().map(parse).transpose();
            parsed.map_err(|reason| Failed::usage(format!("--{flag}: {reason}")))
        };
        let types = self.types.as_deref().map_or(Ok(Vec::new()), type_ids);
        Ok(Query {
            stream: self.stream.as_deref().map(stream_id).transpose()?,
            types: types.map_err(|reason| Failed::usage(format!("--type: {reason}")))?,
            principal: self.principal.clone(),
            correlation: self.correlation.clone(),
            tags: Vec::new(),
            since_us: time("since", &self.since)?,
            until_us: time("until", &self.until)?,
            after: self.after.as_deref().map_or(Ok(0), |text| position("--after", text, log))?,
        })
    }

    fn online(&self, online: &Online, limit: usize, take: Take<'_>) -> Result<bool, Failed> {
        let filters = [
            ("stream", &self.stream),
            ("type", &self.types),
            ("principal", &self.principal),
            ("correlation", &self.correlation),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let filters: Vec<(&str, String)> =
            filters.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
        let mut after = self.after.clone();
        let mut count = 0;
        loop {
            let mut query = filters.clone();
            query.extend(after.take().map(|after| ("after", after)));
            query.push(("limit", (limit - count).clamp(1, PAGE).to_string()));
            let mut page = online.get("/api/v1/events", &query)?;
            let Value::Array(events) = page["events"].take() else { return Ok(false) };
            for event in events {
                if count == limit {
                    return Ok(true);
                }
                count += 1;
                if take(event)?.is_break() {
                    return Ok(false);
                }
            }
            let Some(next) = page["next"].as_str() else { return Ok(false) };
            if count >= limit {
                return Ok(true);
            }
            after = Some(next.to_owned());
        }
    }
}

/// `{epoch}-{position}`, or a bare position of the current history.
pub(super) fn position(flag: &str, text: &str, log: &dyn ReadLog) -> Result<u64, Failed> {
    let position = cursor::position(text, log).map_err(|none| match none {
        NoPlace::AfterEnd { asked, head } | NoPlace::OtherEpoch { asked, head } => Failed::usage(
            format!("{flag}: {asked} is no place in this journal, which ends at {head}"),
        ),
        NoPlace::Read(error) => error.into(),
    })?;
    let neither = || Failed::usage(format!("{flag}: write a position or {{epoch}}-{{position}}"));
    position.ok_or_else(neither)
}
