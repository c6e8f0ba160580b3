//! `POST /api/v1/locks/{name}/acquire`: a lease, now or after a wait, alone or with a session.

use actix_web::web::{Data, Json, Path};
use mainstay_actors::host::{Answered, Failure, Host, Meta};
use mainstay_actors::lock::{Claim, Lease, Lock, LockCommand, LockReject, Mode, Range};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LockName, lease, stream};
use crate::server::body::Body;
use crate::server::problem::Problem;
use crate::server::request::{Caller, CommandHeaders, Placed};
use crate::server::whole;

/// Who wants the lock, and how.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Acquire {
    /// The holder to be.
    #[schema(min_length = 1, max_length = 200)]
    pub(in crate::server) owner: String,
    /// The lease's length; it starts at the grant.
    #[schema(minimum = 100, maximum = 604_800_000)]
    #[serde(deserialize_with = "whole::number")]
    pub(in crate::server) ttl_ms: u64,
    /// How long to wait for it; needs an `Idempotency-Key`.
    #[serde(default, deserialize_with = "whole::number")]
    #[schema(maximum = 600_000)]
    pub(in crate::server) wait_ms: u64,
    /// A session whose end releases the lease: its id, or `{tenant}/{id}`.
    #[schema(min_length = 1, max_length = 400)]
    pub(in crate::server) session: Option<String>,
    /// Alone or together.
    #[serde(default)]
    pub(in crate::server) mode: Mode,
    /// A part of the resource; all of it if absent.
    pub(in crate::server) range: Option<Range>,
    /// After an expiry nobody gets the lock for this long.
    #[serde(default, deserialize_with = "whole::number")]
    #[schema(maximum = 60_000)]
    pub(in crate::server) lock_delay_ms: u64,
}

/// Take a lease, or wait for one.
///
/// Pass its token to the resource with every write. A wait needs an `Idempotency-Key`, so that a
/// lost connection finds its grant again.
#[utoipa::path(
    post,
    path = "/api/v1/locks/{name}/acquire",
    tag = "locks",
    operation_id = "acquire_lock",
    params(CommandHeaders, LockName),
    request_body(content = Acquire, example = json!({"owner": "worker-1", "ttl_ms": 30000})),
    responses((status = 200, description = "The lease", body = Placed<Lease>)),
    extensions(("x-problems" = json!([
        "lock-held", "lock-wait-over", "lock-request-spent", "lock-queue-full", "lock-full",
        "lock-other-unit", "session-ended"
    ])))
)]
pub(in crate::server) async fn acquire(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Acquire>,
) -> Result<Json<Placed<Lease>>, Problem> {
    take(&host, &caller, &name, &body).await.map(Json)
}

/// The command of a request, and its meta data.
pub(in crate::server) fn claim(
    caller: &Caller,
    body: &Acquire,
) -> Result<(LockCommand, Meta), Problem> {
    let meta = caller.meta(body);
    let claim = Claim {
        owner: body.owner.as_str().into(),
        session: full_session(caller, body)?.map(Into::into),
        mode: body.mode,
        range: body.range,
        ttl_ms: body.ttl_ms,
        delay_ms: body.lock_delay_ms,
        request: meta.request.as_ref().map(|(id, _)| id.clone().into()),
    };
    Ok((LockCommand::Acquire { claim, wait_ms: body.wait_ms }, meta))
}

/// Asks the session, if there is one, before and after the grant.
pub(in crate::server) async fn take(
    host: &Host,
    caller: &Caller,
    name: &str,
    body: &Acquire,
) -> Result<Placed<Lease>, Problem> {
    caller.scope().reach_lock(name)?;
    let stream = stream(name)?;
    let session = full_session(caller, body)?;
    if let Some(session) = &session {
        alive(host, caller, session).await?;
    }
    let (acquire, meta) = claim(caller, body)?;
    let granted = host.ask::<Lock>(stream.clone(), acquire, meta).await?;
    if let Some(session) = session
        && has_ended(host, caller, &session).await
    {
        // It ended between the check and the grant: the lease goes before its reply does. Under a
        // request of its own: the key belongs to the acquire, and would be refused as reused.
        let end = LockCommand::SessionEnded { session };
        let meta = Meta { request: None, ..caller.meta(&()) };
        host.ask::<Lock>(stream, end, meta).await?;
        return Err(LockReject::SessionEnded.into());
    }
    lease(granted)
}

/// `{tenant}/{id}` of the session that is to own the lease.
fn full_session(caller: &Caller, body: &Acquire) -> Result<Option<String>, Problem> {
    let Some(session) = &body.session else { return Ok(None) };
    let (tenant, id) = match session.split_once('/') {
        Some((tenant, id)) => (Some(tenant), id),
        None => (None, session.as_str()),
    };
    Ok(Some(format!("{}/{id}", caller.scope().tenant(tenant)?)))
}

/// Refuses a session that has ended, and one that cannot be asked.
async fn alive(host: &Host, caller: &Caller, session: &str) -> Result<(), Problem> {
    match ask_session(host, caller, session).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(Failure::Rejected { .. })) | None => Err(LockReject::SessionEnded.into()),
        Some(Err(failure)) => Err(failure.into()),
    }
}

/// Whether a session's own ruling says so; a session that cannot be asked has not ended.
async fn has_ended(host: &Host, caller: &Caller, session: &str) -> bool {
    matches!(ask_session(host, caller, session).await, Some(Err(Failure::Rejected { .. })))
}

async fn ask_session(host: &Host, caller: &Caller, session: &str) -> Option<Answered<Session>> {
    let stream = StreamId::new(Session::KIND, session)?;
    let meta = Meta { request: None, ..caller.meta(&()) };
    Some(host.ask::<Session>(stream, SessionCommand::Show, meta).await)
}
