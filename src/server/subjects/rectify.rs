//! What is wrong about somebody is put right wherever it is held.
//!
//! ```text
//!   PATCH ─► live sessions that have one of the names ─► SubjectRectified ─► each is patched ─► 200
//! ```

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::host::{Failure, Host, Meta, Receipt};
use mainstay_actors::session::{
    Live, Sealed, Session, SessionCommand, SessionReject, SessionReply, TTL_MS, check_new,
};
use mainstay_actors::subject::SubjectCommand;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::sessions::{begun, id_of, live};
use super::{Of, SubjectId, ask, stream};
use crate::server::App;
use crate::server::body::Body;
use crate::server::page;
use crate::server::problem::Problem;
use crate::server::request::{Caller, CommandHeaders, Placed};
use crate::server::sessions::show_live;
use crate::vault::{Name, Vault};

/// Changes by name.
type Changes = BTreeMap<String, Option<Sealed>>;

/// A JSON merge patch of attributes; null removes.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Rectify {
    /// At most 64 and 16 KiB together.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
}

/// What was put right.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Rectified {
    tenant: String,
    subject: String,
    /// Sessions that changed.
    sessions: Vec<RectifiedSession>,
    /// Sessions that have one of the attributes and did not change.
    refused: Vec<RefusedSession>,
    /// There are more live sessions than the newest 1,000; these were not looked at.
    truncated: bool,
}

/// A session that changed.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct RectifiedSession {
    id: String,
    /// Of its attributes.
    revision: u64,
    /// Which of them changed.
    names: Vec<String>,
}

/// A session that did not change.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct RefusedSession {
    id: String,
    /// Why: its attributes would be too large together, or others change it all the time.
    detail: String,
}

/// Put attributes of a subject right, in each of its live sessions that has them.
///
/// A session without an attribute does not get it. A retry under its `Idempotency-Key` changes
/// nothing twice; it tells of the sessions that have one of the attributes at that moment.
#[utoipa::path(
    patch,
    path = "/api/v1/subjects/{id}",
    tag = "subjects",
    operation_id = "rectify_subject",
    params(CommandHeaders, SubjectId, Of),
    request_body(content = Rectify, example = json!({"attributes": {"locale": "es", "nickname": null}})),
    responses((status = 200, description = "Which sessions changed", body = Placed<Rectified>)),
    extensions(("x-problems" = json!(["subject-erased", "subject-key-missing"])))
)]
pub(in crate::server) async fn rectify(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
    body: Body<Rectify>,
) -> Result<Json<Placed<Rectified>>, Problem> {
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let about = stream(&tenant, &id)?;
    let changes = changes(&tenant, &id, &body)?;
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let meta = caller.meta(&(&tenant, &*body));
    let asks = Meta { request: None, ..meta.clone() };
    ask(&host, about.clone(), SubjectCommand::Show, asks.clone()).await?;

    let begun = begun(&log, &tenant, &id).await?;
    let live = live(&host, &begun.streams, &asks).await?;
    let more = begun.more || live.more;
    let has_some = |(_, live): &(StreamId, Live)| within(&changes, live).is_some();
    let wrong: Vec<_> = live.sessions.into_iter().filter(has_some).collect();
    let rectify = SubjectCommand::Rectify {
        names: changes.keys().cloned().collect(),
        sessions: wrong.len() as u64,
    };
    let recorded = ask(&host, about, rectify, meta.clone()).await?;

    let office = Office {
        host: &host,
        vault: &app.vault,
        name: app.vault.name(&tenant, &id)?,
        changes: &changes,
        meta: Meta { causation: Some(recorded.at), ..meta },
    };
    let (mut sessions, mut refused) = (Vec::new(), Vec::new());
    for (stream, live) in wrong {
        match office.put_right(stream, live).await? {
            Outcome::Changed(session) => sessions.push(session),
            Outcome::Refused(session) => refused.push(session),
            Outcome::Nothing => {},
        }
    }
    let (subject, truncated) = (id.into_inner(), more);
    let told = Rectified { tenant, subject, sessions, refused, truncated };
    Ok(Json(Placed::new(told, recorded.at)))
}

/// How often a session that others patch at the same time is tried.
const TRIES: usize = 16;

/// What every session's change needs.
struct Office<'r> {
    host: &'r Host,
    vault: &'r Vault,
    name: Name,
    changes: &'r Changes,
    meta: Meta,
}

/// What became of a session.
enum Outcome {
    Changed(RectifiedSession),
    Refused(RefusedSession),
    /// It has ended, or has none of the attributes any more.
    Nothing,
}

impl Office<'_> {
    /// Only at the revision that was looked at: an attribute that was removed since stays away.
    async fn put_right(&self, stream: StreamId, mut live: Live) -> Result<Outcome, Problem> {
        let id = id_of(&stream).to_owned();
        let mut reason = String::new();
        for _ in 0..TRIES {
            let Some(changes) = within(self.changes, &live) else { return Ok(Outcome::Nothing) };
            let names = changes.keys().cloned().collect();
            let changes = self.vault.seal_all(self.name, stream.id(), changes).await?;
            let patch = SessionCommand::Patch { if_revision: Some(live.revision), changes };
            match self.host.ask::<Session>(stream.clone(), patch, self.meta.clone()).await {
                Ok(Receipt { reply: SessionReply::Kept { revision, .. }, .. }) => {
                    return Ok(Outcome::Changed(RectifiedSession { id, revision, names }));
                },
                Ok(_) | Err(Failure::Rejected { reason: SessionReject::NotFound, .. }) => {
                    return Ok(Outcome::Nothing);
                },
                Err(Failure::Rejected { reason: SessionReject::Stale { current }, .. }) => {
                    reason = SessionReject::Stale { current }.to_string();
                },
                Err(Failure::Rejected { reason, .. }) => {
                    return Ok(Outcome::Refused(RefusedSession { id, detail: reason.to_string() }));
                },
                Err(failure) => return Err(failure.into()),
            }
            let asks = Meta { request: None, ..self.meta.clone() };
            match show_live(self.host.clone(), stream.clone(), asks).await? {
                Some(now) => live = now,
                None => return Ok(Outcome::Nothing),
            }
        }
        Ok(Outcome::Refused(RefusedSession { id, detail: reason }))
    }
}

/// What is to be changed, not sealed yet.
fn changes(tenant: &str, subject: &str, body: &Rectify) -> Result<Changes, Problem> {
    let plain = |value: &Value| {
        let text = if value.is_null() { String::new() } else { value.to_string() };
        Sealed::plain(text.as_bytes())
    };
    let all = body.attributes.iter().map(|(name, value)| (name.clone(), plain(value)));
    check_new(tenant, subject, *TTL_MS.start(), None, &all.collect())?;
    if body.attributes.is_empty() {
        return Err(Problem::bad("attributes must name what is wrong").with("field", "attributes"));
    }
    let change =
        |(name, value): (&String, &Value)| (name.clone(), (!value.is_null()).then(|| plain(value)));
    Ok(body.attributes.iter().map(change).collect())
}

/// Those of the changes whose names a session has.
fn within(changes: &Changes, live: &Live) -> Option<Changes> {
    let known = changes.iter().filter(|(name, _)| live.attributes.get(name).is_some());
    let known: Changes = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    (!known.is_empty()).then_some(known)
}
