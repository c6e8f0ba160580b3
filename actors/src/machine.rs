//! The one trait of the domain.
//!
//! ```text
//!   command ──► decide(state, command, context) ──► Decision { events, answers, reply }
//!                         ▲                               │ append
//!                  fold(state, event) ◄───────────────────┘
//! ```
//!
//! Three kinds of no: a [`Machine::Reject`] is business, an [`Illegal`] is history that cannot
//! be, and errors of the journal belong to the host.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::codec::Payload;
use crate::time::Timestamp;

/// What a decision may know besides the state: time, ids and chance are arguments.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The moment of the decision.
    pub now: Timestamp,
    /// Uniform bits, for jitter; the same bits give the same decision.
    pub chance: u64,
    /// Which start of the server this is.
    pub boot: u64,
    /// Who asks.
    pub principal: &'a str,
    /// The retriable request behind the command, scoped by its principal.
    pub request: Option<&'a str>,
}

/// A pure state machine; the host gives it a stream, a mailbox and a clock.
pub trait Machine: fmt::Debug + Sized + 'static {
    /// First half of its streams' names.
    const KIND: &'static str;
    /// Raised with each change of the layout of `State`: snapshots of another one are not read.
    const LAYOUT: u16 = 1;
    /// What the fold of its stream gives; `Default` is a stream without records. In binary it is
    /// what snapshots hold: they are made again when its layout changes.
    type State: Clone + Default + fmt::Debug + PartialEq + Send + Data + 'static;
    /// An imperative: `Acquire`.
    type Command: fmt::Debug + Clone + Send + 'static;
    /// A past: `LeaseGranted`.
    type Event: Payload + Clone + fmt::Debug + PartialEq + Send + 'static;
    /// What a command answers.
    type Reply: Clone + fmt::Debug + PartialEq + Send + Serialize + 'static;
    /// A reason: `HeldByOther`.
    type Reject: Clone + fmt::Debug + PartialEq + Send + std::error::Error + Serialize + 'static;

    /// Rules on a command. One exhaustive match, illegal pairs last.
    ///
    /// # Errors
    /// The reason why the command is refused; nothing is recorded then.
    fn decide(
        state: &Self::State,
        command: Self::Command,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, Self::Reject>;

    /// Folds an event; live and replay share it. On an error the state is as it was before.
    ///
    /// # Errors
    /// [`Illegal`] when no decision could have led from this state to this event.
    fn fold(state: &mut Self::State, event: &Self::Event) -> Result<(), Illegal>;

    /// The state after an event.
    ///
    /// # Errors
    /// See [`Machine::fold`].
    fn apply(mut state: Self::State, event: &Self::Event) -> Result<Self::State, Illegal> {
        Self::fold(&mut state, event).map(|()| state)
    }

    /// The next moment at which time alone changes something.
    fn deadline(state: &Self::State) -> Option<Timestamp>;

    /// Whether nothing can happen any more: the host keeps no actor for it.
    fn is_over(_state: &Self::State) -> bool {
        false
    }

    /// The command of a due timer.
    fn due() -> Self::Command;

    /// The command that an entity gets before any other after a restart, if it needs one.
    fn recover(_state: &Self::State, _restart: Restart) -> Option<Self::Command> {
        None
    }

    /// What of an event is kept in memory so that a retried request finds its first answer: what
    /// [`Machine::answer_again`] looks at.
    fn remembered(event: &Self::Event) -> Self::Event {
        event.clone()
    }

    /// The first answer to a request, found again from the events it caused and the state as it
    /// is at `now`. What time alone has ended is over here too, swept or not.
    fn answer_again(
        state: &Self::State,
        request: &str,
        events: &[Self::Event],
        now: Timestamp,
    ) -> Again<Self>;
}

/// The restart that an entity has lived through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restart {
    /// The last journaled time before it: what was alive then gets time to come back.
    pub alive_at: Timestamp,
    /// When the server was back.
    pub booted_at: Timestamp,
    /// The journal was restored at this time, and the entity has had no event since: its leases and its
    /// session are over, for their holders may have lost them behind the fork.
    pub fence: Option<Timestamp>,
}

/// What a retried request gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Again<M: Machine> {
    /// The first answer.
    Reply(Result<M::Reply, M::Reject>),
    /// It still waits: its answer comes later.
    Waiting,
    /// Decide it as if it were new.
    Decide,
}

/// What a command leads to. The field order is the order of effects: events become durable, then
/// later answers go out, then this command's own reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<M: Machine> {
    /// What happened; all of it in one group commit. Empty for a no-op.
    pub events: Vec<M::Event>,
    /// Replies to earlier requests that waited for these events.
    pub answers: Vec<Answer<M>>,
    /// The reply to this command.
    pub reply: Reply<M>,
}

/// The reply to an earlier request, by its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<M: Machine> {
    /// The request that waited.
    pub request: String,
    /// What it gets.
    pub reply: Result<M::Reply, M::Reject>,
}

/// When a command is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<M: Machine> {
    /// As soon as the events are durable. A refusal may carry events too: it is audited.
    Now(Result<M::Reply, M::Reject>),
    /// By a later [`Answer`] to its request id.
    Deferred,
}

impl<M: Machine> Decision<M> {
    /// Nothing happens, and here is the answer.
    pub fn answer(reply: M::Reply) -> Self {
        Self::of(Vec::new(), reply)
    }

    /// These events, then this answer.
    pub fn of(events: Vec<M::Event>, reply: M::Reply) -> Self {
        Self { events, answers: Vec::new(), reply: Reply::Now(Ok(reply)) }
    }

    /// A refusal that leaves a trace.
    pub fn refuse(events: Vec<M::Event>, reason: M::Reject) -> Self {
        Self { events, answers: Vec::new(), reply: Reply::Now(Err(reason)) }
    }
}

/// History that cannot be: `verify` reports it with its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow: {reason}")]
pub struct Illegal {
    /// The event's name.
    pub event: &'static str,
    /// What it contradicts.
    pub reason: String,
}

impl Illegal {
    /// An event that the state does not allow.
    pub fn new(event: &'static str, reason: impl Into<String>) -> Self {
        Self { event, reason: reason.into() }
    }
}

/// What every payload struct is: plain data that serde can write and read.
pub trait Data: Serialize + DeserializeOwned {}
impl<T: Serialize + DeserializeOwned> Data for T {}
