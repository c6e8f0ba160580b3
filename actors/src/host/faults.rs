//! The faults that run, for whichever thread makes calls.
//!
//! ```text
//!   settled event ──put──► by dependency: [Running, …] ──► on_change(name, faulted)
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use mainstay_journal::StreamId;

use super::handle::Host;
use super::message::{Answered, Failure, Meta};
use crate::chaos::{
    Chaos, ChaosCommand, ChaosReject, ChaosState, EndCause, Experiment, Fault, Plan, Seen, Strike,
};
use crate::health::Level;
use crate::machine::Machine as _;
use crate::rate::Rate;
use crate::time::Timestamp;

/// A fault that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The experiment's name.
    pub name: String,
    /// What is done.
    pub fault: Fault,
    /// To which share of the calls.
    pub share: Rate,
    /// Which calls follows from it.
    pub seed: u64,
    /// Since when.
    pub started: Timestamp,
    /// When it ends by itself: no call is struck from then on, whether its end is journaled or not.
    pub until: Timestamp,
}

impl Running {
    /// What happens to the call of this number at `now`, if anything does.
    #[must_use]
    pub fn strikes(&self, call: u64, now: Timestamp) -> Option<Strike> {
        if now >= self.until {
            return None;
        }
        self.fault.strikes(self.share, self.seed, call, now, self.started)
    }
}

/// Experiments by name, and those that run by dependency; clones are the same board.
#[derive(Clone, Default)]
pub struct Faults {
    inside: Arc<Inside>,
}

type Hook = Box<dyn Fn(&str, bool) + Send + Sync>;

#[derive(Default)]
struct Inside {
    known: RwLock<Known>,
    hook: OnceLock<Hook>,
}

#[derive(Default)]
struct Known {
    by_name: BTreeMap<String, Experiment>,
    running: BTreeMap<String, Arc<[Running]>>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").field("active", &self.active()).finish_non_exhaustive()
    }
}

impl Faults {
    /// What runs against a dependency, by name; `None` if nothing does.
    #[must_use]
    pub fn for_dependency(&self, name: &str) -> Option<Arc<[Running]>> {
        self.read(|known| known.running.get(name).cloned())
    }

    /// The newest experiment of each name, over or not.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Experiment)> {
        self.read(|known| known.by_name.iter().map(|(n, it)| (n.clone(), it.clone())).collect())
    }

    /// The newest experiment of a name, over or not.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Experiment> {
        self.read(|known| known.by_name.get(name).cloned())
    }

    /// How many have not ended.
    #[must_use]
    pub fn active(&self) -> usize {
        self.read(|known| known.by_name.values().filter(|it| it.ended.is_none()).count())
    }

    /// Calls `hook` whenever a dependency gets its first fault or loses its last one. Only the
    /// first hook is taken; it runs on the host's thread, after the board tells the new truth.
    pub fn on_change(&self, hook: impl Fn(&str, bool) + Send + Sync + 'static) {
        drop(self.inside.hook.set(Box::new(hook)));
    }

    /// Takes an experiment's durable state.
    pub(crate) fn put(&self, name: &str, state: &ChaosState) {
        let Some(experiment) = state.last.clone() else { return };
        let mut changed = Vec::new();
        {
            let mut known = self.inside.known.write().unwrap_or_else(PoisonError::into_inner);
            let dependency = experiment.plan.dependency.clone();
            let before = known.by_name.insert(name.to_owned(), experiment);
            let before = before.map(|it| it.plan.dependency).filter(|it| *it != dependency);
            for dependency in before.into_iter().chain([dependency]) {
                changed.extend(known.renew(dependency));
            }
        }
        if let Some(hook) = self.inside.hook.get() {
            for (dependency, faulted) in changed {
                hook(&dependency, faulted);
            }
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.inside.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    /// Lists again what runs against a dependency; tells whether it is faulted if that changed.
    fn renew(&mut self, dependency: String) -> Option<(String, bool)> {
        let of_it = self
            .by_name
            .iter()
            .filter(|(_, it)| it.plan.dependency == dependency && it.ended.is_none());
        let running: Arc<[Running]> = of_it.map(|(name, it)| running(name, it)).collect();
        let faulted = !running.is_empty();
        let was_faulted = if faulted {
            self.running.insert(dependency.clone(), running).is_some()
        } else {
            self.running.remove(&dependency).is_some()
        };
        (faulted != was_faulted).then_some((dependency, faulted))
    }
}

fn running(name: &str, experiment: &Experiment) -> Running {
    let plan = &experiment.plan;
    Running {
        name: name.to_owned(),
        fault: plan.fault,
        share: plan.share,
        seed: plan.seed,
        started: experiment.started_at,
        until: experiment.until,
    }
}

impl Host {
    /// Starts an experiment for `for_ms`, if the level is at least `floor`. Nothing is recorded of
    /// one that is refused.
    ///
    /// # Errors
    /// The [`ChaosReject`], or see [`Failure`].
    pub async fn start_fault(
        &self,
        stream: StreamId,
        plan: Plan,
        for_ms: u64,
        floor: Level,
        meta: Meta,
    ) -> Answered<Chaos> {
        let health = self.ask_health::<ChaosReject>().await?;
        let configured = health.dependencies.iter().any(|it| it.name == plan.dependency);
        let seen = Seen { configured, level: health.level, floor };
        let start = ChaosCommand::Start { plan: Box::new(plan), for_ms, seen };
        self.ask::<Chaos>(stream, start, meta).await
    }

    /// Stops every experiment that runs; returns their names. What ended meanwhile is left out.
    ///
    /// # Errors
    /// The reason is out of range, or see [`Failure`]; those before it are stopped.
    pub async fn stop_faults(
        &self,
        reason: &str,
        meta: Meta,
    ) -> Result<Vec<String>, Failure<ChaosReject>> {
        let known = self.doors::<ChaosReject>()?.faults.all();
        let mut stopped = Vec::new();
        for (name, _) in known.into_iter().filter(|(_, it)| it.ended.is_none()) {
            let Some(stream) = StreamId::new(Chaos::KIND, &name) else { continue };
            let stop = ChaosCommand::Stop { reason: reason.to_owned(), all: true };
            let reply = self.ask::<Chaos>(stream, stop, meta.clone()).await?.reply;
            let cause = reply.0.and_then(|it| it.ended).map(|end| end.cause);
            if matches!(cause, Some(EndCause::StoppedAll { .. })) {
                stopped.push(name);
            }
        }
        Ok(stopped)
    }
}
