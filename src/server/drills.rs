//! `/api/v1/drills`: disasters that were practised, and what came of it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query};
use mainstay_actors::host::Host;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{DRILLS, DrillCompleted, Operation, System, SystemCommand};
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::page::{self, Limit};
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Placed};
use super::whole;
use crate::drill::{Past, recent};

/// Most findings of one drill, and the longest of them in bytes.
const MAX_FINDINGS: usize = 20;
/// The largest whole number that every reader of JSON keeps.
const MAX_NUMBER: u64 = (1 << 53) - 1;
const MAX_FINDING_BYTES: usize = 500;

/// The query of `GET /drills`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct List {
    /// Rows, 100 if absent.
    #[serde(default)]
    #[param(value_type = Option<usize>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Limit,
}

/// A drill that was run elsewhere, as `mainstay drill` measured it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDrill {
    /// Which disaster.
    #[schema(pattern = "^[a-z][a-z0-9-]{0,59}$")]
    scenario: String,
    /// Every check passed, and both targets were met.
    good: bool,
    /// From the disaster to the first verified write.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    rto_ms: u64,
    /// What it may be.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    rto_target_ms: u64,
    /// How much of what was acknowledged was lost, in time.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    rpo_ms: u64,
    /// What it may be.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    rpo_target_ms: u64,
    /// And in events.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    lost_events: u64,
    /// Entities whose states were compared.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    compared: u64,
    /// Those that were not the same.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    different: u64,
    /// How long the whole of it took.
    #[serde(deserialize_with = "whole::number")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    took_ms: u64,
    /// What was wrong: at most 20, of at most 500 bytes each.
    #[serde(default)]
    #[schema(max_items = 20)]
    findings: Vec<String>,
}

/// A drill as the journal tells of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Drill {
    /// Which disaster.
    #[schema(example = "disk-loss")]
    scenario: String,
    /// Every check passed, and both targets were met.
    good: bool,
    /// From the disaster to the first verified write.
    rto_ms: u64,
    /// What it may be.
    rto_target_ms: u64,
    /// How much of what was acknowledged was lost, in time.
    rpo_ms: u64,
    /// What it may be.
    rpo_target_ms: u64,
    /// And in events.
    lost_events: u64,
    /// Entities whose states were compared.
    compared: u64,
    /// Those that were not the same.
    different: u64,
    /// How long the whole of it took.
    took_ms: u64,
    /// What was wrong.
    findings: Vec<String>,
    /// When it was recorded.
    at: Timestamp,
    /// Who recorded it.
    by: String,
}

impl Drill {
    fn of(drill: DrillCompleted, by: String) -> Self {
        Self {
            scenario: drill.scenario,
            good: drill.good,
            rto_ms: drill.rto_ms,
            rto_target_ms: drill.rto_target_ms,
            rpo_ms: drill.rpo_ms,
            rpo_target_ms: drill.rpo_target_ms,
            lost_events: drill.lost_events,
            compared: drill.compared,
            different: drill.different,
            took_ms: drill.took_ms,
            findings: drill.findings,
            at: drill.at,
            by,
        }
    }
}

/// The last drills.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Drills {
    /// The newest first.
    drills: Vec<Recorded>,
}

/// One of them, with its place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recorded {
    #[serde(flatten)]
    drill: Drill,
    /// Of the history.
    epoch: u32,
    /// Of its event.
    position: u64,
}

impl NewDrill {
    /// Of what was measured here; what is too long is cut.
    pub(crate) fn of(drill: DrillCompleted) -> Self {
        let findings = drill.findings.into_iter().take(MAX_FINDINGS).map(|mut finding| {
            finding.truncate(finding.floor_char_boundary(MAX_FINDING_BYTES));
            finding
        });
        Self {
            scenario: drill.scenario,
            good: drill.good,
            rto_ms: drill.rto_ms,
            rto_target_ms: drill.rto_target_ms,
            rpo_ms: drill.rpo_ms,
            rpo_target_ms: drill.rpo_target_ms,
            lost_events: drill.lost_events,
            compared: drill.compared,
            different: drill.different,
            took_ms: drill.took_ms,
            findings: findings.collect(),
        }
    }

