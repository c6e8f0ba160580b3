//! A subject is forgotten, unless a hold is in the way.
//!
//! ```text
//!   DELETE ─► SubjectErased durable ─► the host destroys the key and ends the sessions ─► 200
//!                                         └─ not within 10 s: 202, and it goes on
//! ```

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::host::{Host, Receipt};
use mainstay_actors::subject::{Erasure, Hold, SubjectCommand};
use mainstay_actors::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{Of, SubjectId, ask, stream};
use crate::server::body::Body;
use crate::server::problem::Problem;
use crate::server::request::{Caller, CommandHeaders, Placed};

/// How long an erasure is waited for: sessions by the thousand take a while to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A subject that was forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct ErasedSubject {
    tenant: String,
    subject: String,
    /// When it was asked for.
    erased_at: Timestamp,
    /// How many live sessions ended; null while that goes on.
    sessions_ended: Option<u64>,
}

/// Forget a subject.
///
/// The erasure is journaled, then the key under which its values are sealed is destroyed, so that
/// nobody can read them any more, then its live sessions end and release their locks. It is for
/// good: nothing about this subject is taken again. A crash in between is caught up at the next
/// start, before anything is served.
#[utoipa::path(
    delete,
    path = "/api/v1/subjects/{id}",
    tag = "subjects",
    operation_id = "erase_subject",
    params(CommandHeaders, SubjectId, Of),
    responses(
        (status = 200, description = "It is forgotten", body = Placed<ErasedSubject>),
        (status = 202, description = "It is journaled, and still under way", body = Placed<ErasedSubject>),
    ),
    extensions(("x-problems" = json!(["subject-erased", "subject-held"])))
)]
pub(in crate::server) async fn erase(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let stream = stream(&tenant, &id)?;
    let meta = caller.meta(&tenant);
    let begun = ask(&host, stream.clone(), SubjectCommand::Erase, meta).await?;
    let finished = host.follow_erasure(stream.clone()).await?;
    // It is over, too, when nobody tells any more.
    let is_over = timeout(PATIENCE, finished).await.is_ok();
    let Receipt { reply, at } = if is_over {
        let meta = mainstay_actors::host::Meta { request: None, ..caller.meta(&()) };
        host.ask::<mainstay_actors::subject::Subject>(stream, SubjectCommand::Show, meta).await?
    } else {
        begun
    };
    let Some(Erasure { at: erased_at, sessions_ended }) = reply.0.erased else {
        return Err(Problem::internal("the erasure left no trace"));
    };
    let status = if sessions_ended.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let (tenant, subject) = (tenant, id.into_inner());
    let shown = ErasedSubject { tenant, subject, erased_at, sessions_ended };
    Ok(HttpResponse::build(status).json(Placed::new(shown, at)))
}

/// A hold to place or to lift.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct SetHold {
    /// Whether the subject must not be erased.
    held: bool,
    /// Why; it is journaled.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// A subject and its hold.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct HeldSubject {
    tenant: String,
    subject: String,
    /// Null if it may be erased.
    hold: Option<Hold>,
}

/// Place or lift a legal hold: a held subject cannot be erased.
#[utoipa::path(
    post,
    path = "/api/v1/subjects/{id}/hold",
    tag = "subjects",
    operation_id = "hold_subject",
    params(CommandHeaders, SubjectId, Of),
    request_body(content = SetHold, example = json!({"held": false, "reason": "case 7 is closed"})),
    responses((status = 200, description = "As it is now", body = Placed<HeldSubject>)),
    extensions(("x-problems" = json!(["subject-erased"])))
)]
pub(in crate::server) async fn hold(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
    body: Body<SetHold>,
) -> Result<Json<Placed<HeldSubject>>, Problem> {
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let meta = caller.meta(&(&tenant, &*body));
    let SetHold { held, reason } = body.into_inner();
    let command = SubjectCommand::SetHold { held, reason };
    let Receipt { reply, at } = ask(&host, stream(&tenant, &id)?, command, meta).await?;
    let (tenant, subject) = (tenant, id.into_inner());
    Ok(Json(Placed::new(HeldSubject { tenant, subject, hold: reply.0.hold }, at)))
}
