//! `/api/v1/locks`: leases with fencing tokens.

mod acquire;
mod list;

pub(super) use acquire::{__path_acquire, Acquire, acquire, claim, take};
pub(super) use list::{__path_list, list};

use actix_web::web::{Data, Json, Path};
use mainstay_actors::host::{Host, Receipt};
use mainstay_actors::lock::{Lease, Lock, LockCommand, LockReply, LockView};
use mainstay_actors::machine::Machine;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Placed};
use super::whole;
use crate::config::check_name;

/// Which lock.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
pub(super) struct LockName {
    /// The lock's name; it exists once it was acquired.
    #[param(example = "room-101", pattern = "^[A-Za-z0-9._:-]{1,200}$")]
    name: String,
}

/// A lease to prolong, or a waiter's grant to claim.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Renew {
    /// The fencing token of the lease.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 18_446_744_073_709_551_615_u64)]
    token: u64,
    /// Who holds it.
    #[schema(min_length = 1, max_length = 200)]
    owner: String,
    /// Another length from now on.
    #[schema(minimum = 100, maximum = 604_800_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    ttl_ms: Option<u64>,
}

/// A lease to give back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// The fencing token of the lease.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 18_446_744_073_709_551_615_u64)]
    token: u64,
    /// Who holds it.
    #[schema(min_length = 1, max_length = 200)]
    owner: String,
}

/// A token that somebody has shown.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// The fencing token.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 18_446_744_073_709_551_615_u64)]
    token: u64,
}

/// Leases to take away.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForceRelease {
    /// One lease only; all of them if absent.
    #[serde(default, deserialize_with = "whole::optional")]
    #[schema(maximum = 18_446_744_073_709_551_615_u64)]
    token: Option<u64>,
    /// Why; it is journaled.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// How many leases ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Released {
    released: usize,
}

/// Whether a token is a live lease.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    /// Exactly the tokens of live leases are valid.
    valid: bool,
}

/// A lock by its name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LockDetail)]
pub(super) struct Named {
    name: String,
    #[serde(flatten)]
    lock: LockView,
}

/// Prolong a lease; also claims a waiter's grant.
#[utoipa::path(
    post,
    path = "/api/v1/locks/{name}/renew",
    tag = "locks",
    operation_id = "renew_lease",
    params(CommandHeaders, LockName),
    request_body(content = Renew, example = json!({"token": 1_795_312_183_130_448_u64, "owner": "worker-1", "ttl_ms": 60000})),
    responses((status = 200, description = "The lease as it is now", body = Placed<Lease>)),
    extensions(("x-problems" = json!(["lock-not-held", "lock-held-by-other"])))
)]
pub(super) async fn renew(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Renew>,
) -> Result<Json<Placed<Lease>>, Problem> {
    lease(send(&host, &caller, &name, body.command(), &*body).await?).map(Json)
}

/// Give a lease back.
#[utoipa::path(
    post,
    path = "/api/v1/locks/{name}/release",
    tag = "locks",
    operation_id = "release_lease",
    params(CommandHeaders, LockName),
    request_body(content = Release, example = json!({"token": 1_795_312_183_130_448_u64, "owner": "worker-1"})),
    responses((status = 200, description = "It has ended", body = Placed<Released>)),
    extensions(("x-problems" = json!(["lock-not-held", "lock-held-by-other"])))
)]
pub(super) async fn release(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Release>,
) -> Result<Json<Placed<Released>>, Problem> {
    released(send(&host, &caller, &name, body.command(), &*body).await?).map(Json)
}

/// Is this token a live lease? For the resource that is written.
#[utoipa::path(
    post,
    path = "/api/v1/locks/{name}/check",
    tag = "locks",
    operation_id = "check_token",
    params(CommandHeaders, LockName),
    request_body(content = Check, example = json!({"token": 1_795_312_183_130_448_u64})),
    responses((status = 200, description = "Yes or no", body = Placed<Checked>))
)]
pub(super) async fn check(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Check>,
) -> Result<Json<Placed<Checked>>, Problem> {
    checked(send(&host, &caller, &name, body.command(), &*body).await?).map(Json)
}

