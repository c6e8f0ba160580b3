//! From a closed journal to a host that takes commands.
//!
//! ```text
//!   open the journal ─► fold what came after the checkpoint ─► clock ─► views, timers
//!        └── progress ──┘                                                    │
//!     ready ◄─ erasures ◄─ configuration ◄─ leases extended ◄─ Booted ◄──────┘
//! ```
//!
//! A restart ends no lease: each is extended before its lock does anything else, the first ones
//! here, the others when they are asked for or their time comes. A restore ends all of them, and every
//! session, in the same way: see [`super::restore`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use mainstay_journal::{Cursor, EventLog, Sink, StreamId};
use smol_str::SmolStr;
use tokio::sync::{oneshot, watch};

use super::checkpoints::Checkpoints;
use super::clock::Clock;
use super::erasure::{Forgetting, SubjectKeys};
use super::gates::{GateKeeper, GatePost, Gates};
use super::loaded::Loaded;
use super::message::{Deliver, Failure, Meta};
use super::outbox::{Outbox, Settler, ToSettler};
use super::reactor::{Post, SessionLocks};
use super::recovery::{Facts, Recovered, recover};
use super::registry::{Reception, Registry, Shared, start};
use super::restore::Fence;
use super::supervisor::{Supervisor, watch_health};
use super::timers::Timers;
use super::views::{HEALTH, Hosted, Release, Views};
use super::{Doors, HostOptions, OpenLog, Readiness, StartError};
use crate::chaos::Chaos;
use crate::dependency::{Dependency, DependencyCommand, Settings};
use crate::gate::Board;
use crate::lock::{Lock, LockCommand};
use crate::machine::{Machine, Restart};
use crate::session::Session;
use crate::system::{System, SystemCommand};
use crate::time::Timestamp;

/// Opens the journal, recovers and starts every actor on the current arbiter.
pub(crate) async fn boot(
    open_log: OpenLog,
    options: HostOptions,
    readiness: &watch::Sender<Readiness>,
    board: Arc<Board>,
) -> Result<Doors, StartError> {
    let limits = options.limits;
    let outbox = Outbox::new(limits.in_flight);
    // Each message settles at least one append: it is never full.
    let settler = start(Settler(outbox.clone()), limits.in_flight + 1);
    let sink = ToSettler(settler.clone().recipient());
    let opening = Opening {
        open_log,
        checkpoint_events: limits.checkpoint_events,
        keys: options.subject_keys.clone(),
        readiness: readiness.clone(),
    };
    let (log, recovered) = opening.run(Box::new(sink)).await?;
    let Recovered { mut facts, sessions, orphaned, kept } = recovered;
    let unreadable = facts.unreadable;
    let (last_at, accept) = (facts.last_at, options.accept_clock);
    let clock = match options.wall {
        Some(wall) => Clock::start_at(wall, last_at, accept),
        None => Clock::start(last_at, accept),
    };
    let clock = clock.map_err(|error| error.to_string())?;

    let last_boot = facts.systems.get(BOOT).map_or(0, |loaded| loaded.state.boot);
    let fronts = board.clone();
    let gates = Gates::new(clock, last_boot + 1, board);
    let views = Views::new(gates.clone());
    let keys = views.borrow().keys.clone();
    let faults = views.borrow().faults.clone();
    let moves = views.borrow().moves.listening();
    faults.on_change(move |name, faulted| fronts.front(name).set_faulted(faulted));
    fill(&mut views.borrow_mut(), &mut facts, orphaned);
    outbox.open(log.clone(), views.clone(), Checkpoints::new(limits.checkpoint_events, kept));

    let timers = Rc::new(Timers::default());
    let shared = Shared::new(clock, outbox.clone(), timers.clone(), limits, options.seed);
    shared.restart.set(Restart { alive_at: facts.alive_at, booted_at: clock.now(), fence: None });
    shared.fence.set(facts.fence());
    let registry = Registry::new(shared.clone());
    let system = Internal { registry: registry.clone(), shared: shared.clone() };
    let work = hand_over(&shared, facts, &options.dependencies);
    timers.fill::<Session>(paced(shared.fence.get(), clock.now(), sessions));

    let version = options.version.clone();
    let booted = system.send::<System>(BOOT, SystemCommand::Boot { version }).await?;
    shared.boot.set(booted.0.boot);
    system.extend_leases(work.leases).await?;
    let vanished = if options.retire { work.vanished } else { Vec::new() };
    system.configure(vanished, options.dependencies).await?;
    let principal = shared.supervisor_principal.clone();
    let post = Post { registry: registry.clone(), principal };
    let subject_keys = options.subject_keys;
    let forgetting = Forgetting {
        views: views.clone(),
        post: post.clone(),
        keys: subject_keys,
        log: log.clone(),
        late: RefCell::default(),
    };
    forgetting.catch_up().await;
    forgetting.finish_late().await;
    views.borrow_mut().flush();

    actix::spawn(forgetting.run());
    actix::spawn(timers.clone().run(clock, registry.clone()));
    actix::spawn(SessionLocks { views: views.clone(), post }.run());
    actix::spawn(watch_health(views.clone(), registry.clone(), clock, options.recover_after_ms));
    let principal = Arc::from("system:gate");
    let keeper = GateKeeper { gates, post: GatePost { registry: registry.clone(), principal } };
    Ok(Doors {
        reception: start(Reception(registry.clone()), limits.doors),
        keeper: start(keeper, limits.doors),
        supervisor: start(
            Supervisor { views, shared, registry, recover_after_ms: options.recover_after_ms },
            SUPERVISOR_MAILBOX,
        ),
        settler,
        log,
        clock,
        limits,
        unreadable,
        keys,
        faults,
        moves,
    })
}

