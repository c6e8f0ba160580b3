//! `GET /sessions`: the live sessions of a subject.
//!
//! ```text
//!   journal, newest first: created? ──► batch ──► ask each: live? ──► page ──► next: last looked at
//! ```

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::sync::Arc;

use actix_web::rt::spawn;
use actix_web::web::{Data, Json, Query};
use mainstay_actors::host::{Begun, Failure, Host, Meta, Receipt, sessions_begun};
use mainstay_actors::session::{Live, Session, SessionCommand, SessionReply};
use mainstay_journal::{Cursor, EventLog, StreamId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::SessionView;
use crate::server::App;
use crate::server::page::{self, Limit};
use crate::server::problem::Problem;
use crate::server::request::Caller;

/// The query of `GET /sessions`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct List {
    /// Whom they are about.
    #[param(example = "customer-7")]
    subject: String,
    /// Whose they are; the key's own tenant, or `default`, if absent.
    #[param(nullable = false)]
    tenant: Option<String>,
    /// Only sessions created before: `next` of the last page.
    #[param(nullable = false, pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$")]
    before: Option<String>,
    /// Rows of the page, 100 if absent.
    #[serde(default)]
    #[param(value_type = Option<usize>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Limit,
}

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Sessions {
    /// The newest activity first.
    sessions: Vec<SessionView>,
    /// Pass it as `before`; null after the last page.
    next: Option<String>,
}

/// Creations that are read at once.
const BATCH: usize = 256;
/// Sessions that are asked at once.
const AT_ONCE: usize = 16;

/// Live sessions of a subject.
///
/// Pages follow their creation, newest first; within a page the newest activity comes first.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    tag = "sessions",
    operation_id = "list_sessions",
    params(List),
    responses((status = 200, description = "A page of live sessions", body = Sessions)),
    extensions(("x-problems" = json!(["other-epoch", "subject-erased", "subject-key-missing"])))
)]
pub(in crate::server) async fn list(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    query: Query<List>,
) -> Result<Json<Sessions>, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let head = log.head();
    let position = match &query.before {
        Some(before) => page::place("before", before, log.clone()).await?,
        None => u64::MAX,
    };
    let mut before = (Cursor { position, ..head }, None);
    let meta = Meta { request: None, ..caller.meta(&()) };
    let tenant = caller.scope().tenant(query.tenant.as_deref())?;
    let mut live = Vec::new();
    let next = 'page: loop {
        let batch = created(log.clone(), tenant.clone(), query.subject.clone(), before).await?;
        for some in batch.chunks(AT_ONCE) {
            let asked: Vec<_> = some
                .iter()
                .map(|it| spawn(show((**host).clone(), it.stream.clone(), meta.clone())))
                .collect();
            for (it, answer) in some.iter().zip(asked) {
                let answer = answer.await.map_err(|error| Problem::internal(error.to_string()));
                live.extend(answer??.map(|session| (it.stream.clone(), session)));
                if live.len() == query.limit.get() {
                    break 'page Some(it.at);
                }
            }
        }
        match batch.last() {
            Some(last) if batch.len() == BATCH => before = (last.at, Some(last.at_us)),
            _ => break None,
        }
    };
    live.sort_by_key(|(_, session)| Reverse(session.active_at));
    let shown = live.iter().map(|(stream, session)| {
        let id = stream.id().split_once('/').map_or("", |(_, id)| id);
        SessionView::of(&app.vault, &tenant, id, session)
    });
    let sessions = shown.collect::<Result<_, _>>()?;
    Ok(Json(Sessions { sessions, next: next.map(|at| at.to_string()) }))
}

/// The newest beginnings behind one, or before a position, from the journal's index.
async fn created(
    log: Arc<dyn EventLog>,
    tenant: String,
    subject: String,
    before: (Cursor, Option<u64>),
) -> Result<Vec<Begun>, Problem> {
    page::off_arbiter(move || {
        let mut batch = Vec::new();
        sessions_begun(&*log, &tenant, &subject, Some(before), &mut |begun| {
            batch.push(begun);
            if batch.len() < BATCH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(batch)
    })
    .await
}

/// The session, if it is live.
pub(in crate::server) async fn show(
    host: Host,
    stream: StreamId,
    meta: Meta,
) -> Result<Option<Live>, Problem> {
    match host.ask::<Session>(stream, SessionCommand::Show, meta).await {
        Ok(Receipt { reply: SessionReply::Shown(session), .. }) => Ok(Some(*session)),
        Ok(_) | Err(Failure::Rejected { .. }) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
