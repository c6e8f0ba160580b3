//! `/api/v1/keys`: who may come in. An admin of all tenants makes keys, rotates and revokes them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Json, Path};
use mainstay_actors::host::{Host, Receipt};
use mainstay_actors::key::{Key, KeyCommand, KeyFacts, KeyReply, Role};
use mainstay_actors::machine::Machine;
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::{KEY_NAME, NewKey, check_key_name};
use super::body::Body;
use super::page;
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Placed};
use super::whole;

/// A key to make.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateKey)]
pub(super) struct Create {
    /// Its name, for good: the principal of its events is `key:` and this.
    #[schema(pattern = "^[A-Za-z0-9.-]{1,64}$")]
    name: String,
    /// What its holder may do.
    role: Role,
    /// Whose sessions and locks it reaches; everybody's if absent.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,200}$")]
    tenant: Option<String>,
    /// It is taken for so long; until it is revoked if absent.
    #[schema(minimum = 1_000, maximum = 316_224_000_000_u64)]
    #[serde(default, deserialize_with = "whole::optional")]
    life_ms: Option<u64>,
}

/// A key to give another secret.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateKey)]
pub(super) struct Rotate {
    /// The older secrets are taken for so long, too; 0 ends them at once.
    #[schema(maximum = 7_776_000_000_u64)]
    #[serde(deserialize_with = "whole::number")]
    overlap_ms: u64,
}

/// A key to take back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeKey)]
pub(super) struct Revoke {
    /// Why; it is journaled.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// A key without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyView {
    name: String,
    role: Role,
    /// Whose sessions and locks it reaches; null is everybody's.
    tenant: Option<String>,
    created_at: Timestamp,
    /// Since when its newest secret is taken.
    rotated_at: Timestamp,
    /// When it ends by itself.
    expires_at: Option<Timestamp>,
    /// When it was taken back.
    revoked_at: Option<Timestamp>,
    /// Secrets that are taken now, newest first.
    secrets: Vec<SecretView>,
}

/// A secret of a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub(crate) struct SecretView {
    /// Four bytes of its keyed hash: tells two secrets apart.
    #[schema(example = "9f2c01ab")]
    fingerprint: String,
    since: Timestamp,
    /// Until when, if a newer one came.
    until: Option<Timestamp>,
}

/// A key with its new secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewKey)]
pub(super) struct Issued {
    #[serde(flatten)]
    view: KeyView,
    /// The key itself: shown here, once, and kept nowhere.
    #[schema(example = "mainstay_booking_5f0c…")]
    key: String,
}

/// Every key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Keys {
    /// By name; revoked and expired ones, too.
    keys: Vec<KeyView>,
}

/// Which key.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
pub(super) struct KeyName {
    /// The key's name.
    #[param(example = "booking", pattern = "^[A-Za-z0-9.-]{1,64}$")]
    name: String,
}

/// Every key, without secrets.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    tag = "keys",
    operation_id = "list_keys",
    responses((status = 200, description = "All of them, by name", body = Keys))
)]
pub(super) async fn list(host: Data<Host>) -> Result<Json<Keys>, Problem> {
    let (Some(keys), Some(now)) = (host.keys(), host.now()) else {
        return Err(page::not_ready(&host));
    };
    let keys = keys.all().into_iter();
    let views = keys.filter_map(|(name, state)| Some(view(&name, state.key.as_ref()?, now)));
    Ok(Json(Keys { keys: views.collect() }))
}

/// Make a key.
///
/// Its text is in this answer and nowhere else: a retry under the same `Idempotency-Key` learns
/// that it was made, and cannot be shown it again.
#[utoipa::path(
    post,
    path = "/api/v1/keys",
    tag = "keys",
    operation_id = "create_key",
    params(CommandHeaders),
    request_body(content = Create, example = json!({"name": "booking", "role": "operator"})),
    responses((status = 201, description = "The key", body = Placed<Issued>)),
    extensions(("x-problems" = json!(["key-exists"])))
)]
pub(super) async fn create(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let Create { ref name, role, ref tenant, life_ms } = *body;
    let (stream, new) = (stream(name)?, generate(name)?);
    let hash = app.access.hash(name, &new.secret)?;
    let command = KeyCommand::Create { role, tenant: tenant.clone(), hash, life_ms };
    let receipt = host.ask::<Key>(stream, command, caller.meta(&*body)).await?;
    issued(&host, StatusCode::CREATED, name, new, receipt)
}

