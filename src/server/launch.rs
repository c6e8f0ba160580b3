//! `GET /api/v1/gate/launch`: may it be launched, as the running server sees it.
//!
//! ```text
//!   request ─► its turn (one at a time, others wait or are busy)
//!                 └► what it says of itself ─► files, journal, machine, off the arbiter ─► decision
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Json};
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::{Failure, Host};
use mainstay_actors::time::Timestamp;
use mainstay_journal::ReadLog;
use tokio::sync::Semaphore;

use super::App;
use super::problem::Problem;
use super::{metrics, openapi, page, readiness};
use crate::config::Config;
use crate::preflight::gather::{Answers, Sources, gather, server_facts};
use crate::preflight::{ConfigFacts, Launch, launch};

/// How long a request waits for its turn: every block of the journal is looked at.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files that a server was started with.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Of its configuration.
    pub config: Option<PathBuf>,
    /// Of its witness.
    pub witness: Option<PathBuf>,
}

/// The turn to look at everything, and what the server was started with.
#[derive(Clone)]
pub(crate) struct Gate {
    config: Arc<Config>,
    named: Named,
    turn: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new(config: &Config, named: Named) -> Self {
        Self { config: Arc::new(config.clone()), named, turn: Arc::new(Semaphore::new(1)) }
    }

    fn sources(&self, now: Timestamp) -> Sources {
        use std::os::unix::fs::MetadataExt;

        let config = Config::clone(&self.config);
        let file = self.named.config.as_ref().and_then(|path| {
            let mode = std::fs::metadata(path).ok()?.mode();
            Some((path.clone(), mode))
        });
        let data = config.server.data.clone();
        let witness = self.named.witness.clone();
        Sources { config: Ok(ConfigFacts { config, file }), data, witness, now }
    }
}

/// May it be launched?
///
/// Every item of the preflight is decided over what the server sees: its configuration, its data
/// directory, its machine, and itself.
#[utoipa::path(
    get,
    path = "/api/v1/gate/launch",
    tag = "launch",
    operation_id = "show_launch",
    responses((status = 200, description = "Go, go with caution, or no-go, with reasons", body = Launch))
)]
pub(super) async fn show(host: Data<Host>, app: Data<App>) -> Result<Json<Launch>, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let turn = tokio::time::timeout(PATIENCE, app.gate.turn.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Failure::<DependencyReject>::Busy("looks at the whole server").into());
    };
    let now = wall_clock();
    let answers = Answers {
        readiness: readiness::verbose(&host, &app).await,
        health: serde_json::to_value(host.health().await?).unwrap_or_default(),
        metrics: metrics::text(&host, &app).await.map_err(|problem| problem.to_string()),
        document: openapi::document(),
        date: host.now(),
    };
    let sources = app.gate.sources(now);
    page::off_arbiter(move || {
        // Given back by the work itself: it goes on when its caller leaves.
        let _turn = turn;
        let log: &dyn ReadLog = &*log;
        let server = server_facts(&answers, now);
        Ok(launch(&gather(sources, Some(log), Some(server), &mut |_, _| {})))
    })
    .await
    .map(Json)
}

/// Not the host's: whether that agrees is one of the questions.
fn wall_clock() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the machine's clock is one of the facts")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
