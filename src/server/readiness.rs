//! `/livez` and `/readyz`: is the process alive, does it take commands.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{Data, Query};
use mainstay_actors::host::{Host, Readiness};
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::{PROBLEM_JSON, Problem};

/// `GET /livez`: 200 as long as the process answers.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// `?verbose`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verbose {
    verbose: Option<String>,
}

/// `GET /readyz[?verbose]`: 200 when commands are taken and the journal writes, else 503.
pub(super) async fn readyz(
    host: Data<Host>,
    query: Query<Verbose>,
) -> Result<HttpResponse, Problem> {
    let readiness = host.readiness();
    let journal = host.log().map(|log| log.status());
    let poisoned = journal.as_ref().and_then(|status| match &status.refusing {
        Some(refusal @ mainstay_journal::Refusal::Poisoned(_)) => Some(refusal.to_string()),
        _ => None,
    });
    let ready = readiness == Readiness::Ready && poisoned.is_none();
    let mut body = json!(readiness);
    if let Some(members) = body.as_object_mut() {
        if let Some(reason) = &poisoned {
            members.insert("status".to_owned(), json!("journal_closed"));
            members.insert("reason".to_owned(), json!(reason));
        }
        if query.verbose.as_ref().is_some_and(|it| it != "false") {
            members.insert("journal".to_owned(), json!(journal.as_ref().map(shown)));
            members.insert("occupancy".to_owned(), json!(host.occupancy().await.ok()));
            members.insert("unreadable_events".to_owned(), json!(host.unreadable()));
        }
        if !ready {
            members.insert("type".to_owned(), json!("/problems/not-ready"));
            members.insert("title".to_owned(), json!("not ready"));
            members.insert("detail".to_owned(), json!(poisoned.unwrap_or(readiness.to_string())));
        }
    }
    if ready {
        return Ok(HttpResponse::Ok().json(body));
    }
    Ok(HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header((RETRY_AFTER, "1"))
        .content_type(PROBLEM_JSON)
        .body(body.to_string()))
}

fn shown(status: &mainstay_journal::LogStatus) -> Value {
    json!({
        "epoch": status.head.epoch,
        "position": status.head.position,
        "refusing": status.refusing.as_ref().map(ToString::to_string),
        "queued": status.queued,
        "size_bytes": status.size_bytes,
        "segments": status.segments,
        "sync_p50_us": status.sync_p50_us,
        "sync_p99_us": status.sync_p99_us,
        "store": status.store.as_ref().map(|store| json!({
            "reached": store.reached,
            "rebuilding": store.rebuilding,
            "trouble": store.trouble,
        })),
    })
}