/// Questions that may wait for the supervisor.
const SUPERVISOR_MAILBOX: usize = 1_024;
/// Id of the stream with the starts.
const BOOT: &str = "boot";

/// What opens and folds the journal.
struct Opening {
    open_log: OpenLog,
    checkpoint_events: u64,
    keys: Arc<dyn SubjectKeys>,
    readiness: watch::Sender<Readiness>,
}

impl Opening {
    async fn run(self, sink: Box<dyn Sink>) -> Result<(Arc<dyn EventLog>, Recovered), StartError> {
        let Self { open_log, checkpoint_events, keys, readiness } = self;
        let work = move || {
            let log = open_log(sink)?;
            let recovered = recover(&*log, checkpoint_events, |done, total| {
                readiness.send_replace(Readiness::Recovering { done, total });
            })?;
            forget_again(&*keys, &recovered.facts)?;
            Ok((log, recovered))
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|panic| Err(format!("opening the journal panicked: {panic}").into()))
    }
}

/// Every erased subject's key is destroyed before anything is served, also one that came back with
/// an older file of keys.
fn forget_again(keys: &dyn SubjectKeys, facts: &Facts) -> Result<(), StartError> {
    for (tenant, subject) in facts.erased.subjects.keys().filter_map(|id| id.split_once('/')) {
        let destroyed = keys.destroy(tenant, subject);
        destroyed.map_err(|reason| format!("destroy the key of an erased subject: {reason}"))?;
    }
    Ok(())
}

fn fill(views: &mut Views, facts: &mut Facts, orphaned: BTreeSet<SmolStr>) {
    views.position = facts.head;
    views.erasures.recover(facts.head, std::mem::take(&mut facts.erased));
    if let Some(health) = facts.systems.get(HEALTH) {
        views.health = health.state.clone();
    }
    for (name, loaded) in &facts.dependencies {
        views.set_dependency(name, loaded.state.clone());
        let at = Cursor { epoch: loaded.epoch, position: loaded.head.position };
        views.dependency_at = views.dependency_at.max(at);
    }
    for (name, loaded) in &facts.keys {
        views.keys.put(name, &loaded.state);
    }
    for (name, loaded) in &facts.experiments {
        views.faults.put(name, &loaded.state);
    }
    for (name, state) in &facts.locks {
        if let Some(stream) = StreamId::new(Lock::KIND, name) {
            views.recover_lock(&stream, state.clone());
        }
    }
    let ended = orphaned.into_iter().map(|session| (facts.head, Release::Ended(session.into())));
    views.to_release.extend(ended);
}

/// What is to be done before commands are taken.
struct Work {
    /// Locks whose leases end soonest.
    leases: Vec<String>,
    /// Dependencies that vanished from the configuration.
    vanished: Vec<String>,
}

/// Hands the folded states over to entities and timers, and tells what they are owed.
fn hand_over(shared: &Shared, facts: Facts, configured: &BTreeMap<String, Settings>) -> Work {
    let restart = shared.restart.get();
    let owed = facts.locks.iter().filter(|(_, state)| Lock::recover(state, restart).is_some());
    let mut owed: Vec<_> = owed.map(|(name, state)| (Lock::deadline(state), name)).collect();
    owed.sort_unstable();
    let soonest = owed.into_iter().take(shared.limits.leases_at_start);
    let leases = soonest.map(|(_, name)| name.clone()).collect();
    let vanished = facts.dependencies.iter().filter(|(name, loaded)| {
        let from_file = loaded.state.settings.as_ref().is_some_and(|settings| settings.from_file);
        from_file && !loaded.state.retired && !configured.contains_key(*name)
    });
    let vanished = vanished.map(|(name, _)| name.clone()).collect();

    shared.timers.fill::<Lock>(Facts::deadlines::<Lock>(&facts.locks));
    let fenced = paced(facts.fence(), shared.clock.now(), facts.fenced());
    shared.timers.fill::<Lock>(fenced);
    let states = facts.dependencies.iter().map(|(name, loaded)| (name, &loaded.state));
    shared.timers.fill::<Dependency>(Facts::deadlines::<Dependency>(states));
    let states = facts.experiments.iter().map(|(name, loaded)| (name, &loaded.state));
    shared.timers.fill::<Chaos>(Facts::deadlines::<Chaos>(states));
    seed(shared, facts.systems);
    seed(shared, facts.dependencies);
    seed(shared, facts.keys);
    seed(shared, facts.experiments);
    Work { leases, vanished }
}

