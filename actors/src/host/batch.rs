//! Many commands in one message: the arbiter hands out all of them before it does anything else,
//! so that their events meet in as few group commits as the disk allows.
//!
//! ```text
//!   add, add, add ──► one message ──► every mailbox ──► events ──► one group, or two: the writer
//!    └─ an answer each                                             takes the first without waiting
//! ```

use actix::prelude::SendError;
use actix::{Handler, Message};
use mainstay_journal::StreamId;
use tokio::sync::oneshot;

use super::message::{Answered, Deliver, Failure, Meta};
use super::registry::{Reception, Registry};
use super::{Host, Hosted};
use crate::dependency::DependencyReject;

/// Commands that are sent together. Those to one entity keep their order.
#[derive(Default)]
pub struct Batch {
    parcels: Vec<Box<dyn Parcel>>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("commands", &self.parcels.len()).finish()
    }
}

/// A command of any kind.
trait Parcel: Send {
    fn deliver(self: Box<Self>, registry: &mut Registry);
}

impl<M: Hosted> Parcel for Deliver<M> {
    fn deliver(self: Box<Self>, registry: &mut Registry) {
        registry.deliver(*self);
    }
}

impl Batch {
    /// Adds a command; its answer comes once the batch was sent. At most [`super::Limits::mailbox`]
    /// commands wait for one entity.
    ///
    /// # Errors
    /// The answer's: see [`Failure`].
    pub fn add<M: Hosted>(
        &mut self,
        stream: StreamId,
        command: M::Command,
        meta: Meta,
    ) -> impl Future<Output = Answered<M>> + 'static + use<M> {
        let (reply_to, reply) = oneshot::channel();
        self.parcels.push(Box::new(Deliver::<M> { stream, command, meta, reply_to }));
        async { reply.await.unwrap_or(Err(Failure::Crashed)) }
    }
}

/// A batch on its way.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DeliverAll(Batch);

impl Handler<DeliverAll> for Reception {
    type Result = ();

    fn handle(&mut self, all: DeliverAll, _context: &mut Self::Context) {
        let mut registry = self.0.borrow_mut();
        for parcel in all.0.parcels {
            parcel.deliver(&mut registry);
        }
    }
}

impl Host {
    /// Sends a batch; each command is answered by itself, durable when its answer comes.
    ///
    /// # Errors
    /// The host is not ready or busy; nothing happened.
    pub fn send(&self, batch: Batch) -> Result<(), Failure<DependencyReject>> {
        self.doors()?.reception.try_send(DeliverAll(batch)).map_err(|refused| match refused {
            SendError::Full(_) => Failure::Busy("the host's mailbox"),
            SendError::Closed(_) => Failure::NotReady("the host has ended".to_owned()),
        })
    }
}
