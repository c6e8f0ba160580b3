//! What goes to an entity and what comes back.

use std::sync::Arc;

use actix::Message;
use mainstay_journal::{Cursor, Refusal, StreamId};
use tokio::sync::oneshot;

use crate::machine::Machine;

/// Who asks, and what ties the command to work outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Who asks.
    pub principal: Arc<str>,
    /// The idempotency key, already scoped by its principal, with a hash of the command's body.
    pub request: Option<(Arc<str>, u64)>,
    /// A trace id, or the caller's request id.
    pub correlation: Option<Arc<str>>,
    /// The record that made the command necessary.
    pub causation: Option<Cursor>,
    /// The entity's name was made this moment: it can have no record, and none is looked for.
    pub fresh: bool,
}

impl Meta {
    /// Of a principal, without request, correlation or cause.
    #[must_use]
    pub fn of(principal: &Arc<str>) -> Self {
        let principal = principal.clone();
        Self { principal, request: None, correlation: None, causation: None, fresh: false }
    }

    /// Because of a record.
    #[must_use]
    pub fn caused_by(mut self, cause: Cursor) -> Self {
        self.causation = Some(cause);
        self
    }
}

/// An answer and the durable place it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt<R> {
    /// What the machine answers.
    pub reply: R,
    /// The newest durable record of the entity when the answer left: the command's own last
    /// event, if it had any.
    pub at: Cursor,
}

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure<R: std::error::Error> {
    /// The machine refused it.
    #[error("{reason}")]
    Rejected {
        /// Why.
        reason: R,
        /// The durable place the refusal rests on.
        at: Cursor,
    },
    /// The idempotency key was used for another command.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// Recovery is not over, or the host is draining.
    #[error("not ready: {0}")]
    NotReady(String),
    /// A bounded queue is full; nothing happened.
    #[error("{0} is full")]
    Busy(&'static str),
    /// The journal did not take the event; nothing happened.
    #[error("{0}")]
    Refused(Refusal),
    /// The sync failed: the command may or may not have happened.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// The entity's history cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The entity panicked twice in a row; nobody asks it any more.
    #[error(
        "the entity crashed twice and is quarantined until the next start; the log has what it \
         crashed on"
    )]
    Quarantined,
    /// The entity panicked while this command was under way. What it panics on is not recorded; a
    /// request that waited may be.
    #[error("the entity crashed while this command was under way; retry it under the same key")]
    Crashed,
}

/// The outcome of a command on machine `M`.
pub type Answered<M> = Result<Receipt<<M as Machine>::Reply>, Failure<<M as Machine>::Reject>>;

/// Where an answer goes.
pub(crate) type ReplyTo<M> = oneshot::Sender<Answered<M>>;

/// A command on its way to an entity.
#[derive(Debug)]
pub(crate) struct Deliver<M: Machine> {
    pub(crate) stream: StreamId,
    pub(crate) command: M::Command,
    pub(crate) meta: Meta,
    pub(crate) reply_to: ReplyTo<M>,
}

impl<M: Machine> Message for Deliver<M> {
    type Result = ();
}

/// Answers, if somebody still listens.
pub(crate) fn answer<M: Machine>(reply_to: ReplyTo<M>, answered: Answered<M>) {
    // A caller that left has lost nothing: the event is in the journal.
    drop(reply_to.send(answered));
}
