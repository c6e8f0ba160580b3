//! Appends on their way to the disk, in order, and what waits for each.
//!
//! ```text
//!   entity ──submit──► log ──► writer ──► sync ──► Settled{outcomes} (one message per group)
//!      └──push pending──► [ p1 p2 p3 p4 … ]  ◄── pop in the same order, settle, reply
//! ```
//!
//! Everything here runs on the host's arbiter; a wake-up per reply would cost more than the reply.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, Recipient};
use mainstay_journal::{Append, EventLog, Outcome, Sink};
use tokio::sync::Notify;

use super::checkpoints::Checkpoints;
use super::views::Views;

/// What waits for an append.
pub(crate) trait Pending {
    /// The append has this outcome. Publishes facts to `views`, then replies.
    fn settle(self: Box<Self>, epoch: u32, outcome: Outcome, views: &mut Views);
}

/// The journal, and who follows what becomes durable in it.
struct Opened {
    log: Arc<dyn EventLog>,
    views: Rc<RefCell<Views>>,
    checkpoints: Checkpoints,
}

/// The queue of pending appends; shared on the arbiter.
pub(crate) struct Outbox {
    opened: OnceCell<Opened>,
    pending: RefCell<VecDeque<Box<dyn Pending>>>,
    submitted: Cell<u64>,
    settled: Cell<u64>,
    durable: Cell<u64>,
    epoch: Cell<u32>,
    progressed: Notify,
    bound: usize,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (submitted, settled) = (self.submitted.get(), self.settled.get());
        f.debug_struct("Outbox")
            .field("submitted", &submitted)
            .field("settled", &settled)
            .finish_non_exhaustive()
    }
}

impl Outbox {
    /// Takes at most `bound` appends at once: as many as the writer's channel holds.
    pub(crate) fn new(bound: usize) -> Rc<Self> {
        Rc::new(Self {
            opened: OnceCell::new(),
            pending: RefCell::default(),
            submitted: Cell::new(0),
            settled: Cell::new(0),
            durable: Cell::new(0),
            epoch: Cell::new(0),
            progressed: Notify::new(),
            bound,
        })
    }

    /// Gives the outbox its journal and who follows what becomes durable in it.
    pub(crate) fn open(
        &self,
        log: Arc<dyn EventLog>,
        views: Rc<RefCell<Views>>,
        checkpoints: Checkpoints,
    ) {
        self.durable.set(log.head().position);
        self.epoch.set(log.head().epoch);
        checkpoints.consider(log.head().position, &log);
        drop(self.opened.set(Opened { log, views, checkpoints }));
    }

    /// The journal, once it is open.
    pub(crate) fn log(&self) -> Option<&Arc<dyn EventLog>> {
        self.opened.get().map(|opened| &opened.log)
    }

    /// Everything up to here is durable, and settled with its entity.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.get()
    }

    /// Appends on their way to the disk.
    pub(crate) fn in_flight(&self) -> usize {
        self.pending.borrow().len()
    }

    /// The journal's epoch; 0 before it is open.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    /// Whether one more append is taken.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.borrow().len() < self.bound
    }

    /// Hands an append to the writer; `pending` is settled with its outcome.
    /// False if the journal is closed or its queue is full; nothing was sent then.
    #[must_use]
    pub(crate) fn submit(&self, append: Append, pending: Box<dyn Pending>) -> bool {
        if self.log().is_none_or(|log| log.submit(append).is_err()) {
            return false;
        }
        self.pending.borrow_mut().push_back(pending);
        self.submitted.set(self.submitted.get() + 1);
        true
    }

    /// Waits until everything that was submitted before this call is settled.
    pub(crate) async fn settled(self: Rc<Self>) {
        let target = self.submitted.get();
        while self.settled.get() < target {
            // One thread: no group can settle between the check and the wait.
            self.progressed.notified().await;
        }
    }

    fn settle(&self, epoch: u32, outcomes: Vec<Outcome>) {
        let Some(Opened { log, views, checkpoints }) = self.opened.get() else { return };
        let count = outcomes.len() as u64;
        self.epoch.set(epoch);
        for outcome in outcomes {
            let Some(pending) = self.pending.borrow_mut().pop_front() else {
                tracing::error!("the journal settled an append that was never submitted");
                break;
            };
            if let Outcome::Committed { first, count } = &outcome {
                self.durable.set(first + u64::from(*count) - 1);
            }
            pending.settle(epoch, outcome, &mut views.borrow_mut());
        }
        self.settled.set(self.settled.get() + count);
        self.progressed.notify_waiters();
        views.borrow_mut().flush();
        checkpoints.consider(self.durable.get(), log);
    }
}

/// Receives settled groups on the arbiter.
#[derive(Debug)]
pub(crate) struct Settler(pub(crate) Rc<Outbox>);

impl Actor for Settler {
    type Context = Context<Self>;
}

/// One group's outcomes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Settled {
    epoch: u32,
    outcomes: Vec<Outcome>,
}

impl Handler<Settled> for Settler {
    type Result = ();

    fn handle(&mut self, group: Settled, _context: &mut Self::Context) {
        self.0.settle(group.epoch, group.outcomes);
    }
}

/// Answered when every group that was sent before it is settled.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Flush;

impl Handler<Flush> for Settler {
    type Result = ();

    fn handle(&mut self, _flush: Flush, _context: &mut Self::Context) {}
}

/// The journal's side of the settler.
pub(crate) struct ToSettler(pub(crate) Recipient<Settled>);

impl Sink for ToSettler {
    fn group(&mut self, epoch: u32, outcomes: Vec<Outcome>) {
        if self.0.try_send(Settled { epoch, outcomes }).is_err() {
            tracing::debug!("the host is gone; a group of the journal has no listener");
        }
    }
}
