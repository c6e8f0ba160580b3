//! `serve --witness`: what the journal holds is written down elsewhere while it is served.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_journal::EventLog;

use crate::Mainstay;
use crate::cli::exit::Failed;
use crate::proofs::Notary;
use crate::witness::add;

/// How often a checkpoint is added, if there is anything new.
const EVERY: Duration = Duration::from_mins(1);

/// The witness of a running server.
#[derive(Clone)]
pub(super) struct Witness {
    path: PathBuf,
    log: Arc<dyn EventLog>,
    notary: Arc<Notary>,
}

impl Witness {
    /// Of a server that is ready.
    pub(super) fn new(path: PathBuf, stay: &Mainstay) -> Result<Self, Failed> {
        let log = stay.host().log().ok_or_else(|| Failed::work("the journal is not open"))?;
        Ok(Self { path, log, notary: stay.notary().clone() })
    }

    /// Adds a checkpoint over all that is durable now.
    pub(super) async fn add(&self) -> Result<(), Failed> {
        let Self { path, log, notary } = self.clone();
        let added = tokio::task::spawn_blocking(move || -> Result<(), Failed> {
            Ok(add(&path, &notary.checkpoint(&*log, None)?)?)
        });
        added.await.unwrap_or_else(|error| Err(Failed::work(error.to_string())))
    }

    /// The same, where a failure must not stop the server.
    pub(super) async fn add_or_warn(&self) {
        if let Err(failed) = self.add().await {
            tracing::warn!(?failed, "no checkpoint is added to the witness file");
        }
    }

    /// Goes on for ever.
    pub(super) async fn watch(witness: Option<&Self>) {
        let Some(witness) = witness else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once, and the first checkpoint was.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            witness.add_or_warn().await;
        }
    }
}
