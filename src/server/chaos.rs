//! `/api/v1/chaos`: calls of a dependency are disturbed on purpose, for a while.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::chaos::{Chaos, ChaosCommand, ChaosReply, Ended, Experiment, Fault, Plan};
use mainstay_actors::health::Level;
use mainstay_actors::host::{Host, Receipt};
use mainstay_actors::machine::Machine as _;
use mainstay_actors::rate::Rate;
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::page;
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Placed};
use super::whole;
use crate::config::check_name;

/// Largest seed that every reader of JSON keeps as it is: 2^53 - 1.
const MAX_SEED: u64 = (1 << 53) - 1;

/// A fault to start.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StartFault)]
pub(super) struct Start {
    /// The experiment's name; the dependency's if absent.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,200}$")]
    name: Option<String>,
    /// Whose calls.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,200}$")]
    dependency: String,
    /// What is done to them.
    fault: Fault,
    /// To which share of the calls; above 0, in ten-thousandths.
    #[schema(value_type = f64, minimum = 0.0001, maximum = 1)]
    share: Rate,
    /// The same seed strikes the same calls; the start's own time if absent.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    #[serde(default, deserialize_with = "whole::optional")]
    seed: Option<u64>,
    /// It ends by itself after so long, at the latest after a day.
    #[schema(minimum = 1, maximum = 86_400_000)]
    #[serde(deserialize_with = "whole::number")]
    for_ms: u64,
    /// Why; it is journaled.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// It starts at this level or a better one only; DEGRADED if absent.
    floor: Option<Level>,
}

/// Why it is stopped.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Why {
    /// It is journaled.
    #[param(min_length = 1, max_length = 200, example = "enough")]
    reason: String,
}

/// An experiment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Experiment)]
pub(super) struct View {
    name: String,
    /// Whether calls are disturbed now.
    running: bool,
    dependency: String,
    fault: Fault,
    share: Rate,
    seed: u64,
    reason: String,
    started_at: Timestamp,
    /// When it ends by itself.
    until: Timestamp,
    /// When and how it ended.
    ended: Option<Ended>,
}

/// The newest experiment of each name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Experiments {
    /// By name; those that are over, too.
    experiments: Vec<View>,
}

/// Experiments that a stop of all has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoppedFaults {
    /// Their names.
    stopped: Vec<String>,
}

/// Which experiment.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
pub(super) struct ExperimentName {
    /// The experiment's name.
    #[param(example = "openai", pattern = "^[A-Za-z0-9._:-]{1,200}$")]
    name: String,
}

/// The newest experiment of each name, over or not.
#[utoipa::path(
    get,
    path = "/api/v1/chaos",
    tag = "chaos",
    operation_id = "list_faults",
    responses((status = 200, description = "All of them, by name", body = Experiments))
)]
pub(super) async fn list(host: Data<Host>) -> Result<Json<Experiments>, Problem> {
    let (Some(faults), Some(now)) = (host.faults(), host.now()) else {
        return Err(page::not_ready(&host));
    };
    let all = faults.all().into_iter();
    Ok(Json(Experiments { experiments: all.map(|(name, it)| view(&name, it, now)).collect() }))
}

/// Disturb calls of a dependency, for a while.
///
/// It is refused while the level is below the floor.
#[utoipa::path(
    post,
    path = "/api/v1/chaos",
    tag = "chaos",
    operation_id = "start_fault",
    params(CommandHeaders),
    request_body(content = Start, example = json!({"dependency": "openai", "fault": {"latency": {"fixed": {"ms": 250}}}, "share": 0.25, "for_ms": 60_000, "reason": "a game day"})),
    responses((status = 201, description = "It runs", body = Placed<View>)),
    extensions(("x-problems" = json!(["not-found", "fault-running", "fault-below-floor"])))
)]
pub(super) async fn start(
    host: Data<Host>,
    caller: Caller,
    body: Body<Start>,
) -> Result<HttpResponse, Problem> {
    let meta = caller.meta(&*body);
    let Start { name, dependency, fault, share, seed, for_ms, reason, floor } = body.into_inner();
    let bad = |told: String, field| Problem::bad(told).with("field", field);
    check_name(&dependency).map_err(|told| bad(told, "dependency"))?;
    if seed.is_some_and(|seed| seed > MAX_SEED) {
        return Err(bad(format!("seed must be 0 to {MAX_SEED}"), "seed"));
    }
    let name = name.unwrap_or_else(|| dependency.clone());
    let seed = seed.unwrap_or_else(|| host.now().unwrap_or_default().as_micros());
    let plan = Plan { dependency, fault, share, seed, reason };
    let floor = floor.unwrap_or(Level::Degraded);
    let receipt = host.start_fault(stream(&name)?, plan, for_ms, floor, meta).await?;
    Ok(HttpResponse::Created().json(placed(&host, &name, receipt)?))
}

/// Stop every experiment that runs.
#[utoipa::path(
    delete,
    path = "/api/v1/chaos",
    tag = "chaos",
    operation_id = "stop_faults",
    params(CommandHeaders, Why),
    responses((status = 200, description = "Those that it has stopped", body = StoppedFaults))
)]
pub(super) async fn stop_all(
    host: Data<Host>,
    caller: Caller,
    why: Query<Why>,
) -> Result<Json<StoppedFaults>, Problem> {
    let stopped = host.stop_faults(&why.reason, caller.meta(&*why)).await?;
    Ok(Json(StoppedFaults { stopped }))
}

/// Stop an experiment before its time; one that is over stays as it is.
#[utoipa::path(
    delete,
    path = "/api/v1/chaos/{name}",
    tag = "chaos",
    operation_id = "stop_fault",
    params(CommandHeaders, ExperimentName, Why),
    responses((status = 200, description = "It is over", body = Placed<View>)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn stop(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    why: Query<Why>,
) -> Result<Json<Placed<View>>, Problem> {
    let command = ChaosCommand::Stop { reason: why.reason.clone(), all: false };
    let receipt = host.ask::<Chaos>(stream(&name)?, command, caller.meta(&*why)).await?;
    placed(&host, &name, receipt).map(Json)
}

fn stream(name: &str) -> Result<StreamId, Problem> {
    let bad = |told: String| Problem::bad(told).with("field", "name");
    check_name(name).map_err(bad)?;
    StreamId::new(Chaos::KIND, name).ok_or_else(|| bad("name is too long".to_owned()))
}

fn placed(host: &Host, name: &str, receipt: Receipt<ChaosReply>) -> Result<Placed<View>, Problem> {
    let none = || Problem::internal("the experiment answered another question");
    let experiment = receipt.reply.0.ok_or_else(none)?;
    Ok(Placed::new(view(name, experiment, host.now().unwrap_or_default()), receipt.at))
}

fn view(name: &str, experiment: Experiment, now: Timestamp) -> View {
    let running = experiment.runs(now);
    let Experiment { plan, started_at, until, ended } = experiment;
    let Plan { dependency, fault, share, seed, reason } = plan;
    let name = name.to_owned();
    View { name, running, dependency, fault, share, seed, reason, started_at, until, ended }
}
