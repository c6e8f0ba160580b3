//! `POST /api/v1/batch`: up to 1,000 commands in one request, an answer for each.
//!
//! ```text
//!   commands ──► one message to the host ──► few group commits ──► answers, in order
//!                 └─ a new one for a lease with a session (it asks twice), and when one
//!                    entity would have more waiting than its mailbox takes
//! ```
//!
//! It is not atomic: each command is decided by itself, as if it had been sent alone. Commands on
//! one entity keep their order.

mod command;
mod wave;

pub(super) use command::Command;

use actix_web::web::{Data, Json};
use futures_util::future::join_all;
use mainstay_actors::host::Host;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::wave::Waves;
use super::App;
use super::body::{Body, Object};
use super::problem::Problem;
use super::request::Caller;

/// Most commands of one request.
const MAX_COMMANDS: usize = 1_000;

/// Commands, in order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Batch)]
pub(super) struct Commands {
    /// 1 to 1,000.
    #[serde(deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    commands: Vec<Command>,
}

fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Command>, D::Error> {
    let commands = Vec::<Object<Command>>::deserialize(deserializer)?;
    if (1..=MAX_COMMANDS).contains(&commands.len()) {
        return Ok(commands.into_iter().map(|command| command.0).collect());
    }
    Err(D::Error::custom(format!("commands must be 1 to {MAX_COMMANDS}")))
}

/// The answers, in the order of the commands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswers)]
pub(super) struct Answers {
    answers: Vec<Answer>,
}

/// What the command's own route would have answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
pub(super) struct Answer {
    /// Its status.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// Its body, unless it is a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    body: Option<Value>,
    /// The problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<super::problem::ProblemBody>)]
    problem: Option<Map<String, Value>>,
}

impl Answer {
    pub(super) fn of(status: u16, body: Result<impl Serialize, Problem>) -> Self {
        let shown = body.and_then(|body| {
            serde_json::to_value(body).map_err(|error| Problem::internal(error.to_string()))
        });
        match shown {
            Ok(body) => Self { status, body: Some(body), problem: None },
            Err(problem) => Self::problem(&problem),
        }
    }

    pub(super) fn problem(problem: &Problem) -> Self {
        Self { status: problem.status(), body: None, problem: Some(problem.body()) }
    }
}

/// Many commands in one request, an answer for each.
///
/// Not atomic: each is decided as if it had been sent alone, under its own `key` as
/// `Idempotency-Key`; a key is the same request here and at the command's own route. Commands on
/// one entity keep their order. Their events share group commits. A command that cannot be read
/// refuses the whole request, before anything happens.
#[utoipa::path(
    post,
    path = "/api/v1/batch",
    tag = "batch",
    operation_id = "run_batch",
    params(
        ("traceparent" = Option<String>, Header, nullable = false, description = "W3C trace context; its trace id is written into every event of the request", pattern = "^[!-~]{1,200}$"),
        ("X-Request-Id" = Option<String>, Header, nullable = false, description = "Written into every event of the request, unless there is a `traceparent`", pattern = "^[!-~]{1,200}$"),
    ),
    request_body(content = Commands, example = json!({"commands": [
        {"op": "sessions.create", "key": "order-1", "body": {"subject": "customer-7", "ttl_ms": 1_800_000}},
        {"op": "locks.acquire", "name": "room-101", "body": {"owner": "worker-1", "ttl_ms": 30000}},
        {"op": "locks.check", "name": "room-101", "body": {"token": 1}},
    ]})),
    responses((status = 200, description = "An answer for each command, in order", body = Answers))
)]
pub(super) async fn run(
    host: Data<Host>,
    app: Data<App>,
    caller: Caller,
    body: Body<Commands>,
) -> Result<Json<Answers>, Problem> {
    if caller.key().is_some() {
        let way = "a batch has no Idempotency-Key; give each of its commands a key";
        return Err(Problem::bad(way));
    }
    // Before anything happens: a host that is not ready refuses the request, not each command.
    host.health().await?;
    let commands = body.into_inner().commands;
    make_keys(&app, &caller, &commands).await;
    let mut waves = Waves::new(&host, &app, &caller);
    for command in commands {
        waves.take(command).await;
    }
    Ok(Json(Answers { answers: waves.finish().await }))
}

/// Makes the keys that new sessions need, all at once so that they share syncs. What goes wrong here
/// goes wrong again, and is told, when its command's turn comes.
async fn make_keys(app: &App, caller: &Caller, commands: &[Command]) {
    let names = commands.iter().filter_map(|command| match command {
        Command::CreateSession { body, .. } if body.has_values() => {
            let tenant = caller.scope().tenant(body.tenant()).ok()?;
            body.name(app, &tenant).ok()
        },
        _ => None,
    });
    drop(join_all(names.map(|name| app.vault.key_to_seal(name))).await);
}
