//! From a closed journal to a host that takes commands.
//!
//! ```text
//!   open the journal ─► fold it ─► clock ─► views, timers ─► Booted ─► leases extended
//!        └── progress ──┘                                        └─► configuration ─► ready
//! ```
//!
//! The timers start after every live lease got its time to be renewed: a restart ends none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use mainstay_journal::{EventLog, Sink, StreamId};
use tokio::sync::{oneshot, watch};

use super::clock::Clock;
use super::gates::{GateKeeper, Gates};
use super::message::{Deliver, Failure, Meta};
use super::outbox::{MAX_IN_FLIGHT, Outbox, Settler, ToSettler};
use super::reactor::SessionLocks;
use super::recovery::{Recovered, SUPERVISOR, recover};
use super::registry::{RECEPTION_MAILBOX, Reception, Registry, Shared, start};
use super::supervisor::{Supervisor, watch_health};
use super::timers::Timers;
use super::views::{HEALTH, Hosted, Release, Views};
use super::{Doors, HostOptions, OpenLog, Readiness, StartError};
use crate::dependency::{Dependency, DependencyCommand, Settings};
use crate::lock::Lock;
use crate::machine::Machine;
use crate::session::Session;
use crate::system::{System, SystemCommand};

/// Opens the journal, recovers and starts every actor on the current arbiter.
pub(crate) async fn boot(
    open_log: OpenLog,
    options: HostOptions,
    readiness: &watch::Sender<Readiness>,
) -> Result<Doors, StartError> {
    let outbox = Outbox::new();
    // Each message settles at least one of at most MAX_IN_FLIGHT appends: it is never full.
    let settler = start(Settler(outbox.clone()), MAX_IN_FLIGHT + 1);
    let sink = ToSettler(settler.clone().recipient());
    let (log, recovered) = open(open_log, Box::new(sink), readiness.clone()).await?;
    let clock = Clock::start(recovered.last_at, options.accept_clock).map_err(|e| e.to_string())?;

    let last_boot = recovered.world.system.get(BOOT).map_or(0, |state| state.boot);
    let gates = Gates::new(clock, last_boot + 1);
    let views = Views::new(gates.clone());
    fill(&mut views.borrow_mut(), &recovered);
    outbox.open(log.clone(), views.clone());

    let timers = Rc::new(Timers::default());
    let shared = Shared::new(clock, outbox.clone(), timers.clone(), options.seed);
    let registry = Registry::new(shared.clone());
    let system = Internal { registry: registry.clone(), principal: Arc::from(SUPERVISOR) };

    let version = options.version.clone();
    let booted = system.send::<System>(BOOT, SystemCommand::Boot { version }).await?;
    shared.boot.set(booted.0.boot);
    recover_leases(&system, &recovered).await?;
    configure(&system, &recovered, options.dependencies).await?;
    schedule(&timers, &recovered);
    views.borrow_mut().flush();

    actix::spawn(timers.clone().run(clock, registry.clone()));
    let principal = system.principal;
    let reactor = SessionLocks { views: views.clone(), registry: registry.clone(), principal };
    actix::spawn(reactor.run());
    actix::spawn(watch_health(views.clone(), registry.clone(), clock, options.recover_after_ms));
    let principal = Arc::from("system:gate");
    let keeper = GateKeeper { gates, registry: registry.clone(), principal };
    Ok(Doors {
        reception: start(Reception(registry.clone()), RECEPTION_MAILBOX),
        keeper: start(keeper, super::gates::MAILBOX),
        supervisor: start(
            Supervisor { views, registry, timers, recover_after_ms: options.recover_after_ms },
            SUPERVISOR_MAILBOX,
        ),
        settler,
        log,
        clock,
        unreadable: recovered.unreadable,
    })
}

/// Questions that may wait for the supervisor.
const SUPERVISOR_MAILBOX: usize = 1_024;
/// Id of the stream with the starts.
const BOOT: &str = "boot";

async fn open(
    open_log: OpenLog,
    sink: Box<dyn Sink>,
    readiness: watch::Sender<Readiness>,
) -> Result<(Arc<dyn EventLog>, Recovered), StartError> {
    let work = move || {
        let log = open_log(sink)?;
        let recovered = recover(&*log, |done, total| {
            readiness.send_replace(Readiness::Recovering { done, total });
        })?;
        Ok((log, recovered))
    };
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(format!("opening the journal panicked: {panic}").into()))
}

fn fill(views: &mut Views, recovered: &Recovered) {
    views.position = recovered.head;
    if let Some(health) = recovered.world.system.get(HEALTH) {
        views.health = health.clone();
    }
    for (name, state) in &recovered.world.dependencies {
        views.set_dependency(name, state.clone());
    }
    for (name, state) in &recovered.world.locks {
        if let Some(stream) = StreamId::new(Lock::KIND, name) {
            views.recover_lock(&stream, state.clone());
        }
    }
    let head = recovered.head;
    let orphaned = recovered.orphaned().into_iter();
    views.to_release.extend(orphaned.map(|session| (head, Release::Ended(session))));
}

/// Sends the supervisor's own commands and waits for them.
struct Internal {
    registry: Rc<RefCell<Registry>>,
    principal: Arc<str>,
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
            let meta = Meta::of(&self.principal);
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
            Err(failure @ (Failure::Unreadable(_) | Failure::Crashed)) => {
                tracing::error!(kind = M::KIND, id, %failure, "not recovered");
            },
            Err(failure) => return Err(format!("{}/{id}: {failure}", M::KIND)),
        }
    }
    Ok(())
}

/// Leases that were alive at the last journaled time get time to be renewed.
async fn recover_leases(system: &Internal, recovered: &Recovered) -> Result<(), String> {
    let alive_at = recovered.alive_at;
    let locks = recovered.world.locks.iter();
    let commands =
        locks.filter_map(|(name, state)| Some((name.as_str(), Lock::recover(state, alive_at)?)));
    system.send_all::<Lock>(commands).await.map(drop)
}

/// Applies the configuration: configures what it names, retires what vanished from it.
async fn configure(
    system: &Internal,
    recovered: &Recovered,
    dependencies: BTreeMap<String, Settings>,
) -> Result<(), String> {
    let vanished = recovered.world.dependencies.iter().filter(|(name, state)| {
        let from_file = state.settings.as_ref().is_some_and(|settings| settings.from_file);
        from_file && !state.retired && !dependencies.contains_key(*name)
    });
    let retire = vanished.map(|(name, _)| (name.as_str(), DependencyCommand::Retire));
    let configure = dependencies.iter().map(|(name, settings)| {
        (name.as_str(), DependencyCommand::Configure(Box::new(settings.clone())))
    });
    system.send_all::<Dependency>(retire.chain(configure)).await.map(drop)
}

fn schedule(timers: &Timers, recovered: &Recovered) {
    for (at, stream) in Recovered::deadlines::<Session>(&recovered.world.sessions) {
        timers.schedule::<Session>(at, stream);
    }
    for (at, stream) in Recovered::deadlines::<Lock>(&recovered.world.locks) {
        timers.schedule::<Lock>(at, stream);
    }
    for (at, stream) in Recovered::deadlines::<Dependency>(&recovered.world.dependencies) {
        timers.schedule::<Dependency>(at, stream);
    }
}
