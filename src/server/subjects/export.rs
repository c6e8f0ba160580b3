//! Everything that is held about somebody, as one document: to read, and to take elsewhere.
//!
//! ```text
//!   GET ─► SubjectExported durable (who reads it) ─► live sessions, consents ─► history ─► 200
//! ```

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::host::{Host, Meta};
use mainstay_actors::session::Live;
use mainstay_actors::subject::{Consent, SubjectCommand};
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::history::{self, Read, Wanted};
use super::sessions::{begun, id_of, live};
use super::values::{Shown, show};
use super::{Of, SubjectId, ask, stream};
use crate::event::Event;
use crate::server::App;
use crate::server::page;
use crate::server::problem::Problem;
use crate::server::request::Caller;
use crate::server::whole;
use crate::vault::SubjectKey;

/// The layout of the document.
pub(super) const FORMAT: u32 = 1;

/// Everything about a subject.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Export {
    /// Of this layout; an import takes no other.
    format: u32,
    tenant: String,
    subject: String,
    exported_at: Timestamp,
    /// What an import takes.
    data: Holdings,
    /// Events about it and its sessions, oldest first; with the values that its key opens.
    history: Vec<Event>,
    /// Who was given such a document, oldest first; this time, too.
    reads: Vec<Read>,
    truncated: Truncated,
}

/// What there is at this moment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Holdings {
    /// Live ones, by their beginning.
    pub(super) sessions: Vec<ExportedSession>,
    /// The last decision of each type.
    pub(super) consents: Vec<ExportedConsent>,
}

/// A live session.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct ExportedSession {
    pub(super) id: String,
    pub(super) created_at: Timestamp,
    #[serde(deserialize_with = "whole::number")]
    pub(super) revision: u64,
    #[serde(deserialize_with = "whole::number")]
    pub(super) ttl_ms: u64,
    /// When it ends unless it is touched.
    pub(super) idle_until: Timestamp,
    /// When it ends whatever happens.
    pub(super) ends_at: Option<Timestamp>,
    /// The last journaled activity.
    pub(super) active_at: Timestamp,
    /// Values by name.
    #[schema(value_type = Object)]
    pub(super) attributes: Map<String, Value>,
    /// Values that are no JSON, in base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(nullable = false, required = false)]
    pub(super) bytes: BTreeMap<String, String>,
    /// Names of values that no key opens any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false, required = false)]
    pub(super) unreadable: Vec<String>,
}

/// A decision.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct ExportedConsent {
    /// About what.
    pub(super) consent: String,
    /// `false`: refused or withdrawn.
    pub(super) granted: bool,
    /// Which version of the text they read.
    pub(super) text_version: String,
    /// Who recorded it.
    pub(super) by: String,
    pub(super) at: Timestamp,
}

/// Where there was more than a document holds; the newest is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Truncated {
    /// More than 1,000 live sessions, or more than 10,000 that ever began, or months whose archive is
    /// not there.
    sessions: bool,
    /// More than 10,000 events, or 16 MiB of them, or months whose archive is not there.
    history: bool,
    /// More than 1,000 reads, or months whose archive is not there.
    reads: bool,
}

/// Everything about a subject: a document to read, or to import elsewhere.
///
/// Who reads it is journaled first. Values are opened with the subject's key; those that it does
/// not open are named.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{id}/export",
    tag = "subjects",
    operation_id = "export_subject",
    params(SubjectId, Of),
    responses((status = 200, description = "The document", body = Export)),
    extensions(("x-problems" = json!([
        "subject-erased", "superseded", "journal-closed", "outcome-unknown", "disk-full",
        "unreadable-history", "crashed", "quarantined"
    ])))
)]
pub(in crate::server) async fn export(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<Json<Export>, Problem> {
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let (about, subject) = (stream(&tenant, &id)?, id.into_inner());
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let meta = Meta { request: None, ..caller.meta(&()) };
    let read = ask(&host, about.clone(), SubjectCommand::Export, meta.clone()).await?;

    let begun = begun(&log, &tenant, &subject).await?;
    let live = live(&host, &begun.streams, &meta).await?;
    let name = app.vault.name(&tenant, &subject)?;
    let key = app.vault.key_to_open(name)?;
    let mut sessions: Vec<_> =
        live.sessions.iter().map(|(stream, live)| exported(key.as_ref(), stream, live)).collect();
    sessions.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));

    let wanted = Wanted { subject: about, sessions: begun.streams, key };
    let told = page::off_arbiter(move || history::read(&*log, &wanted)).await?;
    Ok(Json(Export {
        format: FORMAT,
        tenant,
        subject,
        exported_at: told.reads.last().map(|read| read.at).unwrap_or_default(),
        data: Holdings { sessions, consents: consents(read.reply.0.consents) },
        history: told.history,
        reads: told.reads,
        truncated: Truncated {
            sessions: begun.more || live.more,
            // The events of sessions that are not known are missing, too.
            history: told.more_history || begun.more,
            reads: told.more_reads,
        },
    }))
}

fn exported(key: Option<&SubjectKey>, stream: &StreamId, live: &Live) -> ExportedSession {
    let mut session = ExportedSession {
        id: id_of(stream).to_owned(),
        created_at: live.created_at,
        revision: live.revision,
        ttl_ms: live.ttl_ms,
        idle_until: live.idle_until,
        ends_at: live.ends_at,
        active_at: live.active_at,
        attributes: Map::new(),
        bytes: BTreeMap::new(),
        unreadable: Vec::new(),
    };
    for (name, value) in live.attributes.iter() {
        match show(key, stream.id(), name, value) {
            Some(Shown::Json(value)) => drop(session.attributes.insert(name.to_owned(), value)),
            Some(Shown::Base64(text)) => drop(session.bytes.insert(name.to_owned(), text)),
            None => session.unreadable.push(name.to_owned()),
        }
    }
    session
}

fn consents(by_type: BTreeMap<String, Consent>) -> Vec<ExportedConsent> {
    let exported = |(consent, it): (String, Consent)| {
        let Consent { granted, text_version, by, at } = it;
        ExportedConsent { consent, granted, text_version, by, at }
    };
    by_type.into_iter().map(exported).collect()
}
