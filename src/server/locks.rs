//! `/api/v1/locks`: leases with fencing tokens.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::host::{Answered, Failure, Host, Meta, Receipt};
use mainstay_actors::lock::{Claim, Lock, LockCommand, LockReject, LockReply, Mode, Range};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::page::{self, Limit};
use super::problem::Problem;
use super::request::Caller;
use crate::config::check_name;

/// The body of `POST /locks/{name}/acquire`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acquire {
    owner: String,
    ttl_ms: u64,
    #[serde(default)]
    wait_ms: u64,
    /// A session whose end releases the lease: its id, or `{tenant}/{id}`.
    session: Option<String>,
    #[serde(default)]
    mode: Mode,
    range: Option<Range>,
    #[serde(default)]
    lock_delay_ms: u64,
}

/// `POST /locks/{name}/acquire`
pub(super) async fn acquire(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<Acquire>,
) -> Result<Json<Value>, Problem> {
    let stream = stream(&name)?;
    let session = body.session.as_deref().map(full_session);
    if let Some(session) = &session {
        alive(&host, &caller, session).await?;
    }
    let meta = caller.meta(&*body);
    let claim = Claim {
        owner: body.owner.clone(),
        session: session.clone(),
        mode: body.mode,
        range: body.range,
        ttl_ms: body.ttl_ms,
        delay_ms: body.lock_delay_ms,
        request: meta.request.as_ref().map(|(id, _)| id.to_string()),
    };
    let acquire = LockCommand::Acquire { claim, wait_ms: body.wait_ms };
    let granted = host.ask::<Lock>(stream.clone(), acquire, meta).await?;
    if let Some(session) = session
        && has_ended(&host, &caller, &session).await
    {
        // It ended between the check and the grant: the lease goes before its reply does. Under a
        // request of its own: the key belongs to the acquire, and would be refused as reused.
        let end = LockCommand::SessionEnded { session };
        let meta = Meta { request: None, ..caller.meta(&()) };
        host.ask::<Lock>(stream, end, meta).await?;
        return Err(LockReject::SessionEnded.into());
    }
    Ok(Json(shown(&granted)))
}

fn full_session(session: &str) -> String {
    if session.contains('/') { session.to_owned() } else { format!("default/{session}") }
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

/// The body of renew and release.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renew {
    token: u64,
    owner: String,
    ttl_ms: Option<u64>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    token: u64,
    owner: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    token: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForceRelease {
    token: Option<u64>,
    reason: String,
}

/// `POST /locks/{name}/renew`
pub(super) async fn renew(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<Renew>,
) -> Result<Json<Value>, Problem> {
    let Renew { token, ref owner, ttl_ms } = *body;
    let command = LockCommand::Renew { token, owner: owner.clone(), ttl_ms };
    send(&host, &caller, &name, command, &*body).await
}

/// `POST /locks/{name}/release`
pub(super) async fn release(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<Release>,
) -> Result<Json<Value>, Problem> {
    let command = LockCommand::Release { token: body.token, owner: body.owner.clone() };
    send(&host, &caller, &name, command, &*body).await
}

/// `POST /locks/{name}/check`
pub(super) async fn check(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<Check>,
) -> Result<Json<Value>, Problem> {
    send(&host, &caller, &name, LockCommand::Check { token: body.token }, &*body).await
}

/// `POST /locks/{name}/force-release`
pub(super) async fn force_release(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<ForceRelease>,
) -> Result<Json<Value>, Problem> {
    let ForceRelease { token, ref reason } = *body;
    let command = LockCommand::ForceRelease { token, reason: reason.clone() };
    send(&host, &caller, &name, command, &*body).await
}

/// `GET /locks/{name}`
pub(super) async fn show(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
) -> Result<Json<Value>, Problem> {
    let mut shown = send(&host, &caller, &name, LockCommand::Show, &()).await?;
    if let Some(members) = shown.as_object_mut() {
        members.insert("name".to_owned(), json!(*name));
    }
    Ok(shown)
}

/// The query of `GET /locks`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only locks with a lease or a waiter are listed; other values are refused.
    active: Option<bool>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    limit: Limit,
}

/// `GET /locks?active=true&prefix=&after=&limit=`
pub(super) async fn list(host: Data<Host>, query: Query<List>) -> Result<HttpResponse, Problem> {
    if query.active == Some(false) {
        return Err(Problem::bad("only active locks are listed; ask /events for released ones"));
    }
    let limit = query.limit.get();
    let held = host.held_locks(&query.prefix, &query.after, limit + 1).await?;
    let (held, next) = page::cut(held, limit, |(name, _)| name.clone());
    let now = host.now().unwrap_or_default();
    let locks: Vec<Value> = held
        .iter()
        .map(|(name, state)| {
            let view = state.view_at(now);
            json!({
                "name": name,
                "holders": view.holders,
                "waiters": view.waiters,
                "last_token": view.last_token,
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "locks": locks, "next": next })))
}

fn stream(name: &str) -> Result<StreamId, Problem> {
    check_name(name).map_err(|rule| Problem::bad(rule).with("field", "name"))?;
    StreamId::new(Lock::KIND, name).ok_or_else(|| Problem::bad("bad name"))
}

async fn send(
    host: &Host,
    caller: &Caller,
    name: &str,
    command: LockCommand,
    body: &impl Serialize,
) -> Result<Json<Value>, Problem> {
    let receipt = host.ask::<Lock>(stream(name)?, command, caller.meta(body)).await?;
    Ok(Json(shown(&receipt)))
}

/// The reply with its durable place.
fn shown(receipt: &Receipt<LockReply>) -> Value {
    let mut shown = match serde_json::to_value(&receipt.reply) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    shown.insert("epoch".to_owned(), json!(receipt.at.epoch));
    shown.insert("position".to_owned(), json!(receipt.at.position));
    Value::Object(shown)
}
