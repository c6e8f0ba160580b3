//! `/api/v1/checkpoint` and `/api/v1/proofs`: what others can hold the journal against.
//!
//! A checkpoint is a size and a hash, and so is each step of a proof: whoever has a key may see them.
//! That a certain event is in the journal is proved only to who may see the event.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::{Failure, Host};
use mainstay_journal::EventLog;
use mainstay_journal::merkle::TreeError;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Scope;
use super::page;
use super::problem::Problem;
use crate::proofs::{Consistency, Inclusion, Notary, ProofError};

/// How long a request waits for its turn: the first proof of a large journal hashes all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What follows a path in a note is text, and every line of it counts.
const NOTE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The turn to prove, and who signs.
#[derive(Clone)]
pub(crate) struct Proofs {
    notary: Arc<Notary>,
    turn: Arc<Semaphore>,
}

impl Proofs {
    pub(crate) fn new(notary: Arc<Notary>) -> Self {
        Self { notary, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Works on the journal off the arbiter, one at a time.
    async fn prove<T: Send + 'static>(
        &self,
        host: &Host,
        work: impl FnOnce(&Notary, &dyn EventLog) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let log = host.log().ok_or_else(|| page::not_ready(host))?;
        let turn = tokio::time::timeout(PATIENCE, self.turn.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Failure::<DependencyReject>::Busy("proofs of the journal").into());
        };
        let notary = self.notary.clone();
        page::off_arbiter(move || {
            // Given back by the work itself: it goes on when its caller leaves.
            let _turn = turn;
            work(&notary, &*log)
        })
        .await
    }
}

/// A signed checkpoint over every event that is durable.
#[utoipa::path(
    get,
    path = "/api/v1/checkpoint",
    tag = "proofs",
    operation_id = "show_checkpoint",
    responses((
        status = 200,
        description = "A signed note, as C2SP's tlog-checkpoint has it",
        body = String,
        content_type = "text/plain"
    ))
)]
pub(super) async fn show_checkpoint(
    host: Data<Host>,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let work = |notary: &Notary, log: &dyn EventLog| Ok(notary.checkpoint(log, None)?);
    let checkpoint = app.proofs.prove(&host, work).await?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_TYPE, NOTE)).insert_header((CACHE_CONTROL, "no-store"));
    Ok(answer.body(checkpoint.note))
}

/// Who signs checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckpointKeys {
    /// Public lines of every key that ever signed, the newest last.
    keys: Vec<String>,
}

/// The public halves of the keys that sign, and signed.
#[utoipa::path(
    get,
    path = "/api/v1/checkpoint/keys",
    tag = "proofs",
    operation_id = "show_checkpoint_keys",
    responses((status = 200, description = "Verifier keys of signed notes", body = CheckpointKeys))
)]
pub(super) async fn show_keys(
    host: Data<Host>,
    app: Data<App>,
) -> Result<Json<CheckpointKeys>, Problem> {
    let work = |notary: &Notary, _: &dyn EventLog| Ok(CheckpointKeys { keys: notary.keys()? });
    app.proofs.prove(&host, work).await.map(Json)
}

/// Which event.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
struct LeafPlace {
    /// Its position, or `{epoch}-{position}`.
    #[param(example = "1", pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$")]
    position: String,
}

/// Shows that an event is in the journal.
#[utoipa::path(
    get,
    path = "/api/v1/proofs/inclusion/{position}",
    tag = "proofs",
    operation_id = "show_inclusion",
    params(LeafPlace),
    responses((status = 200, description = "A proof that stands alone", body = Inclusion)),
    extensions(("x-problems" = json!(["archived", "not-found", "other-epoch"])))
)]
pub(super) async fn show_inclusion(
    host: Data<Host>,
    app: Data<App>,
    scope: Scope,
    position: Path<String>,
) -> Result<Json<Inclusion>, Problem> {
    let work = move |notary: &Notary, log: &dyn EventLog| {
        let position = page::position("position", &position, log)?;
        let mut seen = false;
        log.scan(position, position, &mut |record| {
            seen = record.position == position && scope.sees(record.stream);
            ControlFlow::Break(())
        })?;
        if !seen {
            return Err(Problem::not_found(format!("there is no event at position {position}")));
        }
        Ok(notary.inclusion(log, position, false)?)
    };
    app.proofs.prove(&host, work).await.map(Json)
}

/// The query of `GET /proofs/consistency`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskConsistency {
    /// The size of the earlier checkpoint.
    #[param(value_type = u64, minimum = 0, maximum = 999_999_999_999_999_999_u64, example = 1)]
    from: u64,
    /// The size of the later one; all that is durable, if absent.
    #[param(value_type = Option<u64>, nullable = false, minimum = 0, maximum = 999_999_999_999_999_999_u64)]
    to: Option<u64>,
}

/// Shows that the journal at one size continues the journal at another.
#[utoipa::path(
    get,
    path = "/api/v1/proofs/consistency",
    tag = "proofs",
    operation_id = "show_consistency",
    params(AskConsistency),
    responses((status = 200, description = "A proof that stands alone", body = Consistency)),
    extensions(("x-problems" = json!(["archived", "beyond-end"])))
)]
pub(super) async fn show_consistency(
    host: Data<Host>,
    app: Data<App>,
    query: Query<AskConsistency>,
) -> Result<Json<Consistency>, Problem> {
    let work = move |notary: &Notary, log: &dyn EventLog| {
        Ok(notary.consistency(log, query.from, query.to)?)
    };
    app.proofs.prove(&host, work).await.map(Json)
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        let detail = error.to_string();
        match error {
            ProofError::Tree(TreeError::Beyond { durable, .. }) => {
                Self::new(StatusCode::BAD_REQUEST, "beyond-end", detail).with("durable", durable)
            },
            ProofError::Tree(TreeError::Shrinks { .. }) => Self::bad(detail).with("field", "to"),
            ProofError::Tree(TreeError::Outside { .. }) => Self::not_found(detail),
            ProofError::Tree(TreeError::Read(error)) => error.into(),
            ProofError::Closed => {
                Failure::<DependencyReject>::NotReady("the signing key is not open".to_owned())
                    .into()
            },
            ProofError::Keyring(_) => Self::internal(detail),
        }
    }
}
