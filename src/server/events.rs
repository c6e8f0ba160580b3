//! `/api/v1/events`: the journal, searched.

use std::ops::ControlFlow;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use mainstay_actors::host::Host;
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, Query as Find};
use serde::Deserialize;
use serde_json::json;

use super::page::{self, Limit};
use super::problem::Problem;
use crate::event::{Event, type_ids};

/// The query of `GET /events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    stream: Option<String>,
    r#type: Option<String>,
    principal: Option<String>,
    correlation: Option<String>,
    since: Option<String>,
    until: Option<String>,
    after: Option<String>,
    #[serde(default)]
    limit: Limit,
}

/// `GET /events`: what happened, oldest first.
pub(super) async fn list(host: Data<Host>, query: Query<List>) -> Result<HttpResponse, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let head = log.head();
    let find = find(&query, head)?;
    let limit = query.limit.get();
    let events = page::off_arbiter(move || {
        let mut events = Vec::new();
        log.find(&find, &mut |record| {
            events.push(Event::of(&record));
            if events.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(events)
    })
    .await?;
    let (events, next) = page::cut(events, limit, |event| event.cursor().to_string());
    Ok(HttpResponse::Ok().json(json!({ "events": events, "next": next })))
}

fn find(query: &List, head: Cursor) -> Result<Find, Problem> {
    let bad = |field: &str, reason: String| Problem::bad(reason).with("field", field);
    let time = |field: &str, text: &Option<String>| {
        let parse = |text: &String| Timestamp::parse(text).map(Timestamp::as_micros);
        text.as_ref()
            .map(parse)
            .transpose()
            .map_err(|reason| bad(field, format!("{field}: {reason}")))
    };
    let stream = query.stream.as_deref().map(page::stream);
    let types = query.r#type.as_deref().map(type_ids).transpose();
    Ok(Find {
        stream: stream.transpose()?,
        types: types.map_err(|reason| bad("type", reason))?.unwrap_or_default(),
        principal: query.principal.clone(),
        correlation: query.correlation.clone(),
        tags: Vec::new(),
        since_us: time("since", &query.since)?,
        until_us: time("until", &query.until)?,
        after: query.after.as_deref().map_or(Ok(0), |text| page::position("after", text, head))?,
    })
}
