//! `/api/v1/dependencies/{name}/permits` and `/outcomes`: may a call be made, how did it go.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use mainstay_actors::gate::{Admission, Outcome, Permit, Report};
use mainstay_actors::host::Host;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::DependencyName;
use crate::server::body::Object;
use crate::server::problem::Problem;

/// Whether a call may be made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Admission)]
pub(in crate::server) struct Answer {
    /// Make it, or do without it.
    admitted: bool,
    /// Report the outcome with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1-0-1")]
    permit: Option<String>,
    /// When to ask again, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
}

/// May a call be made? 200 either way.
#[utoipa::path(
    post,
    path = "/api/v1/dependencies/{name}/permits",
    tag = "dependencies",
    operation_id = "ask_permit",
    params(DependencyName),
    responses((status = 200, description = "Yes with a permit, or no", body = Answer)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(in crate::server) async fn ask_permit(
    host: Data<Host>,
    name: Path<String>,
) -> Result<Json<Answer>, Problem> {
    let (permit, retry_after_ms) = match host.admit(&name).await? {
        Admission::Admitted(permit) => (Some(permit.to_string()), None),
        Admission::Rejected { retry_after_ms } => (None, retry_after_ms),
        Admission::TryHalfOpen { .. } => (None, None),
    };
    Ok(Json(Answer { admitted: permit.is_some(), permit, retry_after_ms }))
}

/// How a call went.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CallOutcome)]
pub(in crate::server) struct OutcomeBody {
    /// The permit it was made under; without one it counts, and never decides a half-open trial.
    #[schema(pattern = "^[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,18}$")]
    permit: Option<String>,
    /// `ignored` counts nowhere and returns the permit.
    outcome: Outcome,
    /// How long it took.
    #[schema(minimum = 0, maximum = 86_400_000)]
    duration_ms: f64,
}

/// One outcome, or up to 1,000 of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CallOutcomes)]
#[expect(dead_code, reason = "the schema of what is read through a value")]
pub(in crate::server) enum Outcomes {
    One(OutcomeBody),
    Many(Vec<OutcomeBody>),
}

/// How many outcomes were taken.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::server) struct Accepted {
    accepted: usize,
}

/// Most outcomes of one request.
const MAX_OUTCOMES: usize = 1_000;
/// Longest duration of a call, in milliseconds: a day.
const MAX_DURATION_MS: f64 = 86_400_000.0;

/// How calls went: one object, or an array of up to 1,000.
///
/// Nothing durable is claimed: a crash loses at most the last 10 s of counts.
#[utoipa::path(
    post,
    path = "/api/v1/dependencies/{name}/outcomes",
    tag = "dependencies",
    operation_id = "report_outcomes",
    params(DependencyName),
    request_body(content = Outcomes, example = json!([{"outcome": "success", "duration_ms": 12.5}, {"outcome": "failure", "duration_ms": 3}])),
    responses((status = 202, description = "They count", body = Accepted)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(in crate::server) async fn outcomes(
    host: Data<Host>,
    name: Path<String>,
    body: Json<Value>,
) -> Result<HttpResponse, Problem> {
    // Through a value, so that the error names the field and not "no variant matched".
    let outcomes = if body.is_array() {
        serde_json::from_value::<Vec<Object<OutcomeBody>>>(body.into_inner())
    } else {
        serde_json::from_value(body.into_inner()).map(|one| vec![one])
    };
    let outcomes = outcomes.map_err(|error| Problem::bad(error.to_string()))?;
    Ok(HttpResponse::Accepted().json(count(&host, &name, outcomes).await?))
}

/// Tells the dependency's gate.
pub(in crate::server) async fn count(
    host: &Host,
    name: &str,
    outcomes: Vec<Object<OutcomeBody>>,
) -> Result<Accepted, Problem> {
    if outcomes.len() > MAX_OUTCOMES {
        return Err(Problem::bad(format!("at most {MAX_OUTCOMES} outcomes in one request")));
    }
    let accepted = outcomes.len();
    let reports =
        outcomes.into_iter().map(|Object(one)| report(one)).collect::<Result<Vec<_>, _>>()?;
    host.record(name, reports).await?;
    Ok(Accepted { accepted })
}

fn report(body: OutcomeBody) -> Result<Report, Problem> {
    if !(0.0..=MAX_DURATION_MS).contains(&body.duration_ms) {
        return Err(Problem::bad("duration_ms must be 0 to 86400000").with("field", "duration_ms"));
    }
    let permit = body.permit.map(|text| text.parse::<Permit>()).transpose();
    let permit = permit.map_err(|error| Problem::bad(error.to_string()).with("field", "permit"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let duration_us = (body.duration_ms * 1_000.0).round() as u64;
    Ok(Report { permit, outcome: body.outcome, duration_us, probe: false, injected: false })
}
