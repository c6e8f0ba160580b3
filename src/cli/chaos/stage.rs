//! Where a scenario is played: a mainstay of its own, or a running server.
//!
//! ```text
//!   its own:  a scratch directory ─► Mainstay + Server on loopback ─► stand-ins, guarded calls, log lines
//!             at the end: closed, both copies verified, every acknowledged event looked for
//!   running:  experiments, transitions and what the server shows
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::VerifyOptions;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing_subscriber::fmt::MakeWriter;

use super::scenario::Scenario;
use super::stand_in::{self, StandIns};
use crate::Mainstay;
use crate::cli::exit::Failed;
use crate::cli::online::Online;
use crate::config::Config;
use crate::event::fold;
use crate::server::{Named, Server};

/// See the module.
pub(super) struct Stage {
    pub(super) online: Online,
    pub(super) own: Option<Own>,
    /// Events that an answer has vouched for: position, stream and name.
    pub(super) acknowledged: BTreeMap<u64, (String, &'static str)>,
    /// The newest position that an answer has vouched for.
    pub(super) vouched: u64,
    /// Experiments that this run has started.
    pub(super) started: BTreeSet<String>,
    /// Before its first step.
    pub(super) from: u64,
}

/// A mainstay of its own.
pub(super) struct Own {
    pub(super) runtime: Runtime,
    pub(super) services: StandIns,
    pub(super) lines: Lines,
    running: Option<(Mainstay, Server)>,
    config: Config,
    data: TempDir,
}

/// What the journal was found to hold when all was over.
pub(super) struct Found {
    /// Events since the scenario began: name and stream. Observations and levels are left out, as
    /// they come when the supervisor looks.
    pub(super) events: Vec<(String, String)>,
    /// How many in all.
    pub(super) total: u64,
    pub(super) wrong: Vec<String>,
}

/// Names for what has an id by chance: `session/default/#1`, in the order in which they come.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn of(&mut self, stream: &str) -> String {
        let Some((kind, id)) = stream.rsplit_once('/') else { return stream.to_owned() };
        if uuid::Uuid::parse_str(id).is_err() {
            return stream.to_owned();
        }
        let known = self.0.iter().position(|it| it == id);
        let at = known.unwrap_or_else(|| {
            self.0.push(id.to_owned());
            self.0.len() - 1
        });
        format!("{kind}/#{}", at + 1)
    }
}

