//! Somebody comes from another server: what an export there holds goes on here.
//!
//! ```text
//!   POST ─► is all of it sound, and nothing of it here? ─► SubjectImported and its consents
//!                                                            └─► SessionImported, each ─► 201
//! ```
//!
//! A retry under its `Idempotency-Key` goes on where an import was cut short.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_actors::host::{Failure, Host, Meta, sessions_begun};
use mainstay_actors::session::{
    Elsewhere, Sealed, Session, SessionCommand, SessionReject, check_import,
};
use mainstay_actors::subject::{Consent, SubjectCommand, SubjectReject};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{EventLog, Head, StreamId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::export::{ExportedConsent, ExportedSession, FORMAT, Holdings};
use super::{ask, stream};
use crate::server::App;
use crate::server::body::{Body, object};
use crate::server::page;
use crate::server::problem::Problem;
use crate::server::request::{Caller, CommandHeaders, Placed};
use crate::server::sessions::stream as session_stream;
use crate::server::whole;

/// Most sessions of a document.
const MAX_SESSIONS: usize = 1_000;

/// A document as `GET /subjects/{id}/export` gives it. What happened elsewhere stays there.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "parts of the document that are taken and not looked at")]
pub(in crate::server) struct Import {
    /// 1.
    #[serde(deserialize_with = "whole::number")]
    #[schema(minimum = 1, maximum = 1)]
    format: u32,
    /// Whose it is; the key's own tenant, or `default`, if absent.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,200}$")]
    tenant: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    subject: String,
    #[serde(deserialize_with = "object")]
    data: Holdings,
    /// Not looked at.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Value, required = false)]
    exported_at: IgnoredAny,
    /// Not looked at.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Value, required = false)]
    history: IgnoredAny,
    /// Not looked at.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Value, required = false)]
    reads: IgnoredAny,
    /// Not looked at.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Value, required = false)]
    truncated: IgnoredAny,
}

/// A subject that came.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct ImportedSubject {
    tenant: String,
    subject: String,
    /// How many.
    sessions: usize,
    /// How many.
    consents: usize,
}

/// Take what another server holds about a subject.
///
/// Consents and live sessions go on as they stood there. Nothing of the subject may be here: no
/// decision, and no session that ever began. Send an `Idempotency-Key`: an import that was cut
/// short goes on under it.
#[utoipa::path(
    post,
    path = "/api/v1/subjects",
    tag = "subjects",
    operation_id = "import_subject",
    params(CommandHeaders),
    request_body(content = Import, example = json!({
        "format": 1,
        "subject": "customer-9",
        "data": {
            "sessions": [{
                "id": "019ab2c4-5d7e-7f00-8a1b-2c3d4e5f6072",
                "created_at": "2024-11-24T09:00:00Z",
                "revision": 3,
                "ttl_ms": 1_800_000,
                "idle_until": "2024-11-24T09:30:00Z",
                "ends_at": null,
                "active_at": "2024-11-24T09:00:00Z",
                "attributes": { "locale": "en" }
            }],
            "consents": [{
                "consent": "newsletter", "granted": true, "text_version": "2024-11",
                "by": "key:booking", "at": "2024-11-24T09:00:00Z"
            }]
        }
    })),
    responses((status = 201, description = "It goes on here", body = Placed<ImportedSubject>)),
    extensions(("x-problems" = json!(["subject-exists", "session-exists", "subject-erased", "subject-key-missing"])))
)]
pub(in crate::server) async fn import(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    body: Body<Import>,
) -> Result<HttpResponse, Problem> {
    if body.format != FORMAT {
        let rule = format!("format must be {FORMAT}; a newer server may read this document");
        return Err(Problem::bad(rule).with("field", "format"));
    }
    let tenant = caller.scope().tenant(body.tenant.as_deref())?;
    let about = stream(&tenant, &body.subject)?;
    let now = host.now().ok_or_else(|| page::not_ready(&host))?;
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let name = app.vault.name(&tenant, &body.subject)?;
    app.vault.check_not_erased(name)?;
    let meta = caller.meta(&(&tenant, &*body));
    let Import { subject, data, .. } = body.into_inner();
    let consents = consents(data.consents)?;
    let sessions = sessions(&tenant, &subject, data.sessions, now)?;
    check_absent(log, &tenant, &subject, &sessions, &meta).await?;

    let (count, decisions) = (sessions.len(), consents.len());
    let command = SubjectCommand::Import { consents, sessions: count as u64 };
    let imported = ask(&host, about, command, meta.clone()).await?;
    let meta = Meta { causation: Some(imported.at), ..meta };
    for (stream, mut session) in sessions {
        let plain = session.attributes.iter().map(|(key, it)| (key.to_owned(), Some(it.clone())));
        let sealed = app.vault.seal_all(name, stream.id(), plain.collect()).await?;
        session.attributes =
            sealed.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let command = SessionCommand::Import(Box::new(session));
        match host.ask::<Session>(stream, command, meta.clone()).await {
            // It came with this request before, and has ended since.
            Ok(_) | Err(Failure::Rejected { reason: SessionReject::Exists, .. }) => {},
            Err(failure) => return Err(failure.into()),
        }
    }
    let told = ImportedSubject { tenant, subject, sessions: count, consents: decisions };
    Ok(HttpResponse::build(StatusCode::CREATED).json(Placed::new(told, imported.at)))
}

