//! `/api/v1/sessions`: attributes with a revision, a TTL and an age.

mod list;

pub(super) use list::list;

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use mainstay_actors::host::{Host, Receipt};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{
    Live, Sealed, Session, SessionCommand, SessionReject, SessionReply,
};
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::App;
use super::problem::Problem;
use super::request::Caller;

/// The tenant when none is named.
const DEFAULT_TENANT: &str = "default";

fn default_tenant() -> String {
    DEFAULT_TENANT.to_owned()
}

/// The body of `POST /sessions`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    #[serde(default = "default_tenant")]
    tenant: String,
    subject: String,
    ttl_ms: u64,
    max_age_ms: Option<u64>,
    #[serde(default)]
    attributes: Map<String, Value>,
}

/// `POST /sessions`
pub(super) async fn create(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    body: Json<Create>,
) -> Result<HttpResponse, Problem> {
    let id = app.session_id(&body.tenant, &caller)?.to_string();
    let stream = stream(&body.tenant, &id)?;
    let command = SessionCommand::Create {
        tenant: body.tenant.clone(),
        subject: body.subject.clone(),
        ttl_ms: body.ttl_ms,
        max_age_ms: body.max_age_ms,
        attributes: body.attributes.iter().map(|(key, value)| (key.clone(), seal(value))).collect(),
    };
    let receipt = host.ask::<Session>(stream, command, caller.meta(&*body)).await?;
    Ok(answer(StatusCode::CREATED, &body.tenant, &id, &receipt))
}

/// `?tenant=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    #[serde(default = "default_tenant")]
    tenant: String,
}

/// `GET /sessions/{id}`
pub(super) async fn show(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    send(&host, &caller, &of.tenant, &id, SessionCommand::Show, &()).await
}

/// `POST /sessions/{id}/touch`
pub(super) async fn touch(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    send(&host, &caller, &of.tenant, &id, SessionCommand::Touch, &()).await
}

/// The body of `PATCH /sessions/{id}`: a JSON merge patch of the attributes; null removes.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    attributes: Map<String, Value>,
}

/// `PATCH /sessions/{id}`
pub(super) async fn change(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
    request: HttpRequest,
    body: Json<Patch>,
) -> Result<HttpResponse, Problem> {
    let if_revision = request.headers().get(IF_MATCH).map(|etag| {
        let revision = etag.to_str().ok().and_then(|it| it.trim_matches('"').parse().ok());
        revision.ok_or_else(|| {
            Problem::bad("If-Match must be the session's ETag, a revision in quotes")
        })
    });
    let changes: BTreeMap<_, _> = body
        .attributes
        .iter()
        .map(|(key, value)| (key.clone(), (!value.is_null()).then(|| seal(value))))
        .collect();
    let command = SessionCommand::Patch { if_revision: if_revision.transpose()?, changes };
    send(&host, &caller, &of.tenant, &id, command, &*body).await
}

/// `DELETE /sessions/{id}`
pub(super) async fn end(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    send(&host, &caller, &of.tenant, &id, SessionCommand::End, &()).await
}

fn stream(tenant: &str, id: &str) -> Result<StreamId, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    for (field, value) in [("tenant", tenant), ("id", id)] {
        if !(1..=200).contains(&value.len()) || !value.bytes().all(plain) {
            let rule = "must be 1 to 200 bytes of letters, digits and . _ -";
            return Err(Problem::bad(format!("{field} {rule}")).with("field", field));
        }
    }
    StreamId::new(Session::KIND, &format!("{tenant}/{id}"))
        .ok_or_else(|| SessionReject::NotFound.into())
}

async fn send(
    host: &Host,
    caller: &Caller,
    tenant: &str,
    id: &str,
    command: SessionCommand,
    body: &impl Serialize,
) -> Result<HttpResponse, Problem> {
    let receipt = host.ask::<Session>(stream(tenant, id)?, command, caller.meta(body)).await?;
    Ok(answer(StatusCode::OK, tenant, id, &receipt))
}

/// The reply with its durable place, and the revision as `ETag`.
fn answer(
    status: StatusCode,
    tenant: &str,
    id: &str,
    receipt: &Receipt<SessionReply>,
) -> HttpResponse {
    let (mut shown, revision) = match &receipt.reply {
        SessionReply::Shown(live) => (members(tenant, id, live), Some(live.revision)),
        SessionReply::Kept { revision, expires_at } => {
            let mut kept = named(tenant, id);
            kept.insert("revision".to_owned(), json!(revision));
            kept.insert("expires_at".to_owned(), json!(expires_at));
            (kept, Some(*revision))
        },
        SessionReply::Ended | SessionReply::Done => {
            let mut ended = named(tenant, id);
            ended.insert("ended".to_owned(), json!(true));
            (ended, None)
        },
    };
    shown.insert("epoch".to_owned(), json!(receipt.at.epoch));
    shown.insert("position".to_owned(), json!(receipt.at.position));
    let mut response = HttpResponse::build(status);
    if let Some(revision) = revision {
        response.insert_header((ETAG, format!("\"{revision}\"")));
    }
    response.json(Value::Object(shown))
}

fn named(tenant: &str, id: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("id".to_owned(), json!(id));
    members.insert("tenant".to_owned(), json!(tenant));
    members
}

fn members(tenant: &str, id: &str, live: &Live) -> Map<String, Value> {
    let attributes: Map<_, _> =
        live.attributes.iter().map(|(name, value)| (name.clone(), unseal(value))).collect();
    let mut members = named(tenant, id);
    members.insert("subject".to_owned(), json!(live.subject));
    members.insert("revision".to_owned(), json!(live.revision));
    members.insert("attributes".to_owned(), Value::Object(attributes));
    members.insert("created_at".to_owned(), json!(live.created_at));
    members.insert("active_at".to_owned(), json!(live.active_at));
    members.insert("expires_at".to_owned(), json!(live.expires_at()));
    members
}

/// A JSON value as the opaque bytes that the machines keep.
fn seal(value: &Value) -> Sealed {
    Sealed::plain(value.to_string().as_bytes())
}

fn unseal(sealed: &Sealed) -> Value {
    sealed.as_plain().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null)
}