    fn check(&self) -> Result<(), Problem> {
        let bad = |field: &str, rule: &str| {
            Err(Problem::bad(format!("{field} must be {rule}")).with("field", field))
        };
        let mut letters = self.scenario.bytes();
        let first = letters.next().is_some_and(|it| it.is_ascii_lowercase());
        let rest = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if !first || !letters.all(rest) || self.scenario.len() > 60 {
            return bad("scenario", "1 to 60 lower-case letters, digits and -, a letter first");
        }
        let Self { rto_ms, rto_target_ms, rpo_ms, rpo_target_ms, took_ms, .. } = *self;
        let counts = [self.lost_events, self.compared, self.different];
        let times = [rto_ms, rto_target_ms, rpo_ms, rpo_target_ms, took_ms];
        if times.iter().chain(&counts).any(|number| *number > MAX_NUMBER) {
            return Err(Problem::bad(format!("a number must be at most {MAX_NUMBER}")));
        }
        if self.findings.len() > MAX_FINDINGS
            || self.findings.iter().any(|it| it.len() > MAX_FINDING_BYTES)
        {
            return bad("findings", "at most 20 texts of at most 500 bytes");
        }
        Ok(())
    }

    fn into_event(self) -> DrillCompleted {
        DrillCompleted {
            scenario: self.scenario,
            good: self.good,
            rto_ms: self.rto_ms,
            rto_target_ms: self.rto_target_ms,
            rpo_ms: self.rpo_ms,
            rpo_target_ms: self.rpo_target_ms,
            lost_events: self.lost_events,
            compared: self.compared,
            different: self.different,
            took_ms: self.took_ms,
            findings: self.findings,
            at: Timestamp::default(),
        }
    }
}

/// The last drills, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/drills",
    tag = "drills",
    operation_id = "list_drills",
    params(List),
    responses((status = 200, description = "As far as the journal still has them", body = Drills))
)]
pub(super) async fn list(host: Data<Host>, query: Query<List>) -> Result<HttpResponse, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let limit = query.limit.get();
    let past = page::off_arbiter(move || Ok(recent(&*log, limit)?)).await?;
    let drills = past.into_iter().map(|Past { cursor, by, drill }| Recorded {
        drill: Drill::of(drill, by),
        epoch: cursor.epoch,
        position: cursor.position,
    });
    Ok(HttpResponse::Ok().json(Drills { drills: drills.collect() }))
}

/// Record a drill that was run.
///
/// `mainstay drill --server` does this when it is over.
#[utoipa::path(
    post,
    path = "/api/v1/drills",
    tag = "drills",
    operation_id = "record_drill",
    params(CommandHeaders),
    request_body(content = NewDrill, example = json!({
        "scenario": "disk-loss", "good": true, "rto_ms": 2140, "rto_target_ms": 600_000, "rpo_ms": 310,
        "rpo_target_ms": 900_000, "lost_events": 55, "compared": 1804, "different": 0, "took_ms": 9120
    })),
    responses((status = 200, description = "It is recorded", body = Placed<Drill>))
)]
pub(super) async fn record(
    host: Data<Host>,
    caller: Caller,
    body: Body<NewDrill>,
) -> Result<Json<Placed<Drill>>, Problem> {
    body.check()?;
    let meta = caller.meta(&*body);
    let event = body.into_inner().into_event();
    let none = || Problem::internal("there is no stream of drills");
    let stream = StreamId::new(System::KIND, DRILLS).ok_or_else(none)?;
    let by = meta.principal.to_string();
    let command = SystemCommand::Record(Operation::DrillCompleted(Box::new(event.clone())));
    let receipt = host.ask::<System>(stream, command, meta).await?;
    let at = receipt.reply.0.operations.drilled.unwrap_or_default();
    Ok(Json(Placed::new(Drill::of(DrillCompleted { at, ..event }, by), receipt.at)))
}