/// Log lines, as they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Stage {
    /// Of a running server.
    pub(super) fn at(online: Online) -> Result<Self, Failed> {
        let from = online.head()?;
        Ok(Self::new(online, None, from))
    }

    /// A mainstay of the scenario's own.
    pub(super) fn make(scenario: &Scenario, lines: Lines) -> Result<Self, Failed> {
        let cannot =
            |what: &str, error: &dyn std::fmt::Display| Failed::work(format!("{what}: {error}"));
        let data = tempfile::Builder::new().prefix("mainstay-chaos-").tempdir();
        let data = data.map_err(|error| cannot("make a directory", &error))?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| cannot("start", &error))?;
        let services = stand_in::start(runtime.handle(), &scenario.service);
        let services = services.map_err(|error| cannot("start a stand-in", &error))?;
        let address = |name: &str| services.get(name).map(|it| it.address());
        let mut config = scenario.config(address).map_err(Failed::usage)?;
        config.server.data = data.path().join("data");
        config.server.listen = ([127, 0, 0, 1], 0).into();
        let (running, online) = open(&runtime, &config)?;
        let running = Some(running);
        let own = Own { runtime, services, lines, running, config, data };
        let from = online.head()?;
        Ok(Self::new(online, Some(own), from))
    }

    fn new(online: Online, own: Option<Own>, from: u64) -> Self {
        let (acknowledged, started) = (BTreeMap::new(), BTreeSet::new());
        Self { online, own, acknowledged, vouched: from, started, from }
    }

    /// An answer of the server vouches for the position that it names.
    pub(super) fn heard(&mut self, answer: &Value) {
        self.vouched = self.vouched.max(answer["position"].as_u64().unwrap_or_default());
    }

    /// Names of the experiments that run.
    pub(super) fn running(&self) -> Result<BTreeSet<String>, Failed> {
        let all = self.online.get(super::ROUTE, &[])?;
        let running = all["experiments"].as_array().into_iter().flatten();
        let running = running.filter(|it| it["running"] == true);
        Ok(running.filter_map(|it| Some(it["name"].as_str()?.to_owned())).collect())
    }

    /// Stops what this run has started and has not stopped; what was.
    pub(super) fn stop_all(&mut self) -> Result<Vec<String>, Failed> {
        let mut stopped = Vec::new();
        for name in std::mem::take(&mut self.started) {
            let why = [("reason", "the scenario is over".to_owned())];
            let route = format!("{}/{}", super::ROUTE, crate::cli::online::path(&name));
            if self.running()?.contains(&name) {
                self.online.delete(&route, &why)?;
                stopped.push(name);
            }
        }
        Ok(stopped)
    }

    /// Closes the mainstay and opens it again, as a restart does.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.vouched = self.vouched.max(self.online.head().map_err(Failed::into_message)?);
        let own = self.own.as_mut().ok_or("it needs a mainstay of its own")?;
        own.close();
        let (running, online) = open(&own.runtime, &own.config).map_err(Failed::into_message)?;
        own.running = Some(running);
        self.online = online;
        Ok(())
    }

    /// Closes the mainstay and looks whether everything is there that was ever acknowledged.
    pub(super) fn close(&mut self) -> Result<Option<Found>, String> {
        let head = self.online.head().map_err(Failed::into_message)?.max(self.vouched);
        let Some(own) = self.own.as_mut() else { return Ok(None) };
        own.close();
        let mut world = World::default();
        let mut events = Vec::new();
        let mut missing = std::mem::take(&mut self.acknowledged);
        let (from, mut names) = (self.from, Names::default());
        let mut meaning = |record: mainstay_journal::RecordRef<'_>| {
            let (kind, _) = record.kind_and_id();
            let event = AnyEvent::decode(kind, record.type_id, record.schema, record.payload);
            let name = event.map_err(|reason| reason.to_string())?.name();
            if record.position > from {
                if missing
                    .get(&record.position)
                    .is_some_and(|it| *it == (record.stream.to_owned(), name))
                {
                    missing.remove(&record.position);
                }
                events.push((name.to_owned(), names.of(record.stream)));
            }
            fold(&mut world, &record)
        };
        let options = VerifyOptions::default();
        let directory = &own.config.server.data;
        let report = mainstay_journal::verify(directory, &options, &mut |_, _| {}, &mut meaning);
        let report = report.map_err(|error| format!("the journal cannot be read: {error}"))?;
        let mut wrong: Vec<_> = report
            .findings
            .iter()
            .map(|it| format!("position {}: {}", it.position, it.text))
            .collect();
        if report.head.position < head {
            let end = report.head.position;
            wrong.push(format!("the journal ends at {end}, the server had told of {head}"));
        }
        for (position, (stream, name)) in missing {
            wrong.push(format!("the acknowledged {name} of {stream} is not at {position}"));
        }
        let total = report.head.position;
        events.retain(|(name, _)| !["WindowObserved", "LevelChanged"].contains(&name.as_str()));
        Ok(Some(Found { events, total, wrong }))
    }
}

impl Own {
    /// The mainstay.
    pub(super) fn stay(&self) -> Result<&Mainstay, String> {
        self.running.as_ref().map(|(stay, _)| stay).ok_or_else(|| "it does not run".to_owned())
    }

    fn close(&mut self) {
        if let Some((stay, server)) = self.running.take() {
            self.runtime.block_on(async {
                stay.host().drain();
                server.stop().await;
                stay.close().await;
            });
        }
    }

    /// Leaves the data directory where it is.
    pub(super) fn keep(mut self) -> std::path::PathBuf {
        self.close();
        self.data.disable_cleanup(true);
        self.data.path().to_path_buf()
    }
}

fn open(runtime: &Runtime, config: &Config) -> Result<((Mainstay, Server), Online), Failed> {
    let (stay, server) = runtime.block_on(async {
        let stay = Mainstay::open(config.clone()).await;
        let stay = stay.map_err(|error| Failed::work(error.to_string()))?;
        match Server::start(stay.host(), &stay.beside(), config, Named::default()).await {
            Ok(server) => Ok((stay, server)),
            Err(error) => {
                stay.close().await;
                Err(Failed::from(error))
            },
        }
    })?;
    let online = Online::keyless(&format!("http://{}", server.address()));
    Ok(((stay, server), online))
}

impl Lines {
    /// Where a line of the log has these words, from a place on; the place behind it.
    pub(super) fn find(&self, words: &str, from: usize) -> Option<usize> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(bytes.get(from..)?).into_owned();
        let at = text.find(words)?;
        Some(from + at + words.len())
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// For the next scenario.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Where an answer has this value: a JSON pointer.
pub(super) fn at<'v>(answer: &'v Value, pointer: &str) -> &'v Value {
    answer.pointer(pointer).unwrap_or(&Value::Null)
}
