//! `GET /api/v1/events/live`: what happens, as it becomes durable (server-sent events).
//!
//! ```text
//!   journal ──► Tail: one thread reads and renders what is new ──► readers at the end
//!      └──────► a reader that is behind reads for itself, a chunk at a time
//! ```
//!
//! | a reader that | |
//! |---|---|
//! | comes with `Last-Event-ID` or `after` | goes on behind that event; another history is 410 |
//! | is slow | holds a position and a chunk, never a queue |
//! | takes nothing for [`STALLED`] | is dropped, with a reason in the log, and in its stream if it can be told |
//! | came by a key that is taken no more | gets `event: dropped` and its end, before any event recorded after that was answered |
//! | is there when the server stops | gets `event: closing` and its end |

mod filter;
mod frame;
mod reader;
mod tail;

pub(super) use tail::Live;

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::{Failure, Host};
use serde::Deserialize;
use utoipa::IntoParams;

use self::filter::Filter;
use self::reader::Reader;
use super::App;
use super::access::Identity;
use super::page;
use super::problem::Problem;

/// A reader that takes nothing for so long while there is something to take is dropped.
pub(super) const STALLED: Duration = Duration::from_secs(10);
/// A comment goes out when there was nothing else for so long.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Readers at once.
const MAX_READERS: usize = 1_000;

/// The query of `GET /events/live`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Follow {
    /// Of one stream: `kind/id`.
    #[param(nullable = false, example = "lock/room-101", pattern = "^[a-z]{1,20}/[!-~]{1,200}$")]
    stream: Option<String>,
    /// Of one type, or of several with commas between.
    #[param(nullable = false)]
    r#type: Option<String>,
    /// Asked for by one principal.
    #[param(nullable = false)]
    principal: Option<String>,
    /// Tied to one trace id or request id.
    #[param(nullable = false)]
    correlation: Option<String>,
    /// From behind this event: a position, or `{epoch}-{position}`; from now on if absent.
    #[param(nullable = false, pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$")]
    after: Option<String>,
}

/// What happens, as it becomes durable.
///
/// Each event's id is its cursor. A stream that ends says why: `event: closing` or
/// `event: dropped`, with a `reason`.
#[utoipa::path(
    get,
    path = "/api/v1/events/live",
    tag = "journal",
    operation_id = "follow_events",
    params(
        Follow,
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "Where the last connection ended: `{epoch}-{position}`; it wins over `after`", pattern = "^[0-9]{1,9}-[0-9]{1,18}$"),
    ),
    responses((status = 200, description = "Server-sent events; `data` is an event as in /events", body = String, content_type = "text/event-stream")),
    extensions(("x-problems" = json!(["archived", "other-epoch"])))
)]
pub(super) async fn follow(
    host: Data<Host>,
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    query: Query<Follow>,
) -> Result<HttpResponse, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let filter = Filter::of(&query, identity.scope().clone())?;
    let last = request.headers().get("last-event-id");
    let after = match (last, &query.after) {
        (Some(last), _) => {
            let last = last.to_str().unwrap_or_default();
            page::place("Last-Event-ID", last, log.clone()).await?
        },
        (None, Some(after)) => page::place("after", after, log.clone()).await?,
        (None, None) => log.head().position,
    };
    let full = || Failure::<DependencyReject>::Busy("the live feed");
    let seat = app.live.join(&log).ok_or_else(full)?;
    let is_welcome = move || identity.is_still_good(&host);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Reader::new(seat, log, filter, after, is_welcome).stream()))
}