/// Take one lease away, or all.
#[utoipa::path(
    post,
    path = "/api/v1/locks/{name}/force-release",
    tag = "locks",
    operation_id = "force_release",
    params(CommandHeaders, LockName),
    request_body(content = ForceRelease, example = json!({"reason": "worker-1 is gone for good"})),
    responses((status = 200, description = "How many leases ended", body = Placed<Released>)),
    extensions(("x-problems" = json!(["lock-not-held"])))
)]
pub(super) async fn force_release(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<ForceRelease>,
) -> Result<Json<Placed<Released>>, Problem> {
    let ForceRelease { token, ref reason } = *body;
    let command = LockCommand::ForceRelease { token, reason: reason.clone() };
    released(send(&host, &caller, &name, command, &*body).await?).map(Json)
}

/// Holders, waiters and the last token of a lock.
#[utoipa::path(
    get,
    path = "/api/v1/locks/{name}",
    tag = "locks",
    operation_id = "show_lock",
    params(LockName),
    responses((status = 200, description = "The lock; without holders if nobody has it", body = Placed<Named>))
)]
pub(super) async fn show(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
) -> Result<Json<Placed<Named>>, Problem> {
    let receipt = send(&host, &caller, &name, LockCommand::Show, &()).await?;
    let shown = placed(receipt, |reply| match reply {
        LockReply::State(lock) => Some(Named { name: name.into_inner(), lock }),
        _ => None,
    });
    shown.map(Json)
}

impl Renew {
    pub(super) fn command(&self) -> LockCommand {
        let Self { token, ref owner, ttl_ms } = *self;
        LockCommand::Renew { token, owner: owner.clone(), ttl_ms }
    }
}

impl Release {
    pub(super) fn command(&self) -> LockCommand {
        LockCommand::Release { token: self.token, owner: self.owner.clone() }
    }
}

impl Check {
    pub(super) const fn command(&self) -> LockCommand {
        LockCommand::Check { token: self.token }
    }
}

pub(super) fn stream(name: &str) -> Result<StreamId, Problem> {
    check_name(name).map_err(|rule| Problem::bad(rule).with("field", "name"))?;
    StreamId::new(Lock::KIND, name).ok_or_else(|| Problem::bad("bad name"))
}

async fn send(
    host: &Host,
    caller: &Caller,
    name: &str,
    command: LockCommand,
    body: &impl Serialize,
) -> Result<Receipt<LockReply>, Problem> {
    caller.scope().reach_lock(name)?;
    Ok(host.ask::<Lock>(stream(name)?, command, caller.meta(body)).await?)
}

pub(super) fn lease(receipt: Receipt<LockReply>) -> Result<Placed<Lease>, Problem> {
    placed(receipt, |reply| match reply {
        LockReply::Lease(lease) => Some(lease),
        _ => None,
    })
}

pub(super) fn released(receipt: Receipt<LockReply>) -> Result<Placed<Released>, Problem> {
    placed(receipt, |reply| match reply {
        LockReply::Ended { released } => Some(Released { released }),
        _ => None,
    })
}

pub(super) fn checked(receipt: Receipt<LockReply>) -> Result<Placed<Checked>, Problem> {
    placed(receipt, |reply| match reply {
        LockReply::Checked { valid } => Some(Checked { valid }),
        _ => None,
    })
}

/// The part of a reply that its command leads to, with its durable place.
fn placed<T>(
    receipt: Receipt<LockReply>,
    part: impl FnOnce(LockReply) -> Option<T>,
) -> Result<Placed<T>, Problem> {
    let Receipt { reply, at } = receipt;
    let other = || Problem::internal("the lock answered another question");
    part(reply).map(|body| Placed::new(body, at)).ok_or_else(other)
}
