//! `/api/v1/sessions`: attributes with a revision, a TTL and an age.

mod list;
mod shown;

pub(super) use list::{__path_list, list, show as show_live};
pub(super) use shown::{Kept, Over, SessionView, answer, placed};

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::IF_MATCH;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use mainstay_actors::host::{Host, Meta};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{Sealed, Session, SessionCommand, SessionReject, check_new};
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::body::Body;
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Of, Placed};
use super::whole;
use crate::vault::{Name, Vault};

/// A session to begin.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateSession)]
pub(super) struct Create {
    /// Whose it is; the key's own tenant, or `default`, if absent.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,200}$")]
    tenant: Option<String>,
    /// Whom it is about: an opaque id. What looks like an e-mail address or telephone number is
    /// refused.
    #[schema(min_length = 1, max_length = 200)]
    subject: String,
    /// It ends when it is not touched for so long.
    #[schema(minimum = 1_000, maximum = 2_592_000_000_u64)]
    #[serde(deserialize_with = "whole::number")]
    ttl_ms: u64,
    /// It ends at this age whatever happens.
    #[schema(minimum = 1_000, maximum = 31_622_400_000_u64)]
    #[serde(default, deserialize_with = "whole::optional")]
    max_age_ms: Option<u64>,
    /// At most 64 and 16 KiB together.
    #[serde(default)]
    #[schema(schema_with = named_values)]
    attributes: Map<String, Value>,
}

/// Any value under a name of 1 to 200 bytes without control characters.
fn named_values() -> Object {
    let name = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"));
    ObjectBuilder::new().property_names(Some(name)).build()
}

/// Begin a session.
#[utoipa::path(
    post,
    path = "/api/v1/sessions",
    tag = "sessions",
    operation_id = "create_session",
    params(CommandHeaders),
    request_body(content = Create, example = json!({"subject": "customer-7", "ttl_ms": 1_800_000, "attributes": {"locale": "en"}})),
    responses((
        status = 201,
        description = "The session",
        body = Placed<SessionView>,
        headers(("ETag" = String, description = "The revision of its attributes, in quotes"))
    )),
    extensions(("x-problems" = json!(["session-exists", "subject-erased", "subject-key-missing"])))
)]
pub(super) async fn create(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let Creation { tenant, id, command, meta } = creation(&app, &caller, &body).await?;
    let receipt = host.ask::<Session>(stream(&tenant, &id)?, command, meta).await?;
    answer(&app.vault, StatusCode::CREATED, &tenant, &id, &receipt)
}

/// A new session: whose, its id, its first command, and what goes with it.
pub(super) struct Creation {
    pub(super) tenant: String,
    pub(super) id: String,
    pub(super) command: SessionCommand,
    pub(super) meta: Meta,
}

pub(super) async fn creation(
    app: &App,
    caller: &Caller,
    body: &Create,
) -> Result<Creation, Problem> {
    let tenant = caller.scope().tenant(body.tenant.as_deref())?;
    let id = app.session_id(&tenant, caller)?.to_string();
    let name = body.name(app, &tenant)?;
    let plain = body.attributes.iter().map(|(key, value)| (key.clone(), Some(plain(value))));
    let session = format!("{tenant}/{id}");
    let sealed = app.vault.seal_all(name, &session, plain.collect()).await?;
    let command = SessionCommand::Create {
        tenant: tenant.clone(),
        subject: body.subject.clone(),
        ttl_ms: body.ttl_ms,
        max_age_ms: body.max_age_ms,
        attributes: sealed.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
    };
    // Without a key the id was made here and now.
    let meta = Meta { fresh: caller.key().is_none(), ..caller.meta(body) };
    Ok(Creation { tenant, id, command, meta })
}

impl Create {
    /// Whose it is to be, if that was said.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Whether it would need a key for its subject.
    pub(super) fn has_values(&self) -> bool {
        !self.attributes.is_empty()
    }

    /// What the vault calls the subject; no key is made for what would be refused.
    pub(super) fn name(&self, app: &App, tenant: &str) -> Result<Name, Problem> {
        let plain = self.attributes.iter().map(|(key, value)| (key.clone(), plain(value)));
        let subject = &self.subject;
        check_new(tenant, subject, self.ttl_ms, self.max_age_ms, &plain.collect())?;
        Ok(app.vault.name(tenant, subject)?)
    }
}

/// Which session.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
pub(super) struct SessionId {
    /// The session's id.
    #[param(example = "019ab2c4-5d7e-7f00-8a1b-2c3d4e5f6071", pattern = "^[A-Za-z0-9._-]{1,200}$")]
    id: String,
}