fn seed<M: Machine>(shared: &Shared, states: BTreeMap<String, Loaded<M>>) {
    for (id, loaded) in states {
        if let Some(stream) = StreamId::new(M::KIND, &id) {
            shared.seeds.put(stream, loaded);
        }
    }
}

/// So many entities a second say by themselves that a restore has ended what they held. Nobody sees it
/// as live until then, and who writes does not wait behind all of them.
const FENCED_IN_A_SECOND: u64 = 1_000;

/// Deadlines of a start; those that a fence has made due come one after the other.
fn paced(
    fence: Option<Fence>,
    now: Timestamp,
    deadlines: impl IntoIterator<Item = (Timestamp, StreamId)>,
) -> impl Iterator<Item = (Timestamp, StreamId)> {
    let mut fenced = 0;
    deadlines.into_iter().map(move |(at, stream)| {
        if fence.is_none_or(|fence| at > fence.at) {
            return (at, stream);
        }
        fenced += 1;
        (now.plus_us(fenced * 1_000_000 / FENCED_IN_A_SECOND), stream)
    })
}

/// Sends the supervisor's own commands and waits for them.
struct Internal {
    registry: Rc<RefCell<Registry>>,
    shared: Rc<Shared>,
}

impl Internal {
    async fn send<M: Hosted>(&self, id: &str, command: M::Command) -> Result<M::Reply, String> {
        self.send_all::<M>([(id, command)]).await?.pop().ok_or_else(|| "no answer".to_owned())
    }

    /// All at once, so that they share group commits.
    async fn send_all<'i, M: Hosted>(
        &self,
        commands: impl IntoIterator<Item = (&'i str, M::Command)>,
    ) -> Result<Vec<M::Reply>, String> {
        let mut replies = Vec::new();
        let mut waiting = Vec::new();
        for (id, command) in commands {
            let stream = StreamId::new(M::KIND, id).ok_or_else(|| format!("bad name {id:?}"))?;
            let (reply_to, reply) = oneshot::channel();
            let meta = Meta::of(&self.shared.supervisor_principal);
            self.registry.borrow_mut().deliver::<M>(Deliver { stream, command, meta, reply_to });
            waiting.push((id, reply));
            // Within the bound of the journal's queue.
            if waiting.len() == BATCH {
                settle::<M>(&mut waiting, &mut replies).await?;
            }
        }
        settle::<M>(&mut waiting, &mut replies).await?;
        Ok(replies)
    }

    /// Leases that were alive at the last journaled time get time to be renewed.
    async fn extend_leases(&self, locks: Vec<String>) -> Result<(), String> {
        let recover = LockCommand::Recover(self.shared.restart.get());
        let commands = locks.iter().map(|name| (name.as_str(), recover.clone()));
        self.send_all::<Lock>(commands).await.map(drop)
    }

    /// Applies the configuration: configures what it names, retires what vanished from it.
    async fn configure(
        &self,
        vanished: Vec<String>,
        dependencies: BTreeMap<String, Settings>,
    ) -> Result<(), String> {
        let retire = vanished.iter().map(|name| (name.as_str(), DependencyCommand::Retire));
        let configure = dependencies.iter().map(|(name, settings)| {
            (name.as_str(), DependencyCommand::Configure(Box::new(settings.clone())))
        });
        self.send_all::<Dependency>(retire.chain(configure)).await.map(drop)
    }
}

/// Commands of a start that are in flight together.
const BATCH: usize = 512;

type Waiting<'i, M> = Vec<(&'i str, oneshot::Receiver<super::message::Answered<M>>)>;

async fn settle<M: Machine>(
    waiting: &mut Waiting<'_, M>,
    replies: &mut Vec<M::Reply>,
) -> Result<(), String> {
    for (id, reply) in waiting.drain(..) {
        match reply.await.unwrap_or(Err(Failure::Crashed)) {
            Ok(receipt) => replies.push(receipt.reply),
            // One entity's trouble does not keep the others from starting.
            Err(failure @ (Failure::Unreadable(_) | Failure::Crashed | Failure::Quarantined)) => {
                tracing::error!(kind = M::KIND, id, %failure, "not recovered");
            },
            Err(failure) => return Err(format!("{}/{id}: {failure}", M::KIND)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fence_has_made_due_comes_one_after_the_other_and_nothing_else_waits() {
        let at = Timestamp::from_micros;
        let stream = |n: u64| StreamId::new(Session::KIND, &format!("default/{n}")).unwrap();
        let fence = Fence { position: 9, at: at(100) };
        let due = || [(at(100), stream(1)), (at(900), stream(2)), (at(70), stream(3))];
        let paced_at = |fence| paced(fence, at(500), due()).map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(paced_at(Some(fence)), [at(1_500), at(900), at(2_500)]);
        assert_eq!(paced_at(None), [at(100), at(900), at(70)]);
    }
}
