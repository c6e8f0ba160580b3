//! `/livez` and `/readyz`: is the process alive, does it take commands.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{Data, Json, Query};
use mainstay_actors::host::{Host, Occupancy, Readiness};
use mainstay_journal::{LogStatus, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Identity;
use super::backups::{self, BackupStatus};
use super::problem::{PROBLEM_JSON, Problem};

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    #[schema(example = "alive")]
    status: &'static str,
}

/// Is the process alive?
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    operation_id = "livez",
    responses((status = 200, description = "It answers", body = Alive))
)]
pub(super) async fn livez() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// The query of `GET /readyz`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Verbose {
    /// With the journal and the actors, for a good key if the server needs one; `false` is as if it
    /// were absent.
    #[param(nullable = false)]
    verbose: Option<String>,
}

/// Commands are taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    #[schema(example = "ready")]
    status: &'static str,
    #[serde(flatten)]
    more: More,
}

/// What `?verbose` adds.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct More {
    /// Absent before it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    journal: Option<Journal>,
    /// How full the host is; absent before it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    occupancy: Option<Occupancy>,
    /// Events that recovery could not fold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unreadable_events: Option<u64>,
    /// How backups stand; absent if none are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    backups: Option<BackupStatus>,
}

/// How the journal stands.
#[derive(Debug, Serialize, ToSchema)]
struct Journal {
    epoch: u32,
    /// Of the newest durable event.
    position: u64,
    /// Why it takes no events at this moment.
    refusing: Option<String>,
    /// Appends waiting for the writer.
    queued: usize,
    size_bytes: u64,
    segments: usize,
    sync_p50_us: u64,
    sync_p99_us: u64,
    /// The indexed second copy.
    store: Option<Store>,
}

/// How the indexed second copy stands.
#[derive(Debug, Serialize, ToSchema)]
struct Store {
    /// Everything up to here is in it.
    reached: u64,
    /// It was lost, and is being made again.
    rebuilding: bool,
    /// What was wrong with the last one.
    trouble: Option<String>,
}

/// Are commands taken, and does the journal write?
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    operation_id = "readyz",
    params(Verbose),
    responses((status = 200, description = "Yes", body = Ready)),
    extensions(("x-problems" = json!(["not-ready", "bad-request"])))
)]
pub(super) async fn readyz(
    host: Data<Host>,
    app: Data<App>,
    query: Query<Verbose>,
    known: Option<Identity>,
) -> Result<HttpResponse, Problem> {
    let readiness = host.readiness();
    let journal = host.log().map(|log| log.status());
    let poisoned = journal.as_ref().and_then(|status| match &status.refusing {
        Some(refusal @ Refusal::Poisoned(_)) => Some(refusal.to_string()),
        _ => None,
    });
    // Load and size are nobody's business who has no key.
    let more = if known.is_some() && query.verbose.as_ref().is_some_and(|it| it != "false") {
        more(&host, &app).await
    } else {
        More::default()
    };
    if readiness == Readiness::Ready && poisoned.is_none() {
        return Ok(HttpResponse::Ok().json(Ready { status: "ready", more }));
    }
    Ok(not_ready(&readiness, poisoned, more))
}

async fn more(host: &Host, app: &App) -> More {
    let journal = host.log().map(|log| shown(&log.status()));
    let (occupancy, unreadable) = (host.occupancy().await.ok(), host.unreadable());
    let backups = backups::standing(&app.backups);
    More { journal, occupancy, unreadable_events: Some(unreadable), backups }
}

/// What a server that is ready says, with its journal and actors.
pub(super) async fn verbose(host: &Host, app: &App) -> Value {
    let ready = Ready { status: "ready", more: more(host, app).await };
    serde_json::to_value(ready).unwrap_or_default()
}

/// A problem that shows how far the server is: `readiness` and what belongs to it.
fn not_ready(readiness: &Readiness, poisoned: Option<String>, more: More) -> HttpResponse {
    let mut shown = Map::new();
    for part in [serde_json::to_value(readiness), serde_json::to_value(more)] {
        if let Ok(Value::Object(members)) = part {
            shown.extend(members);
        }
    }
    // `status` is the number of the problem.
    let state = shown.remove("status").unwrap_or_default();
    shown.insert("readiness".to_owned(), state);
    if let Some(reason) = &poisoned {
        shown.insert("readiness".to_owned(), "journal_closed".into());
        shown.insert("reason".to_owned(), reason.as_str().into());
    }
    let detail = poisoned.unwrap_or_else(|| readiness.to_string());
    let status = StatusCode::SERVICE_UNAVAILABLE;
    shown.extend(Problem::new(status, "not-ready", detail).body());
    HttpResponse::build(status)
        .insert_header((RETRY_AFTER, "1"))
        .content_type(PROBLEM_JSON)
        .body(Value::Object(shown).to_string())
}

fn shown(status: &LogStatus) -> Journal {
    Journal {
        epoch: status.head.epoch,
        position: status.head.position,
        refusing: status.refusing.as_ref().map(ToString::to_string),
        queued: status.queued,
        size_bytes: status.size_bytes,
        segments: status.segments,
        sync_p50_us: status.sync_p50_us,
        sync_p99_us: status.sync_p99_us,
        store: status.store.as_ref().map(|store| Store {
            reached: store.reached,
            rebuilding: store.rebuilding,
            trouble: store.trouble.clone(),
        }),
    }
}
