//! One life of an entity: from a fold of its stream to a refusal, a panic or the end.
//!
//! ```text
//!   decided ─► submitted 7 ── settled 5 ──► replies held for 6 and 7, in order
//!                     └ refused at 6: every held reply fails, the state is lost
//! ```

use std::collections::{HashMap, VecDeque};

use mainstay_journal::{Cursor, Head, Refusal, StreamId};

use super::ledger::Ledger;
use super::load::Loaded;
use super::message::{Answered, Failure, Meta, Receipt, ReplyTo, answer};
use super::views::Hosted;
use crate::machine::{Again, Answer};
use crate::time::Timestamp;

/// One life of an entity: from a fold of its stream to a refusal, a panic or the end.
pub(crate) struct Entity<M: Hosted> {
    pub(super) activation: u64,
    /// Includes events that are not durable yet: only `decide` looks at it.
    pub(super) state: M::State,
    /// Version and position of the newest durable record.
    pub(super) head: Head,
    pub(super) epoch: u32,
    /// Version including what is in flight.
    pub(super) version: u64,
    pub(super) submitted: u64,
    pub(super) settled: u64,
    /// Replies in order, each with the append it waits for.
    pub(super) held: VecDeque<Held<M>>,
    /// Requests that are answered by a later decision.
    pub(super) waiting: HashMap<String, Vec<ReplyTo<M>>>,
    pub(super) ledger: Ledger<M::Event>,
    /// The earliest entry of this entity in the deadline queue.
    pub(super) timer: Option<Timestamp>,
    /// Why the state is not to be decided on any more; the next command folds anew.
    pub(super) lost: Option<Lost>,
}

pub(super) struct Held<M: Hosted> {
    after: u64,
    reply_to: ReplyTo<M>,
    result: Result<M::Reply, M::Reject>,
}

#[derive(Debug, Clone)]
pub(super) enum Lost {
    Refused(Refusal),
    Unknown(String),
}

impl Lost {
    fn failure<R: std::error::Error>(&self) -> Failure<R> {
        match self {
            Self::Refused(refusal) => Failure::Refused(refusal.clone()),
            Self::Unknown(reason) => Failure::OutcomeUnknown(reason.clone()),
        }
    }
}

impl<M: Hosted> Default for Entity<M> {
    fn default() -> Self {
        Self {
            activation: 0,
            state: M::State::default(),
            head: Head::default(),
            epoch: 0,
            version: 0,
            submitted: 0,
            settled: 0,
            held: VecDeque::new(),
            waiting: HashMap::new(),
            ledger: Ledger::default(),
            timer: None,
            lost: None,
        }
    }
}

impl<M: Hosted> Entity<M> {
    pub(super) fn start(&mut self, loaded: Loaded<M>) {
        let Loaded { state, head, epoch, ledger } = loaded;
        self.state = state;
        self.version = head.version;
        self.head = head;
        self.epoch = epoch;
        self.ledger = ledger;
    }

    pub(super) fn fold(
        &mut self,
        stream: &StreamId,
        events: &[M::Event],
    ) -> Result<(), Failure<M::Reject>> {
        for event in events {
            match M::apply(std::mem::take(&mut self.state), event) {
                Ok(next) => self.state = next,
                Err(illegal) => {
                    tracing::error!(%stream, %illegal, "a decision contradicts its own machine");
                    // What is in flight already stays true and settles its replies.
                    self.lost = Some(Lost::Refused(Refusal::Superseded));
                    return Err(Failure::Crashed);
                },
            }
        }
        Ok(())
    }

    /// Answers a retried request from the ledger; gives the caller back if it is a new one.
    pub(super) fn remembered(
        &mut self,
        meta: &Meta,
        now: Timestamp,
        reply_to: ReplyTo<M>,
    ) -> Option<ReplyTo<M>> {
        let Some((id, fingerprint)) = &meta.request else { return Some(reply_to) };
        let Some(entry) = self.ledger.find(id, now) else { return Some(reply_to) };
        if entry.fingerprint != *fingerprint {
            answer::<M>(reply_to, Err(Failure::KeyReused));
            return None;
        }
        match M::answer_again(&self.state, id, &entry.events, now) {
            Again::Decide => return Some(reply_to),
            Again::Reply(result) => self.hold(reply_to, result),
            Again::Waiting => self.waiting.entry(id.to_string()).or_default().push(reply_to),
        }
        None
    }

    /// Replies once everything submitted so far is durable; at once if it is.
    pub(super) fn hold(&mut self, reply_to: ReplyTo<M>, result: Result<M::Reply, M::Reject>) {
        if self.submitted == self.settled {
            answer::<M>(reply_to, self.answered(result));
        } else {
            self.held.push_back(Held { after: self.submitted, reply_to, result });
        }
    }

    fn answered(&self, result: Result<M::Reply, M::Reject>) -> Answered<M> {
        let at = Cursor { epoch: self.epoch, position: self.head.position };
        match result {
            Ok(reply) => Ok(Receipt { reply, at }),
            Err(reason) => Err(Failure::Rejected { reason, at }),
        }
    }

    /// The append after the last settled one is durable.
    pub(super) fn durable(&mut self, epoch: u32, first: u64, count: u32, answers: Vec<Answer<M>>) {
        self.settled += 1;
        self.epoch = epoch;
        self.head.version += u64::from(count);
        self.head.position = first + u64::from(count).saturating_sub(1);
        for Answer { request, reply } in answers {
            for reply_to in self.waiting.remove(&request).unwrap_or_default() {
                answer::<M>(reply_to, self.answered(reply.clone()));
            }
        }
        while self.held.front().is_some_and(|held| held.after <= self.settled) {
            let Some(Held { reply_to, result, .. }) = self.held.pop_front() else { break };
            answer::<M>(reply_to, self.answered(result));
        }
    }

    /// Nothing decided on this state is true any more.
    pub(super) fn lose(&mut self, lost: Lost) {
        for held in self.held.drain(..) {
            answer::<M>(held.reply_to, Err(lost.failure()));
        }
        for reply_to in self.waiting.drain().flat_map(|(_, waiting)| waiting) {
            answer::<M>(reply_to, Err(lost.failure()));
        }
        self.lost.get_or_insert(lost);
    }
}
