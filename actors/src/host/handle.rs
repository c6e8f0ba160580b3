//! The handle: the way into a running host, from any thread.

mod callers;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use actix::prelude::SendError;
use actix::{Arbiter, ArbiterHandle, System};
use mainstay_journal::{EventLog, StreamId};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::erasure::FollowErasure;
use super::follow::{Follow, LeaseEnd};
use super::message::{self, Answered, Failure, Meta};
use super::outbox::Flush;
use super::supervisor::{self, HealthView, Occupancy};
use super::ticks::Ticks;
use super::{
    Doors, Faults, HostOptions, Hosted, Keys, Limits, Moves, OpenLog, Readiness, StartError, boot,
};
use crate::dependency::{DependencyReject, DependencyState};
use crate::gate::Board;
use crate::lock::{LockReject, LockState};
use crate::subject::SubjectReject;
use crate::time::Timestamp;

struct Inside {
    doors: OnceLock<Doors>,
    readiness: watch::Sender<Readiness>,
    arbiter: OnceLock<ArbiterHandle>,
    closed: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    board: Arc<Board>,
    runtime: OnceLock<Handle>,
    ticks: OnceLock<Ticks>,
    /// There are callers in this process.
    called: AtomicBool,
}

/// A handle to a running host; clone it freely, use it from any thread.
#[derive(Clone)]
pub struct Host {
    inside: Arc<Inside>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("readiness", &*self.inside.readiness.borrow()).finish()
    }
}

