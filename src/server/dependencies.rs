//! `/api/v1/health` and `/api/v1/dependencies`: health, permits, outcomes, states by hand.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use mainstay_actors::dependency::{
    BreakerSettings, Dependency, DependencyCommand, DependencyReject, DependencyReply,
    DependencyState, Mode, Settings, SettingsError, Window,
};
use mainstay_actors::gate::{Admission, Outcome, Permit, Report};
use mainstay_actors::health::Level;
use mainstay_actors::host::{HealthView, Host};
use mainstay_actors::machine::Machine;
use mainstay_actors::rate::Rate;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::problem::Problem;
use super::request::Caller;
use crate::config::check_name;

/// `GET /health`
pub(super) async fn show_health(host: Data<Host>) -> Result<Json<HealthView>, Problem> {
    Ok(Json(host.health().await?))
}

/// `GET /dependencies`
pub(super) async fn list(host: Data<Host>) -> Result<Json<Value>, Problem> {
    let health = host.health().await?;
    Ok(Json(json!({ "dependencies": health.dependencies })))
}

/// `GET /dependencies/{name}`
pub(super) async fn show(host: Data<Host>, name: Path<String>) -> Result<Json<Value>, Problem> {
    let state = host.dependency(&name).await?.filter(|state| state.settings.is_some());
    let state = state.ok_or(DependencyReject::Unknown)?;
    Ok(Json(detail(&name, &state)))
}

fn detail(name: &str, state: &DependencyState) -> Value {
    json!({
        "name": name,
        "score": state.score(),
        "state": state.breaker.mode,
        "breaker": state.breaker,
        "observed": state.observed,
        "settings": state.settings,
        "configuration": state.configuration,
        "retired": state.retired,
    })
}

/// The body of `PUT /dependencies/{name}`: what `settings` of the answer shows; what is absent
/// has its default.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    #[serde(default = "one")]
    weight: u32,
    #[serde(default)]
    cap: Option<Level>,
    #[serde(default)]
    breaker: PutBreaker,
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PutBreaker {
    window: Option<Window>,
    minimum_calls: Option<u32>,
    failure_rate: Option<Rate>,
    slow_call_ms: Option<u64>,
    slow_rate: Option<Rate>,
    consecutive_failures: Option<u32>,
    open_for_ms: Option<u64>,
    backoff_percent: Option<u32>,
    open_max_ms: Option<u64>,
    jitter: Option<Rate>,
    half_open_permits: Option<u32>,
    half_open_max_ms: Option<u64>,
    auto_half_open: Option<bool>,
}

impl PutBreaker {
    fn settings(&self) -> BreakerSettings {
        let default = BreakerSettings::default();
        BreakerSettings {
            window: self.window.unwrap_or(default.window),
            minimum_calls: self.minimum_calls.unwrap_or(default.minimum_calls),
            failure_rate: self.failure_rate.unwrap_or(default.failure_rate),
            slow_call_ms: self.slow_call_ms,
            slow_rate: self.slow_rate.unwrap_or(default.slow_rate),
            consecutive_failures: self.consecutive_failures,
            open_for_ms: self.open_for_ms.unwrap_or(default.open_for_ms),
            backoff_percent: self.backoff_percent.unwrap_or(default.backoff_percent),
            open_max_ms: self.open_max_ms.unwrap_or(default.open_max_ms),
            jitter: self.jitter.unwrap_or(default.jitter),
            half_open_permits: self.half_open_permits.unwrap_or(default.half_open_permits),
            half_open_max_ms: self.half_open_max_ms.unwrap_or(default.half_open_max_ms),
            auto_half_open: self.auto_half_open.unwrap_or(default.auto_half_open),
        }
    }
}

/// `PUT /dependencies/{name}`
pub(super) async fn configure(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<Put>,
) -> Result<Json<Value>, Problem> {
    let from_file = |state: &DependencyState| {
        !state.retired && state.settings.as_ref().is_some_and(|settings| settings.from_file)
    };
    if host.dependency(&name).await?.is_some_and(|state| from_file(&state)) {
        return Err(Problem::new(
            actix_web::http::StatusCode::CONFLICT,
            "configured-by-file",
            "the configuration file names this dependency; change it there",
        ));
    }
    let breaker = body.breaker.settings();
    let settings = Settings { weight: body.weight, cap: body.cap, breaker, from_file: false };
    settings.check().map_err(|error| DependencyReject::Settings(as_in_body(&error)))?;
    let command = DependencyCommand::Configure(Box::new(settings));
    send(&host, &caller, &name, command, &*body).await
}