/// One key, without secrets.
#[utoipa::path(
    get,
    path = "/api/v1/keys/{name}",
    tag = "keys",
    operation_id = "show_key",
    params(KeyName),
    responses((status = 200, description = "The key", body = Placed<KeyView>)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn show(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
) -> Result<Json<Placed<KeyView>>, Problem> {
    let receipt = host.ask::<Key>(stream(&name)?, KeyCommand::Show, caller.meta(&())).await?;
    placed(&host, &name, receipt).map(Json)
}

/// Give a key another secret.
///
/// The older ones are taken for the overlap, too, so that its holders can change over.
#[utoipa::path(
    post,
    path = "/api/v1/keys/{name}/rotate",
    tag = "keys",
    operation_id = "rotate_key",
    params(CommandHeaders, KeyName),
    request_body(content = Rotate, example = json!({"overlap_ms": 86_400_000})),
    responses((status = 200, description = "The key with its new secret", body = Placed<Issued>)),
    extensions(("x-problems" = json!(["not-found", "key-over", "key-secrets"])))
)]
pub(super) async fn rotate(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    name: Path<String>,
    body: Body<Rotate>,
) -> Result<HttpResponse, Problem> {
    let (stream, new) = (stream(&name)?, generate(&name)?);
    let hash = app.access.hash(&name, &new.secret)?;
    let command = KeyCommand::Rotate { hash, overlap_ms: body.overlap_ms };
    let receipt = host.ask::<Key>(stream, command, caller.meta(&*body)).await?;
    issued(&host, StatusCode::OK, &name, new, receipt)
}

/// Take a key back, for good.
#[utoipa::path(
    post,
    path = "/api/v1/keys/{name}/revoke",
    tag = "keys",
    operation_id = "revoke_key",
    params(CommandHeaders, KeyName),
    request_body(content = Revoke, example = json!({"reason": "it was in a log"})),
    responses((status = 200, description = "It is taken no more", body = Placed<KeyView>)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn revoke(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Revoke>,
) -> Result<Json<Placed<KeyView>>, Problem> {
    let command = KeyCommand::Revoke { reason: body.reason.clone() };
    let receipt = host.ask::<Key>(stream(&name)?, command, caller.meta(&*body)).await?;
    placed(&host, &name, receipt).map(Json)
}

fn stream(name: &str) -> Result<StreamId, Problem> {
    let bad = || Problem::bad(format!("name must be {KEY_NAME}")).with("field", "name");
    StreamId::new(Key::KIND, name).filter(|_| check_key_name(name)).ok_or_else(bad)
}

fn generate(name: &str) -> Result<NewKey, Problem> {
    NewKey::generate(name).map_err(|error| Problem::internal(format!("random bits: {error}")))
}

pub(crate) fn view(name: &str, key: &KeyFacts, now: Timestamp) -> KeyView {
    let secrets = key.good_secrets(now).map(|secret| SecretView {
        fingerprint: secret.hash.fingerprint(),
        since: secret.since,
        until: secret.until,
    });
    KeyView {
        name: name.to_owned(),
        role: key.role,
        tenant: key.tenant.clone(),
        created_at: key.created_at,
        rotated_at: key.rotated_at(),
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        secrets: secrets.collect(),
    }
}

fn placed(host: &Host, name: &str, receipt: Receipt<KeyReply>) -> Result<Placed<KeyView>, Problem> {
    let none = || Problem::internal("the key answered another question");
    let view = view(name, &receipt.reply.0.ok_or_else(none)?, host.now().unwrap_or_default());
    Ok(Placed::new(view, receipt.at))
}

/// An answer that no cache keeps.
fn issued(
    host: &Host,
    status: StatusCode,
    name: &str,
    new: NewKey,
    receipt: Receipt<KeyReply>,
) -> Result<HttpResponse, Problem> {
    let placed = placed(host, name, receipt)?.map(|view| Issued { view, key: new.text });
    Ok(HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(placed))
}