fn consents(list: Vec<ExportedConsent>) -> Result<BTreeMap<String, Consent>, Problem> {
    let mut by_type = BTreeMap::new();
    for ExportedConsent { consent, granted, text_version, by, at } in list {
        let detail = format!("two decisions are about {consent}");
        if by_type.insert(consent, Consent { granted, text_version, by, at }).is_some() {
            return Err(Problem::bad(detail).with("field", "consents"));
        }
    }
    Ok(by_type)
}

/// Sessions as they are to begin here, not sealed yet.
fn sessions(
    tenant: &str,
    subject: &str,
    list: Vec<ExportedSession>,
    now: Timestamp,
) -> Result<Vec<(StreamId, Elsewhere)>, Problem> {
    let bad = |detail: String| Problem::bad(detail).with("field", "sessions");
    if list.len() > MAX_SESSIONS {
        return Err(bad(format!("sessions must be at most {MAX_SESSIONS}")));
    }
    let (mut ids, mut sessions) = (BTreeSet::new(), Vec::new());
    for it in list {
        let stream = session_stream(tenant, &it.id)?;
        if !ids.insert(stream.clone()) {
            return Err(bad(format!("two sessions are {}", it.id)));
        }
        if !it.unreadable.is_empty() {
            let way_out = "set them anew there, or take the session out";
            return Err(bad(format!("no key opened values of session {}; {way_out}", it.id)));
        }
        let of = |problem: SessionReject| Problem::from(problem).with("session", it.id.clone());
        let json = |(key, value): (&String, &Value)| {
            (key.clone(), Sealed::plain(value.to_string().as_bytes()))
        };
        let mut values: BTreeMap<_, _> = it.attributes.iter().map(json).collect();
        for (key, text) in &it.bytes {
            let bytes = STANDARD.decode(text);
            let bytes = bytes.map_err(|_| bad(format!("bytes of {key} must be base64")))?;
            if values.insert(key.clone(), Sealed::plain(&bytes)).is_some() {
                return Err(bad(format!("session {} has {key} twice", it.id)));
            }
        }
        let session = Elsewhere {
            tenant: tenant.to_owned(),
            subject: subject.to_owned(),
            revision: it.revision,
            ttl_ms: it.ttl_ms,
            created_at: it.created_at,
            active_at: it.active_at,
            idle_until: it.idle_until,
            ends_at: it.ends_at,
            attributes: values.into_iter().collect(),
        };
        check_import(&session, now).map_err(of)?;
        sessions.push((stream, session));
    }
    Ok(sessions)
}

/// Nothing of it may be here, but what this very request has brought.
async fn check_absent(
    log: Arc<dyn EventLog>,
    tenant: &str,
    subject: &str,
    sessions: &[(StreamId, Elsewhere)],
    meta: &Meta,
) -> Result<(), Problem> {
    let (tenant, subject) = (tenant.to_owned(), subject.to_owned());
    let streams: Vec<StreamId> = sessions.iter().map(|(stream, _)| stream.clone()).collect();
    let own = meta.request.as_ref().map(|(id, _)| id.clone());
    page::off_arbiter(move || {
        let is_own = |request: Option<&str>| request.is_some() && own.as_deref() == request;
        let mut others = false;
        sessions_begun(&*log, &tenant, &subject, None, &mut |begun| {
            others = !is_own(begun.request.as_deref());
            if others { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if others {
            return Err(SubjectReject::Exists.into());
        }
        for stream in streams {
            let dropped = log.base().map_or(Ok(None), |base| base.state(&stream))?;
            let (after, head) = (Head::default(), log.stream_head(&stream, u64::MAX)?);
            if dropped.is_some() {
                others = true;
            } else {
                log.read_between(&stream, after, head, &mut |first| {
                    others = !is_own(first.request.map(|(id, _)| id));
                    ControlFlow::Break(())
                })?;
            }
            if others {
                let detail = format!("{stream} is another subject's here");
                return Err(Problem::new(StatusCode::CONFLICT, "session-exists", detail));
            }
        }
        Ok(())
    })
    .await
}
