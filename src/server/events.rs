//! `/api/v1/events`: the journal, searched.

use std::ops::ControlFlow;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use mainstay_actors::host::Host;
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Query as Find, ReadLog};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Scope;
use super::page::{self, Limit};
use super::problem::Problem;
use crate::event::{Event, type_ids};

/// The query of `GET /events`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct List {
    /// Of one stream: `kind/id`.
    #[param(nullable = false, example = "lock/room-101", pattern = "^[a-z]{1,20}/[!-~]{1,200}$")]
    stream: Option<String>,
    /// Of one type, or of several with commas between.
    #[param(nullable = false, example = "LeaseGranted,LeaseReleased")]
    r#type: Option<String>,
    /// Asked for by one principal.
    #[param(nullable = false)]
    principal: Option<String>,
    /// Tied to one trace id or request id.
    #[param(nullable = false)]
    correlation: Option<String>,
    /// Not before, inclusive.
    #[param(nullable = false, value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Not after, inclusive.
    #[param(nullable = false, value_type = Option<Timestamp>)]
    until: Option<String>,
    /// Only events after this one: a position, or `{epoch}-{position}`.
    #[param(nullable = false, pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$")]
    after: Option<String>,
    /// Rows of the page, 100 if absent.
    #[serde(default)]
    #[param(value_type = Option<usize>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Limit,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Events {
    /// Oldest first.
    events: Vec<Event>,
    /// Pass it as `after`; null after the last page.
    next: Option<String>,
}

/// What happened, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "journal",
    operation_id = "list_events",
    params(List),
    responses((status = 200, description = "A page of events", body = Events)),
    extensions(("x-problems" = json!(["archived", "other-epoch"])))
)]
pub(super) async fn list(
    host: Data<Host>,
    scope: Scope,
    query: Query<List>,
) -> Result<HttpResponse, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let limit = query.limit.get();
    let events = page::off_arbiter(move || {
        let find = find(&query, &scope, &*log)?;
        let mut events = Vec::new();
        log.find(&find, &mut |record| {
            events.push(Event::of(&record));
            if events.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(events)
    })
    .await?;
    let (events, next) = page::cut(events, limit, |event| event.cursor().to_string());
    Ok(HttpResponse::Ok().json(Events { events, next }))
}

fn find(query: &List, scope: &Scope, log: &dyn ReadLog) -> Result<Find, Problem> {
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
        tags: scope.tags(),
        since_us: time("since", &query.since)?,
        until_us: time("until", &query.until)?,
        after: query.after.as_deref().map_or(Ok(0), |text| page::position("after", text, log))?,
    })
}
