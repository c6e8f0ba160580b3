//! One life of an entity: from a fold of its stream to a refusal, a panic or the end.
//!
//! ```text
//!   decided ─► submitted 7 ── settled 5 ──► replies held for 6 and 7, in order
//!                     └ refused at 6: every held reply fails, the state is lost
//! ```

use std::collections::{HashMap, VecDeque};

use mainstay_journal::{Cursor, Head, Refusal, StreamId};

use super::alarm::Alarm;
use super::ledger::Ledger;
use super::loaded::{Loaded, freeze};
use super::message::{Answered, Failure, Meta, Receipt, ReplyTo, answer};
use super::views::Hosted;
use crate::machine::{Again, Answer, Restart};
use crate::planted::{self, Bug};
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
    /// Requests that are answered by a later decision, each with the append that made it wait.
    pub(super) waiting: HashMap<String, Vec<(u64, ReplyTo<M>)>>,
    pub(super) ledger: Ledger<M::Event>,
    /// The version at which the state was last kept in the store.
    pub(super) kept: u64,
    /// The restart that it has lived through, until that is made up for.
    pub(super) owed: Option<Restart>,
    /// When and how often the deadline queue wakes this entity.
    pub(super) alarm: Alarm,
    /// Why the state is not to be decided on any more; the next command folds anew.
    pub(super) lost: Option<Lost>,
}

pub(super) struct Held<M: Hosted> {
    after: u64,
    reply_to: ReplyTo<M>,
    result: Result<M::Reply, No<M::Reject>>,
}

/// What is no answer but rests on the state like one.
#[derive(Debug, Clone)]
pub(super) enum No<R> {
    Rejected(R),
    KeyReused,
}

/// Bytes of a snapshot that an event is worth: a large state is kept less often.
const BYTES_AN_EVENT: u64 = 256;
/// Events before a state that was too large is tried again.
const MAX_PAUSE: u64 = 4_096;

#[derive(Debug, Clone)]
pub(super) enum Lost {
    Refused(Refusal),
    Unknown(String),
    Unreadable,
}

impl Lost {
    /// What a held reply gets; `first` is the command that was refused, the others only came
    /// after it.
    fn failure<R: std::error::Error>(&self, first: bool) -> Failure<R> {
        match self {
            Self::Refused(Refusal::TooLarge(_)) if !first => Failure::Refused(Refusal::Superseded),
            Self::Refused(refusal) => Failure::Refused(refusal.clone()),
            Self::Unknown(reason) => Failure::OutcomeUnknown(reason.clone()),
            Self::Unreadable => Failure::Refused(Refusal::Superseded),
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
            kept: 0,
            owed: None,
            alarm: Alarm::default(),
            lost: None,
        }
    }
}

impl<M: Hosted> Entity<M> {
    pub(super) fn start(&mut self, loaded: Loaded<M>, owed: Restart) {
        let Loaded { state, head, epoch, ledger, kept } = loaded;
        self.owed = Some(owed);
        self.state = state;
        self.version = head.version;
        self.head = head;
        self.epoch = epoch;
        self.ledger = ledger;
        self.kept = kept;
    }

    /// The state with what was just applied, when it is time to keep it again: after so many events,
    /// or after as many as make a large one worth it.
    pub(super) fn snapshot(&mut self, every: u64) -> Option<Vec<u8>> {
        if self.version < self.kept.saturating_add(every) {
            return None;
        }
        let bytes = freeze::<M>(&self.state, self.epoch, &self.ledger);
        let worth = bytes.as_ref().map_or(MAX_PAUSE, |bytes| bytes.len() as u64 / BYTES_AN_EVENT);
        self.kept = self.version + worth.saturating_sub(every);
        bytes
    }

    pub(super) fn fold(
        &mut self,
        stream: &StreamId,
        events: &[M::Event],
    ) -> Result<(), Failure<M::Reject>> {
        for event in events {
            if let Err(illegal) = M::fold(&mut self.state, event) {
                tracing::error!(%stream, %illegal, "a decision contradicts its own machine");
                // What is in flight already stays true and settles its replies.
                self.lost = Some(Lost::Refused(Refusal::Superseded));
                return Err(Failure::Crashed);
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
            self.hold(reply_to, Err(No::KeyReused));
            return None;
        }
        match M::answer_again(&self.state, id, &entry.events, now) {
            Again::Decide => return Some(reply_to),
            Again::Reply(result) => self.hold(reply_to, result.map_err(No::Rejected)),
            Again::Waiting => self.wait(id, reply_to),
        }
        None
    }

    /// Replies when a later decision answers the request.
    pub(super) fn wait(&mut self, request: &str, reply_to: ReplyTo<M>) {
        let after = self.submitted;
        self.waiting.entry(request.to_owned()).or_default().push((after, reply_to));
    }

    /// Replies once everything submitted so far is durable; at once if it is.
    pub(super) fn hold(&mut self, reply_to: ReplyTo<M>, result: Result<M::Reply, No<M::Reject>>) {
        if self.submitted == self.settled || planted::has(Bug::ReplyBeforeDurable) {
            answer::<M>(reply_to, self.answered(result));
        } else {
            self.held.push_back(Held { after: self.submitted, reply_to, result });
        }
    }

    fn answered(&self, result: Result<M::Reply, No<M::Reject>>) -> Answered<M> {
        let at = Cursor { epoch: self.epoch, position: self.head.position };
        match result {
            Ok(reply) => Ok(Receipt { reply, at }),
            Err(No::Rejected(reason)) => Err(Failure::Rejected { reason, at }),
            Err(No::KeyReused) => Err(Failure::KeyReused),
        }
    }

    /// The append after the last settled one is durable.
    pub(super) fn durable(&mut self, epoch: u32, first: u64, count: u32, answers: Vec<Answer<M>>) {
        self.settled += 1;
        self.alarm.refusals = 0;
        self.epoch = epoch;
        self.head.version += u64::from(count);
        self.head.position = first + u64::from(count).saturating_sub(1);
        for Answer { request, reply } in answers {
            for (_, reply_to) in self.waiting.remove(&request).unwrap_or_default() {
                answer::<M>(reply_to, self.answered(reply.clone().map_err(No::Rejected)));
            }
        }
        while self.held.front().is_some_and(|held| held.after <= self.settled) {
            let Some(Held { reply_to, result, .. }) = self.held.pop_front() else { break };
            answer::<M>(reply_to, self.answered(result));
        }
    }

    /// Nothing decided on this state is true any more.
    pub(super) fn lose(&mut self, lost: Lost) {
        let refused = self.settled + 1;
        for held in self.held.drain(..) {
            answer::<M>(held.reply_to, Err(lost.failure(held.after == refused)));
        }
        for (after, reply_to) in self.waiting.drain().flat_map(|(_, waiting)| waiting) {
            // Its place in the queue is durable: only what came after it was refused.
            let still_waits = "the request still waits; retry it under the same Idempotency-Key";
            let failure = if after <= self.settled {
                Failure::OutcomeUnknown(still_waits.to_owned())
            } else {
                lost.failure(after == refused)
            };
            answer::<M>(reply_to, Err(failure));
        }
        self.lost.get_or_insert(lost);
    }
}