/// A live session.
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "show_session",
    params(SessionId, Of),
    responses((
        status = 200,
        description = "The session",
        body = Placed<SessionView>,
        headers(("ETag" = String, description = "The revision of its attributes, in quotes"))
    )),
    extensions(("x-problems" = json!(["not-found", "subject-erased", "subject-key-missing"])))
)]
pub(super) async fn show(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    send(&host, &app, &caller, of.tenant.as_deref(), &id, SessionCommand::Show, &()).await
}

/// Prolong a session.
///
/// It is journaled once a tenth of the TTL has passed.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/{id}/touch",
    tag = "sessions",
    operation_id = "touch_session",
    params(CommandHeaders, SessionId, Of),
    responses((
        status = 200,
        description = "It lives on",
        body = Placed<Kept>,
        headers(("ETag" = String, description = "The revision of its attributes, in quotes"))
    )),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn touch(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    send(&host, &app, &caller, of.tenant.as_deref(), &id, SessionCommand::Touch, &()).await
}

/// A JSON merge patch of the attributes; null removes.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchSession)]
pub(super) struct Patch {
    /// At most 128 changes and 16 KiB together.
    #[schema(schema_with = named_values)]
    attributes: Map<String, Value>,
}

/// Change attributes of a session.
#[utoipa::path(
    patch,
    path = "/api/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "patch_session",
    params(
        CommandHeaders,
        SessionId,
        Of,
        ("If-Match" = Option<String>, Header, nullable = false, description = "Only if this is still its ETag, a revision in quotes", pattern = "^\"?[0-9]{1,18}\"?$"),
    ),
    request_body(content = Patch, example = json!({"attributes": {"basket": [42], "locale": null}})),
    responses((
        status = 200,
        description = "It is patched",
        body = Placed<Kept>,
        headers(("ETag" = String, description = "The revision of its attributes, in quotes"))
    )),
    extensions(("x-problems" = json!(["not-found", "session-stale", "subject-erased", "subject-key-missing"])))
)]
pub(super) async fn change(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
    request: HttpRequest,
    body: Body<Patch>,
) -> Result<HttpResponse, Problem> {
    let etag = request.headers().get(IF_MATCH).map(|etag| etag.to_str().unwrap_or_default());
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let stream = stream(&tenant, &id)?;
    let command = body.command(&host, &app.vault, &stream, caller.meta(&()), etag).await?;
    send(&host, &app, &caller, Some(&tenant), &id, command, &*body).await
}

impl Patch {
    /// The command for a session, sealed for its subject; tied to a revision if there is an `ETag`.
    pub(super) async fn command(
        &self,
        host: &Host,
        vault: &Vault,
        session: &StreamId,
        meta: Meta,
        if_match: Option<&str>,
    ) -> Result<SessionCommand, Problem> {
        let if_revision = if_match.map(|etag| {
            etag.trim_matches('"').parse().map_err(|_| {
                Problem::bad("If-Match must be the session's ETag, a revision in quotes")
            })
        });
        let changes: BTreeMap<_, _> = self
            .attributes
            .iter()
            .map(|(key, value)| (key.clone(), (!value.is_null()).then(|| plain(value))))
            .collect();
        let if_revision = if_revision.transpose()?;
        if changes.values().all(Option::is_none) {
            return Ok(SessionCommand::Patch { if_revision, changes });
        }
        let owner = vault.owner_of::<Problem>(host, session, &meta).await?;
        let changes = vault.seal_all(owner, session.id(), changes).await?;
        Ok(SessionCommand::Patch { if_revision, changes })
    }
}

/// End a session, and release the locks that it owns.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "end_session",
    params(CommandHeaders, SessionId, Of),
    responses((status = 200, description = "It has ended", body = Placed<Over>)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn end(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<HttpResponse, Problem> {
    send(&host, &app, &caller, of.tenant.as_deref(), &id, SessionCommand::End, &()).await
}

pub(super) fn stream(tenant: &str, id: &str) -> Result<StreamId, Problem> {
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
    app: &App,
    caller: &Caller,
    tenant: Option<&str>,
    id: &str,
    command: SessionCommand,
    body: &impl Serialize,
) -> Result<HttpResponse, Problem> {
    let tenant = caller.scope().tenant(tenant)?;
    let receipt = host.ask::<Session>(stream(&tenant, id)?, command, caller.meta(body)).await?;
    answer(&app.vault, StatusCode::OK, &tenant, id, &receipt)
}

/// A JSON value as bytes, not sealed yet.
fn plain(value: &Value) -> Sealed {
    Sealed::plain(value.to_string().as_bytes())
}