impl Host {
    /// Starts a host on a thread of its own, with its own actix System, and returns at once; see
    /// [`Host::ready`].
    ///
    /// # Errors
    /// The thread or its runtime cannot be started.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the panic is on the new thread, and an error here"
    )]
    pub fn open(open_log: OpenLog, options: HostOptions) -> std::io::Result<Self> {
        let host = Self::new();
        let running = host.clone();
        let mut closed = host.inside.closed.subscribe();
        let (up, is_up) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            let system = System::with_tokio_rt(|| {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                builder.enable_all().max_blocking_threads(BLOCKING_THREADS);
                #[expect(clippy::expect_used, reason = "fails the start: see `Errors`")]
                builder.build().expect("start the host's runtime")
            });
            system.block_on(async move {
                drop(running.inside.arbiter.set(Arbiter::current()));
                drop(running.inside.runtime.set(Handle::current()));
                let _ = up.send(());
                running.start(open_log, options).await;
                running.start_ticks();
                // Ends when every handle is gone, too: this one goes now.
                drop(running);
                drop(closed.wait_for(|closed| *closed).await);
            });
        };
        let thread = std::thread::Builder::new().name("mainstay-host".to_owned()).spawn(work)?;
        *host.inside.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        is_up.recv().map_err(|_| std::io::Error::other("the host's thread did not start"))?;
        Ok(host)
    }

    /// Starts a host on the current arbiter: for tests and simulations on a paused clock.
    pub async fn open_here(open_log: OpenLog, options: HostOptions) -> Self {
        let host = Self::new();
        drop(host.inside.arbiter.set(Arbiter::current()));
        host.start(open_log, options).await;
        host
    }

    fn new() -> Self {
        let inside = Inside {
            doors: OnceLock::new(),
            readiness: watch::Sender::new(Readiness::Opening),
            arbiter: OnceLock::new(),
            closed: watch::Sender::new(false),
            board: Board::new(),
            runtime: OnceLock::new(),
            ticks: OnceLock::new(),
            called: AtomicBool::new(false),
            thread: Mutex::default(),
        };
        Self { inside: Arc::new(inside) }
    }

    async fn start(&self, open_log: OpenLog, options: HostOptions) {
        let readiness =
            match boot::boot(open_log, options, &self.inside.readiness, self.inside.board.clone())
                .await
            {
                Ok(doors) => {
                    drop(self.inside.doors.set(doors));
                    Readiness::Ready
                },
                Err(error) => error.told(),
            };
        self.inside.readiness.send_replace(readiness);
    }

    /// Waits until commands are taken.
    ///
    /// # Errors
    /// Why the start failed.
    pub async fn ready(&self) -> Result<(), StartError> {
        let mut readiness = self.inside.readiness.subscribe();
        let settled = readiness
            .wait_for(|now| matches!(now, Readiness::Ready | Readiness::Failed { .. }))
            .await;
        match settled.as_deref() {
            Ok(Readiness::Failed { reason, cause }) => Err(StartError::of(*cause, reason)),
            Ok(_) => Ok(()),
            Err(_) => Err(StartError::Refused("the host has ended".to_owned())),
        }
    }

    /// How far the host is.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.inside.readiness.borrow().clone()
    }

    /// Recovery is over, and every configured dependency has its gate.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.inside.doors.get().is_some()
    }

    /// Follows how far the host is.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Readiness> {
        self.inside.readiness.subscribe()
    }

    /// Runs a closure on the host's arbiter, inside its actix System.
    ///
    /// # Errors
    /// The host has ended.
    pub fn run_inside(&self, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let ran = self.inside.arbiter.get().is_some_and(|arbiter| arbiter.spawn_fn(work));
        if ran { Ok(()) } else { Err("the host has ended".to_owned()) }
    }

    pub(super) fn doors<R: std::error::Error>(&self) -> Result<&Doors, Failure<R>> {
        let not_ready = || Failure::NotReady(self.readiness().to_string());
        if *self.inside.readiness.borrow() != Readiness::Ready {
            return Err(not_ready());
        }
        self.inside.doors.get().ok_or_else(not_ready)
    }

    /// Sends a command to an entity; the answer is durable when it comes.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn ask<M: Hosted>(
        &self,
        stream: StreamId,
        command: M::Command,
        meta: Meta,
    ) -> Answered<M> {
        let doors = self.doors()?;
        let (reply_to, reply) = oneshot::channel();
        let message = message::Deliver::<M> { stream, command, meta, reply_to };
        doors.reception.try_send(message).map_err(|refused| match refused {
            SendError::Full(_) => Failure::Busy("the host's mailbox"),
            SendError::Closed(_) => Failure::NotReady("the host has ended".to_owned()),
        })?;
        reply.await.unwrap_or(Err(Failure::Crashed))
    }

    /// The global health.
    ///
    /// # Errors
    /// The host is not ready.
    pub async fn health(&self) -> Result<HealthView, Failure<DependencyReject>> {
        self.ask_health().await
    }

    pub(super) async fn ask_health<R: std::error::Error>(&self) -> Result<HealthView, Failure<R>> {
        let asked = self.doors()?.supervisor.send(supervisor::AskHealth).await;
        asked.map_err(|_| Failure::Busy("the supervisor's mailbox"))
    }

    /// One dependency's durable state.
    ///
    /// # Errors
    /// The host is not ready.
    pub async fn dependency(
        &self,
        name: &str,
    ) -> Result<Option<DependencyState>, Failure<DependencyReject>> {
        let ask = supervisor::AskDependency(name.to_owned());
        let asked = self.doors()?.supervisor.send(ask).await;
        asked.map_err(|_| Failure::Busy("the supervisor's mailbox"))
    }

    /// Locks with a lease or a waiter, by name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The host is not ready.
    pub async fn held_locks(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, LockState)>, Failure<DependencyReject>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        let ask = supervisor::AskLocks { prefix, after, limit };
        let asked = self.doors()?.supervisor.send(ask).await;
        asked.map_err(|_| Failure::Busy("the supervisor's mailbox"))
    }

    /// Tells once how a lease ends. Of a lease that is not live now nothing is told: the receiver
    /// is closed.
    ///
    /// # Errors
    /// The host is not ready.
    pub async fn follow_lease(
        &self,
        lock: StreamId,
        token: u64,
    ) -> Result<oneshot::Receiver<LeaseEnd>, Failure<LockReject>> {
        let (tell, told) = oneshot::channel();
        let asked = self.doors()?.supervisor.send(Follow { lock, token, tell }).await;
        asked.map_err(|_| Failure::Busy("the supervisor's mailbox"))?;
        Ok(told)
    }

    /// Tells once when the erasure of a subject is finished: its key is destroyed and its sessions
    /// are over. If it is already, or there is none, the receiver is closed.
    ///
    /// # Errors
    /// The host is not ready.
    pub async fn follow_erasure(
        &self,
        subject: StreamId,
    ) -> Result<oneshot::Receiver<()>, Failure<SubjectReject>> {
        let (tell, told) = oneshot::channel();
        let asked = self.doors()?.supervisor.send(FollowErasure { subject, tell }).await;
        asked.map_err(|_| Failure::Busy("the supervisor's mailbox"))?;
        Ok(told)
    }

    /// How full the host is.
    ///
    /// # Errors
    /// The host is not ready.
    pub async fn occupancy(&self) -> Result<Occupancy, Failure<DependencyReject>> {
        let asked = self.doors()?.supervisor.send(supervisor::AskOccupancy).await;
        asked.map_err(|_| Failure::Busy("the supervisor's mailbox"))
    }

    /// Every bound; the defaults before it is ready.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.inside.doors.get().map_or_else(Limits::default, |doors| doors.limits)
    }

    /// The journal, once it is open.
    #[must_use]
    pub fn log(&self) -> Option<Arc<dyn EventLog>> {
        self.inside.doors.get().map(|doors| doors.log.clone())
    }

    /// Now, by the host's clock; `None` before it is ready.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.inside.doors.get().map(|doors| doors.clock.now())
    }

    /// Every access key; `None` before it is ready.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.inside.doors.get().map(|doors| &doors.keys)
    }

    /// Every experiment, and the faults that run; `None` before it is ready.
    #[must_use]
    pub fn faults(&self) -> Option<&Faults> {
        self.inside.doors.get().map(|doors| &doors.faults)
    }

    /// Listens to the moves of breakers from now on; `None` before it is ready and after its end.
    #[must_use]
    pub fn moves(&self) -> Option<Moves> {
        self.inside.doors.get()?.moves.listen()
    }

    /// Events that recovery could not fold.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.inside.doors.get().map_or(0, |doors| doors.unreadable)
    }

    /// Refuses new commands from now on; what is under way still settles.
    pub fn drain(&self) {
        self.inside.readiness.send_if_modified(|now| {
            let was_ready = *now == Readiness::Ready;
            if was_ready {
                *now = Readiness::Draining;
            }
            was_ready
        });
    }

    /// Drains, closes the journal and ends the host's thread; the data directory is free then.
    pub async fn close(self) {
        self.drain();
        self.inside.board.end();
        if let Some(faults) = self.faults() {
            faults.end();
        }
        if let Some(log) = self.log() {
            beside(move || log.close()).await;
        }
        if let Some(doors) = self.inside.doors.get() {
            // The last groups are on their way to their replies.
            let _ = doors.settler.send(Flush).await;
        }
        self.inside.closed.send_replace(true);
        let thread = self.inside.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            beside(move || drop(thread.join())).await;
        }
    }
}

/// Waits for blocking work without blocking the executor, of whatever kind it is.
async fn beside(work: impl FnOnce() + Send + 'static) {
    let (done, is_done) = oneshot::channel();
    let work = move || {
        work();
        // Nobody waits any more: nothing to tell.
        let _ = done.send(());
    };
    // If there is no thread to be had, the work is not done; its owner ends it when it is dropped.
    drop(std::thread::Builder::new().name("mainstay-closing".to_owned()).spawn(work));
    drop(is_done.await);
}

/// Threads that read the journal for the arbiter, at most.
const BLOCKING_THREADS: usize = 4;
