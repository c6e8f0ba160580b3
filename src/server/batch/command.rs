//! The commands of a batch: an `op`, the parts of its route's path, and its route's body.

use mainstay_actors::lock::{Mode, Range};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::server::body::{Object, object};
use crate::server::dependencies::{Force, OutcomeBody};
use crate::server::locks::{Acquire, Check, Release, Renew};
use crate::server::sessions::{Create, Patch};
use crate::server::whole;

/// A command; `key` is its `Idempotency-Key`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "op", deny_unknown_fields)]
#[schema(as = BatchCommand)]
pub(in crate::server) enum Command {
    /// `POST /sessions`
    #[serde(rename = "sessions.create")]
    CreateSession {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        #[serde(deserialize_with = "object")]
        body: Create,
    },
    /// `POST /sessions/{id}/touch`
    #[serde(rename = "sessions.touch")]
    TouchSession {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        id: String,
        /// The key's own tenant, or `default`, if absent.
        tenant: Option<String>,
    },
    /// `PATCH /sessions/{id}`
    #[serde(rename = "sessions.patch")]
    PatchSession {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        id: String,
        /// The key's own tenant, or `default`, if absent.
        tenant: Option<String>,
        /// Only if this is still its `ETag`, a revision in quotes.
        if_match: Option<String>,
        #[serde(deserialize_with = "object")]
        body: Patch,
    },
    /// `DELETE /sessions/{id}`
    #[serde(rename = "sessions.end")]
    EndSession {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        id: String,
        /// The key's own tenant, or `default`, if absent.
        tenant: Option<String>,
    },
    /// `POST /locks/{name}/acquire`, without waiting
    #[serde(rename = "locks.acquire")]
    AcquireLock {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        name: String,
        #[serde(deserialize_with = "object")]
        body: AcquireNow,
    },
    /// `POST /locks/{name}/renew`
    #[serde(rename = "locks.renew")]
    RenewLease {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        name: String,
        #[serde(deserialize_with = "object")]
        body: Renew,
    },
    /// `POST /locks/{name}/release`
    #[serde(rename = "locks.release")]
    ReleaseLease {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        name: String,
        #[serde(deserialize_with = "object")]
        body: Release,
    },
    /// `POST /locks/{name}/check`
    #[serde(rename = "locks.check")]
    CheckToken {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        name: String,
        #[serde(deserialize_with = "object")]
        body: Check,
    },
    /// `POST /dependencies/{name}/state`
    #[serde(rename = "dependencies.state")]
    ForceState {
        #[schema(pattern = "^[!-~]{1,200}$")]
        key: Option<String>,
        name: String,
        #[serde(deserialize_with = "object")]
        body: Force,
    },
    /// `POST /dependencies/{name}/outcomes`; nothing durable is claimed
    #[serde(rename = "dependencies.outcomes")]
    ReportOutcomes {
        name: String,
        #[schema(value_type = Vec<OutcomeBody>, max_items = 1000)]
        body: Vec<Object<OutcomeBody>>,
    },
}

/// Who wants the lock, and how; a batch waits for nobody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct AcquireNow {
    /// The holder to be.
    #[schema(min_length = 1, max_length = 200)]
    owner: String,
    /// The lease's length; it starts at the grant.
    #[schema(minimum = 100, maximum = 604_800_000)]
    #[serde(deserialize_with = "whole::number")]
    ttl_ms: u64,
    /// A session whose end releases the lease: its id, or `{tenant}/{id}`.
    #[schema(min_length = 1, max_length = 400)]
    session: Option<String>,
    /// Alone or together.
    #[serde(default)]
    mode: Mode,
    /// A part of the resource; all of it if absent.
    range: Option<Range>,
    /// After an expiry nobody gets the lock for this long.
    #[serde(default, deserialize_with = "whole::number")]
    #[schema(maximum = 60_000)]
    lock_delay_ms: u64,
}

impl From<AcquireNow> for Acquire {
    fn from(now: AcquireNow) -> Self {
        let AcquireNow { owner, ttl_ms, session, mode, range, lock_delay_ms } = now;
        Self { owner, ttl_ms, wait_ms: 0, session, mode, range, lock_delay_ms }
    }
}
