//! What somebody decided about their data: appended, never overwritten; the last of a type counts.

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::host::{Host, Meta, Receipt};
use mainstay_actors::subject::{Consent, SubjectCommand, SubjectReply};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Of, SubjectId, ask, stream};
use crate::server::body::Body;
use crate::server::problem::Problem;
use crate::server::request::{Caller, CommandHeaders, Placed};

/// A decision to record.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct RecordConsent {
    /// About what.
    #[schema(min_length = 1, max_length = 200)]
    consent: String,
    /// `false` refuses or withdraws.
    granted: bool,
    /// Which version of the text they read.
    #[schema(min_length = 1, max_length = 200)]
    text_version: String,
}

/// What somebody decided.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Decisions {
    tenant: String,
    subject: String,
    /// The last decision of each type.
    consents: BTreeMap<String, Consent>,
}

/// What a subject decided about their data.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{id}/consents",
    tag = "subjects",
    operation_id = "list_consents",
    params(SubjectId, Of),
    responses((status = 200, description = "The last decision of each type", body = Placed<Decisions>)),
    extensions(("x-problems" = json!(["subject-erased"])))
)]
pub(in crate::server) async fn consents(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
) -> Result<Json<Placed<Decisions>>, Problem> {
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let meta = Meta { request: None, ..caller.meta(&()) };
    let shown = ask(&host, stream(&tenant, &id)?, SubjectCommand::Show, meta).await?;
    Ok(answer(&tenant, &id, shown))
}

/// Record a decision: given, refused or withdrawn.
#[utoipa::path(
    post,
    path = "/api/v1/subjects/{id}/consents",
    tag = "subjects",
    operation_id = "record_consent",
    params(CommandHeaders, SubjectId, Of),
    request_body(content = RecordConsent, example = json!({"consent": "newsletter", "granted": true, "text_version": "2026-11"})),
    responses((status = 200, description = "The last decision of each type", body = Placed<Decisions>)),
    extensions(("x-problems" = json!(["subject-erased"])))
)]
pub(in crate::server) async fn record_consent(
    host: Data<Host>,
    caller: Caller,
    id: Path<String>,
    of: Query<Of>,
    body: Body<RecordConsent>,
) -> Result<Json<Placed<Decisions>>, Problem> {
    let tenant = caller.scope().tenant(of.tenant.as_deref())?;
    let meta = caller.meta(&(&tenant, &*body));
    let RecordConsent { consent, granted, text_version } = body.into_inner();
    let command = SubjectCommand::RecordConsent { consent, granted, text_version };
    let recorded = ask(&host, stream(&tenant, &id)?, command, meta).await?;
    Ok(answer(&tenant, &id, recorded))
}

fn answer(tenant: &str, subject: &str, receipt: Receipt<SubjectReply>) -> Json<Placed<Decisions>> {
    let (tenant, subject) = (tenant.to_owned(), subject.to_owned());
    let consents = receipt.reply.0.consents;
    Json(Placed::new(Decisions { tenant, subject, consents }, receipt.at))
}
