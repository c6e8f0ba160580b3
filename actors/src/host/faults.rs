//! The faults that run, for whichever thread makes calls.
//!
//! ```text
//!   settled event ──put──► by dependency: [Running, …] ──► on_change(name, faulted)
//!   a call of it  ──strike──► Struck, by its number since the start
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use mainstay_journal::StreamId;

use super::handle::Host;
use super::message::{Answered, Failure, Meta};
use crate::chaos::{
    Chaos, ChaosCommand, ChaosReject, ChaosState, EndCause, Experiment, Fault, Plan, Seen, Strike,
    check_reason,
};
use crate::health::Level;
use crate::machine::Machine as _;
use crate::rate::Rate;
use crate::time::Timestamp;

/// A fault that runs.
#[derive(Debug, Clone)]
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
    /// Calls since the start, in this process.
    calls: Arc<AtomicU64>,
}

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    /// What it is.
    pub strike: Strike,
    /// By which experiment: of several, the one that comes first by refusal, hang, error and the
    /// longest delay.
    pub experiment: String,
    /// Its fault, as it is told: `latency`, `errors`.
    pub fault: &'static str,
    started: Timestamp,
    until: Timestamp,
}

impl Running {
    /// What happens to the next call, if anything does.
    fn strike(&self, now: Timestamp) -> Option<Struck> {
        if now >= self.until {
            return None;
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let strike = self.fault.strikes(self.share, self.seed, call, now, self.started)?;
        let (started, until) = (self.started, self.until);
        Some(Struck {
            strike,
            experiment: self.name.clone(),
            fault: self.fault.name(),
            started,
            until,
        })
    }
}

impl Struck {
    /// Of two that strike the same call; delays add up.
    fn and(self, other: Self) -> Self {
        let rank = |it: &Self| match it.strike {
            Strike::Refuse => (3, 0),
            Strike::Hang => (2, 0),
            Strike::Fail => (1, 0),
            Strike::Delay { us } => (0, us),
        };
        let (first, second) =
            if rank(&other) > rank(&self) { (other, self) } else { (self, other) };
        match (first.strike, second.strike) {
            (Strike::Delay { us }, Strike::Delay { us: more }) => {
                Self { strike: Strike::Delay { us: us.saturating_add(more) }, ..first }
            },
            _ => first,
        }
    }

    /// How long its experiment goes on, in milliseconds.
    #[must_use]
    pub const fn left_ms(&self, now: Timestamp) -> u64 {
        self.until.ms_since(now)
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
    changed: Notify,
    ended: AtomicBool,
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

    /// What happens to the next call of a dependency at `now`, if anything does.
    #[must_use]
    pub fn strike(&self, dependency: &str, now: Timestamp) -> Option<Struck> {
        let running = self.for_dependency(dependency).filter(|_| !self.has_ended())?;
        running.iter().filter_map(|it| it.strike(now)).reduce(Struck::and)
    }

    /// Whether the experiment of a strike goes on.
    #[must_use]
    pub fn goes_on(&self, struck: &Struck) -> bool {
        !self.has_ended()
            && self
                .get(&struck.experiment)
                .is_some_and(|it| it.ended.is_none() && it.started_at == struck.started)
    }

    /// From now on nothing is struck, and who waits for a change goes on.
    pub(crate) fn end(&self) {
        self.inside.ended.store(true, Ordering::SeqCst);
        self.inside.changed.notify_waiters();
    }

    fn has_ended(&self) -> bool {
        self.inside.ended.load(Ordering::SeqCst)
    }

    /// Waits for a change; one after this call is not missed.
    pub fn changed(&self) -> Notified<'_> {
        self.inside.changed.notified()
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
        self.inside.changed.notify_waiters();
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
        let before = self.running.get(&dependency);
        let calls = |name: &str, it: &Experiment| {
            let same = |old: &&Running| old.name == name && old.started == it.started_at;
            before.and_then(|all| all.iter().find(same)).map(|it| it.calls.clone())
        };
        let running: Arc<[Running]> = of_it
            .map(|(name, it)| running(name, it, calls(name, it).unwrap_or_default()))
            .collect();
        let faulted = !running.is_empty();
        let was_faulted = if faulted {
            self.running.insert(dependency.clone(), running).is_some()
        } else {
            self.running.remove(&dependency).is_some()
        };
        (faulted != was_faulted).then_some((dependency, faulted))
    }
}

fn running(name: &str, experiment: &Experiment, calls: Arc<AtomicU64>) -> Running {
    let plan = &experiment.plan;
    Running {
        name: name.to_owned(),
        fault: plan.fault,
        share: plan.share,
        seed: plan.seed,
        started: experiment.started_at,
        until: experiment.until,
        calls,
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
    /// The first that was not stopped: the reason is out of range, or see [`Failure`]. All others
    /// are stopped.
    pub async fn stop_faults(
        &self,
        reason: &str,
        meta: Meta,
    ) -> Result<Vec<String>, Failure<ChaosReject>> {
        let doors = self.doors::<ChaosReject>()?;
        // Also where nothing runs.
        check_reason(reason)
            .map_err(|reason| Failure::Rejected { reason, at: doors.log.head() })?;
        let known = doors.faults.all();
        let (mut stopped, mut failed) = (Vec::new(), None);
        for (name, _) in known.into_iter().filter(|(_, it)| it.ended.is_none()) {
            let Some(stream) = StreamId::new(Chaos::KIND, &name) else { continue };
            let stop = ChaosCommand::Stop { reason: reason.to_owned(), all: true };
            match self.ask::<Chaos>(stream, stop, meta.clone()).await {
                Ok(answer) => {
                    let cause = answer.reply.0.and_then(|it| it.ended).map(|end| end.cause);
                    if matches!(cause, Some(EndCause::StoppedAll { .. })) {
                        stopped.push(name);
                    }
                },
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(stopped), Err)
    }
}