/// The settings name their fields as the file does; the body has them with their units.
fn as_in_body(error: &SettingsError) -> SettingsError {
    let SettingsError { field, rule } = *error;
    let (field, rule) = match field {
        "slow_call" => ("slow_call_ms", rule),
        "open_for" => ("open_for_ms", rule),
        "open_max" => ("open_max_ms", "open_for_ms to 7 d"),
        "half_open_max" => ("half_open_max_ms", rule),
        "backoff" => ("backoff_percent", "100 to 1000"),
        _ => (field, rule),
    };
    SettingsError { field, rule }
}

/// The body of `POST /dependencies/{name}/state`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    to: Mode,
    for_ms: Option<u64>,
    reason: String,
}

/// `POST /dependencies/{name}/state`
pub(super) async fn force(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Json<Force>,
) -> Result<Json<Value>, Problem> {
    let Force { to, for_ms, reason } = &*body;
    let command = DependencyCommand::Force { to: *to, for_ms: *for_ms, reason: reason.clone() };
    send(&host, &caller, &name, command, &*body).await
}

async fn send(
    host: &Host,
    caller: &Caller,
    name: &str,
    command: DependencyCommand,
    body: &impl Serialize,
) -> Result<Json<Value>, Problem> {
    check_name(name).map_err(Problem::bad)?;
    let stream = StreamId::new(Dependency::KIND, name).ok_or_else(|| Problem::bad("bad name"))?;
    let receipt = host.ask::<Dependency>(stream, command, caller.meta(body)).await?;
    let mut shown = match &receipt.reply {
        DependencyReply::State(state) => detail(name, state),
        DependencyReply::Done => json!({ "name": name }),
    };
    if let Some(members) = shown.as_object_mut() {
        members.insert("epoch".to_owned(), json!(receipt.at.epoch));
        members.insert("position".to_owned(), json!(receipt.at.position));
    }
    Ok(Json(shown))
}

/// `POST /dependencies/{name}/permits`
pub(super) async fn ask_permit(
    host: Data<Host>,
    name: Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(match host.admit(&name).await? {
        Admission::Admitted(permit) => json!({ "admitted": true, "permit": permit.to_string() }),
        Admission::Rejected { retry_after_ms: Some(ms) } => {
            json!({ "admitted": false, "retry_after_ms": ms })
        },
        Admission::Rejected { retry_after_ms: None } | Admission::TryHalfOpen { .. } => {
            json!({ "admitted": false })
        },
    }))
}

/// One outcome of `POST /dependencies/{name}/outcomes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeBody {
    permit: Option<String>,
    outcome: Outcome,
    duration_ms: f64,
}

/// Most outcomes of one request.
const MAX_OUTCOMES: usize = 1_000;
/// Longest duration of a call, in milliseconds: a day.
const MAX_DURATION_MS: f64 = 86_400_000.0;

/// `POST /dependencies/{name}/outcomes`
pub(super) async fn outcomes(
    host: Data<Host>,
    name: Path<String>,
    body: Json<Value>,
) -> Result<HttpResponse, Problem> {
    // Through a value, so that the error names the field and not "no variant matched".
    let outcomes = if body.is_array() {
        serde_json::from_value::<Vec<OutcomeBody>>(body.into_inner())
    } else {
        serde_json::from_value(body.into_inner()).map(|one| vec![one])
    };
    let outcomes = outcomes.map_err(|error| Problem::bad(error.to_string()))?;
    if outcomes.len() > MAX_OUTCOMES {
        return Err(Problem::bad(format!("at most {MAX_OUTCOMES} outcomes in one request")));
    }
    let accepted = outcomes.len();
    let reports = outcomes.into_iter().map(report).collect::<Result<Vec<_>, _>>()?;
    host.record(&name, reports).await?;
    Ok(HttpResponse::Accepted().json(json!({ "accepted": accepted })))
}

fn report(body: OutcomeBody) -> Result<Report, Problem> {
    if !(0.0..=MAX_DURATION_MS).contains(&body.duration_ms) {
        return Err(Problem::bad("duration_ms must be 0 to 86400000").with("field", "duration_ms"));
    }
    let permit = body.permit.map(|text| text.parse::<Permit>()).transpose();
    let permit = permit.map_err(|error| Problem::bad(error.to_string()).with("field", "permit"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let duration_us = (body.duration_ms * 1_000.0).round() as u64;
    Ok(Report { permit, outcome: body.outcome, duration_us, probe: false })
}
