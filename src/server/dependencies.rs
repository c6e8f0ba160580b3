//! `/api/v1/health` and `/api/v1/dependencies`: health, states by hand.

mod configure;
mod traffic;

pub(super) use configure::{__path_configure, configure};
pub(super) use traffic::{
    __path_ask_permit, __path_outcomes, OutcomeBody, ask_permit, count, outcomes,
};

use actix_web::web::{Data, Json, Path};
use mainstay_actors::dependency::{
    Breaker, Dependency, DependencyCommand, DependencyReject, DependencyReply, DependencyState,
    Mode, Observed, Settings,
};
use mainstay_actors::host::{DependencyView, HealthView, Host, Receipt};
use mainstay_actors::machine::Machine;
use mainstay_actors::rate::Score;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Placed};
use super::whole;
use crate::config::check_name;

/// The global score and level, and what they follow from.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    tag = "health",
    operation_id = "show_health",
    responses((status = 200, description = "The global health", body = HealthView))
)]
pub(super) async fn show_health(host: Data<Host>) -> Result<Json<HealthView>, Problem> {
    Ok(Json(host.health().await?))
}

/// Dependencies by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Dependencies {
    /// All that are not retired.
    dependencies: Vec<DependencyView>,
}

/// All dependencies that are not retired, as in health.
#[utoipa::path(
    get,
    path = "/api/v1/dependencies",
    tag = "dependencies",
    operation_id = "list_dependencies",
    responses((status = 200, description = "Dependencies by name", body = Dependencies))
)]
pub(super) async fn list(host: Data<Host>) -> Result<Json<Dependencies>, Problem> {
    Ok(Json(Dependencies { dependencies: host.health().await?.dependencies }))
}

/// Which dependency.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
pub(super) struct DependencyName {
    /// The dependency's name.
    #[param(example = "openai", pattern = "^[A-Za-z0-9._:-]{1,200}$")]
    name: String,
}

/// One dependency: breaker, settings, last observation.
#[utoipa::path(
    get,
    path = "/api/v1/dependencies/{name}",
    tag = "dependencies",
    operation_id = "show_dependency",
    params(DependencyName),
    responses((status = 200, description = "The dependency, retired or not", body = Detail)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn show(host: Data<Host>, name: Path<String>) -> Result<Json<Detail>, Problem> {
    let state = host.dependency(&name).await?.filter(|state| state.settings.is_some());
    let state = state.ok_or(DependencyReject::Unknown)?;
    Ok(Json(Detail::of(&name, state)))
}

/// One dependency.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Detail {
    /// Its name.
    name: String,
    /// Its health; null while it is unknown, disabled or retired.
    score: Option<Score>,
    /// The breaker's state.
    state: Mode,
    /// The breaker's durable part.
    breaker: Breaker,
    /// The rates of the sliding window when it was last observed.
    observed: Option<Observed>,
    /// Weight, cap and breaker.
    settings: Option<Settings>,
    /// How often it was configured.
    configuration: u64,
    /// It vanished from the configuration file: out of the weights, its calls refused.
    retired: bool,
}

impl Detail {
    fn of(name: &str, state: DependencyState) -> Self {
        let score = state.score();
        let DependencyState { settings, configuration, retired, breaker, observed } = state;
        let (name, state) = (name.to_owned(), breaker.mode);
        Self { name, score, state, breaker, observed, settings, configuration, retired }
    }
}

/// A transition by hand.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    /// Into which state.
    to: Mode,
    /// For how long, then closed; absent for `closed` and `half_open`.
    #[schema(minimum = 1, maximum = 2_592_000_000_u64)]
    #[serde(default, deserialize_with = "whole::optional")]
    for_ms: Option<u64>,
    /// Why; it is journaled.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// A transition of the breaker by hand.
#[utoipa::path(
    post,
    path = "/api/v1/dependencies/{name}/state",
    tag = "dependencies",
    operation_id = "force_state",
    params(CommandHeaders, DependencyName),
    request_body(content = Force, example = json!({"to": "forced_open", "for_ms": 60000, "reason": "provider announced an outage"})),
    responses((status = 200, description = "The dependency after it", body = Placed<Detail>)),
    extensions(("x-problems" = json!(["not-found", "illegal-transition"])))
)]
pub(super) async fn force(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Force>,
) -> Result<Json<Placed<Detail>>, Problem> {
    send(&host, &caller, &name, body.command(), &*body).await
}

impl Force {
    pub(super) fn command(&self) -> DependencyCommand {
        let Self { to, for_ms, reason } = self;
        DependencyCommand::Force { to: *to, for_ms: *for_ms, reason: reason.clone() }
    }
}

async fn send(
    host: &Host,
    caller: &Caller,
    name: &str,
    command: DependencyCommand,
    body: &impl Serialize,
) -> Result<Json<Placed<Detail>>, Problem> {
    let receipt = host.ask::<Dependency>(stream(name)?, command, caller.meta(body)).await?;
    shown(name, receipt).map(Json)
}

pub(super) fn stream(name: &str) -> Result<StreamId, Problem> {
    check_name(name).map_err(Problem::bad)?;
    StreamId::new(Dependency::KIND, name).ok_or_else(|| Problem::bad("bad name"))
}

/// The dependency with its durable place.
pub(super) fn shown(
    name: &str,
    receipt: Receipt<DependencyReply>,
) -> Result<Placed<Detail>, Problem> {
    match receipt.reply {
        DependencyReply::State(state) => Ok(Placed::new(Detail::of(name, *state), receipt.at)),
        DependencyReply::Done => Err(Problem::internal("the dependency showed no state")),
    }
}
