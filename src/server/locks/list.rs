//! `GET /api/v1/locks`: locks with a lease or a waiter.

use actix_web::web::{Data, Json, Query};
use mainstay_actors::host::Host;
use mainstay_actors::lock::LockView;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::server::access::Scope;
use crate::server::page::{self, Limit};
use crate::server::problem::Problem;

/// The query of `GET /locks`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct List {
    /// Only locks with a lease or a waiter are listed: true, or absent.
    #[param(nullable = false, inline, value_type = Option<OnlyTrue>)]
    active: Option<bool>,
    /// Only names that begin so.
    #[serde(default)]
    prefix: String,
    /// Only names after this one: `next` of the last page.
    #[serde(default)]
    after: String,
    /// Rows of the page, 100 if absent.
    #[serde(default)]
    #[param(value_type = Option<usize>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Limit,
}

/// The one value of `active`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of a parameter")]
enum OnlyTrue {
    True,
}

/// A lock of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct ListedLock {
    /// Its name.
    name: String,
    #[serde(flatten)]
    lock: LockView,
}

/// A page of locks.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Locks {
    /// By name.
    locks: Vec<ListedLock>,
    /// Pass it as `after`; null after the last page.
    next: Option<String>,
}

/// Locks with a lease or a waiter, by name.
#[utoipa::path(
    get,
    path = "/api/v1/locks",
    tag = "locks",
    operation_id = "list_locks",
    params(List),
    responses((status = 200, description = "A page of locks", body = Locks))
)]
pub(in crate::server) async fn list(
    host: Data<Host>,
    scope: Scope,
    query: Query<List>,
) -> Result<Json<Locks>, Problem> {
    if query.active == Some(false) {
        return Err(Problem::bad("only active locks are listed; ask /events for released ones"));
    }
    let limit = query.limit.get();
    let held = match scope.lock_prefix(&query.prefix) {
        Some(prefix) => host.held_locks(&prefix, &query.after, limit + 1).await?,
        None => Vec::new(),
    };
    let (held, next) = page::cut(held, limit, |(name, _)| name.clone());
    let now = host.now().unwrap_or_default();
    let shown = held.into_iter().map(|(name, state)| {
        let lock = state.view_at(now);
        ListedLock { name, lock }
    });
    Ok(Json(Locks { locks: shown.collect(), next }))
}
