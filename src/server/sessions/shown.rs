//! Sessions as they are shown, and what is answered to a change of one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ETAG;
use mainstay_actors::host::Receipt;
use mainstay_actors::session::{Live, SessionReply};
use mainstay_actors::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::server::problem::Problem;
use crate::server::request::Placed;
use crate::vault::Vault;

/// A live session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(in crate::server) struct SessionView {
    id: String,
    tenant: String,
    /// Whom it is about; opaque.
    subject: String,
    /// Of the attributes; the `ETag`.
    revision: u64,
    /// Values by name.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    created_at: Timestamp,
    /// The last journaled activity.
    active_at: Timestamp,
    /// When it ends unless it is touched.
    expires_at: Timestamp,
}

/// A session that was patched or touched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeptSession)]
pub(in crate::server) struct Kept {
    id: String,
    tenant: String,
    /// Of the attributes; the `ETag`.
    revision: u64,
    /// When it ends unless it is touched.
    expires_at: Timestamp,
}

/// A session that has ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndedSession)]
pub(in crate::server) struct Over {
    id: String,
    tenant: String,
    ended: bool,
}

/// What a session answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::server) enum Shown {
    Live(SessionView),
    Kept(Kept),
    Ended(Over),
}

impl SessionView {
    pub(super) fn of(vault: &Vault, tenant: &str, id: &str, live: &Live) -> Result<Self, Problem> {
        let values = vault.open_live(&format!("{tenant}/{id}"), live)?;
        // Bytes that a Rust service has set need not be JSON.
        let shown = |(name, value): (String, Vec<u8>)| {
            (name, serde_json::from_slice(&value).unwrap_or_default())
        };
        Ok(Self {
            id: id.to_owned(),
            tenant: tenant.to_owned(),
            subject: live.subject.to_string(),
            revision: live.revision,
            attributes: values.into_iter().map(shown).collect(),
            created_at: live.created_at,
            active_at: live.active_at,
            expires_at: live.expires_at(),
        })
    }
}

/// The reply with its durable place, and the revision as `ETag`.
pub(in crate::server) fn answer(
    vault: &Vault,
    status: StatusCode,
    tenant: &str,
    id: &str,
    receipt: &Receipt<SessionReply>,
) -> Result<HttpResponse, Problem> {
    let placed = placed(vault, tenant, id, receipt)?;
    let mut response = HttpResponse::build(status);
    if let SessionReply::Kept { revision, .. } = &receipt.reply {
        response.insert_header((ETAG, format!("\"{revision}\"")));
    }
    if let SessionReply::Shown(live) = &receipt.reply {
        response.insert_header((ETAG, format!("\"{}\"", live.revision)));
    }
    Ok(response.json(placed))
}

/// The reply with its durable place.
pub(in crate::server) fn placed(
    vault: &Vault,
    tenant: &str,
    id: &str,
    receipt: &Receipt<SessionReply>,
) -> Result<Placed<Shown>, Problem> {
    let (id_of, tenant_of) = (id.to_owned(), tenant.to_owned());
    let shown = match &receipt.reply {
        SessionReply::Shown(live) => Shown::Live(SessionView::of(vault, tenant, id, live)?),
        SessionReply::Kept { revision, expires_at } => Shown::Kept(Kept {
            id: id_of,
            tenant: tenant_of,
            revision: *revision,
            expires_at: *expires_at,
        }),
        SessionReply::Ended | SessionReply::Done => {
            Shown::Ended(Over { id: id_of, tenant: tenant_of, ended: true })
        },
    };
    Ok(Placed::new(shown, receipt.at))
}
