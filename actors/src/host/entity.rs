//! The one actor that runs every machine.
//!
//! ```text
//!   command ─► ledger? ─► decide(state) ─► apply ─► submit ─► held replies … durable ─► reply
//!                            ▲   │
//!                            └───┘ the next command is decided before the last one is durable
//! ```
//!
//! It **pipelines**: it decides on the state that includes its own undurable events, and holds
//! every reply, refusals and no-ops too, until the newest event it was decided on is durable. Once
//! an append is refused, that state never came to be: it is dropped, every held reply fails, and
//! the next command folds from the journal.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use mainstay_journal::{
    Append, Cursor, Draft, Envelope, Outcome, Refusal, Request, Seen, Snapshot, StreamId,
};

use super::alarm::{look_again, schedule};
use super::life::{Entity, Lost, No};
use super::loaded::{Loaded, load};
use super::message::{Deliver, Failure, Meta, ReplyTo, answer};
use super::outbox::Pending;
use super::registry::Shared;
use super::residents::Mail;
use super::views::{Hosted, Views};
use crate::codec::Payload;
use crate::machine::{self, Answer, Decision, Reply};
use crate::time::Timestamp;

/// The actor. Its state is shared with its pending appends, which settle it on this arbiter.
pub(crate) struct EntityActor<M: Hosted> {
    stream: StreamId,
    shared: Rc<Shared>,
    entity: Rc<RefCell<Entity<M>>>,
    mail: Rc<Mail>,
    succeeds: bool,
}

impl<M: Hosted> EntityActor<M> {
    /// `succeeds`: an earlier actor of this stream crashed, and its events may be in flight.
    pub(crate) fn new(
        stream: StreamId,
        shared: Rc<Shared>,
        mail: Rc<Mail>,
        succeeds: bool,
    ) -> Self {
        Self { stream, shared, entity: Rc::default(), mail, succeeds }
    }

    /// Folds the stream anew; commands wait in the mailbox meanwhile.
    fn reload(&mut self, context: &mut Context<Self>, then: Option<Deliver<M>>) {
        let alarm = self.entity.borrow().alarm;
        let lives_on = std::mem::replace(&mut self.succeeds, true);
        let activation = self.shared.next_activation();
        self.entity = Rc::new(RefCell::new(Entity { activation, alarm, ..Entity::default() }));
        self.mail.busy.set(true);
        if let Some(seed) = self.shared.seeds.take::<M>(&self.stream) {
            return self.begin(seed, then, context);
        }
        let folded = fold::<M>(self.shared.clone(), self.stream.clone(), lives_on);
        context.wait(folded.into_actor(self).map(move |loaded, actor, context| match loaded {
            Ok(loaded) => actor.begin(loaded, then, context),
            Err(reason) => {
                tracing::error!(stream = %actor.stream, reason, "cannot load entity");
                if let Some(message) = then {
                    answer::<M>(message.reply_to, Err(Failure::Unreadable(reason)));
                }
                // Each command that waits, and each that comes, tries once more.
                actor.entity.borrow_mut().lost = Some(Lost::Unreadable);
                look_again(&actor.shared, &actor.stream, &mut actor.entity.borrow_mut());
                actor.mail.busy.set(false);
            },
        }));
    }

    /// Lives on from a fold: first what a restart owes it, then what it was asked.
    fn begin(&mut self, loaded: Loaded<M>, then: Option<Deliver<M>>, context: &mut Context<Self>) {
        let owed = self.shared.restart_of(loaded.head);
        self.entity.borrow_mut().start(loaded, owed);
        let recovered = self.recover();
        self.schedule();
        match then {
            Some(message) if recovered => self.command(message, context),
            // To fold anew at once would meet the same full queue.
            Some(message) => busy::<M>(message.reply_to),
            None => {},
        }
        rest(&self.shared, &self.mail, &self.stream, &self.entity.borrow());
    }

    /// Makes up for a restart before anything else is decided; false if the journal has no room for it.
    /// Then the entity is woken once more, and whoever asks meanwhile finds it busy.
    fn recover(&mut self) -> bool {
        let owed = {
            let entity = self.entity.borrow();
            let Some(restart) = entity.owed else { return true };
            M::recover(&entity.state, restart)
        };
        if let Some(command) = owed {
            if !self.shared.outbox.has_room() {
                look_again(&self.shared, &self.stream, &mut self.entity.borrow_mut());
                return false;
            }
            self.rule_unasked(command, &self.shared.supervisor_principal.clone());
        }
        self.entity.borrow_mut().owed = None;
        self.entity.borrow().lost.is_none()
    }

    /// Decides what nobody has asked for.
    fn rule_unasked(&mut self, command: M::Command, principal: &Arc<str>) {
        let (reply_to, _nobody) = tokio::sync::oneshot::channel();
        self.rule(command, &Meta::of(principal), self.shared.clock.now(), reply_to);
    }

    fn command(&mut self, message: Deliver<M>, context: &mut Context<Self>) {
        if self.entity.borrow().lost.is_some() {
            return self.reload(context, Some(message));
        }
        let Deliver { stream: _, command, meta, reply_to } = message;
        if !self.recover() {
            return busy::<M>(reply_to);
        }
        let now = self.shared.clock.now();
        let remembered = self.entity.borrow_mut().remembered(&meta, now, reply_to);
        let Some(reply_to) = remembered else {
            // It may wait now: then the entity stays in memory.
            return rest(&self.shared, &self.mail, &self.stream, &self.entity.borrow());
        };
        self.rule(command, &meta, now, reply_to);
        self.schedule();
        rest(&self.shared, &self.mail, &self.stream, &self.entity.borrow());
    }

    /// Decides, and carries out what was decided.
    fn rule(&mut self, command: M::Command, meta: &Meta, now: Timestamp, reply_to: ReplyTo<M>) {
        let decided = {
            let entity = self.entity.borrow();
            M::decide(
                &entity.state,
                command,
                &machine::Context {
                    now,
                    chance: self.shared.chance(),
                    boot: self.shared.boot.get(),
                    principal: &meta.principal,
                    request: meta.request.as_ref().map(|(id, _)| &**id),
                },
            )
        };
        match decided {
            Err(reason) => self.entity.borrow_mut().hold(reply_to, Err(No::Rejected(reason))),
            Ok(decision) => self.carry_out(decision, meta, now, reply_to),
        }
    }

    /// Applies and submits the decision's events, and holds the reply until they are durable.
    fn carry_out(
        &mut self,
        decision: Decision<M>,
        meta: &Meta,
        now: Timestamp,
        reply_to: ReplyTo<M>,
    ) {
        let Decision { events, answers, reply } = decision;
        if !events.is_empty() {
            if !self.shared.outbox.has_room() {
                return busy::<M>(reply_to);
            }
            if let Err(failure) = self.append(events, answers, meta, now) {
                return answer::<M>(reply_to, Err(failure));
            }
        }
        let mut entity = self.entity.borrow_mut();
        match (reply, &meta.request) {
            (Reply::Now(result), _) => entity.hold(reply_to, result.map_err(No::Rejected)),
            (Reply::Deferred, Some((id, _))) => {
                entity.wait(id, reply_to);
            },
            // A machine defers only what has a request id; the caller would wait for ever.
            (Reply::Deferred, None) => answer::<M>(reply_to, Err(Failure::Crashed)),
        }
    }

    fn append(
        &mut self,
        events: Vec<M::Event>,
        answers: Vec<Answer<M>>,
        meta: &Meta,
        now: Timestamp,
    ) -> Result<(), Failure<M::Reject>> {
        let mut entity = self.entity.borrow_mut();
        let mut drafts = Vec::with_capacity(events.len());
        for event in &events {
            let mut payload = Vec::with_capacity(128);
            event.encode(&mut payload).map_err(|error| Failure::Unreadable(error.to_string()))?;
            let (type_id, schema) = event.type_id();
            drafts.push(Draft { type_id, schema, tags: M::tags(&self.stream, event), payload });
        }
        let append = Append {
            activation: entity.activation,
            stream: self.stream.clone(),
            expected_version: entity.version,
            // Nobody else appends to this stream while the entity lives.
            seen: (entity.version == entity.head.version)
                .then(|| Seen { head: entity.head, upto: self.shared.outbox.durable() }),
            envelope: Envelope {
                at_us: now.as_micros(),
                principal: meta.principal.clone(),
                request: meta
                    .request
                    .as_ref()
                    .map(|(id, fingerprint)| Request { id: id.clone(), fingerprint: *fingerprint }),
                correlation: meta.correlation.clone(),
                causation: meta.causation,
            },
            drafts,
        };
        entity.fold(&self.stream, &events)?;
        entity.version += events.len() as u64;
        entity.submitted += 1;
        if let Some((id, fingerprint)) = &meta.request {
            for event in &events {
                entity.ledger.remember(id, *fingerprint, now, M::remembered(event));
            }
        }
        let snapshot = entity.snapshot(self.shared.limits.snapshot_events);
        let pending = Settling {
            entity: self.entity.clone(),
            shared: self.shared.clone(),
            mail: self.mail.clone(),
            stream: self.stream.clone(),
            events,
            answers,
            snapshot,
        };
        if self.shared.outbox.submit(append, Box::new(pending)) {
            return Ok(());
        }
        // The state has events that were never sent: the next command folds it anew.
        entity.submitted -= 1;
        entity.lost = Some(Lost::Refused(Refusal::Superseded));
        look_again(&self.shared, &self.stream, &mut entity);
        Err(Failure::Busy("the journal's queue"))
    }

    fn schedule(&self) {
        schedule(&self.shared, &self.stream, &mut self.entity.borrow_mut());
    }
}

fn busy<M: Hosted>(reply_to: ReplyTo<M>) {
    answer::<M>(reply_to, Err(Failure::Busy("the journal's queue")));
}

/// Folds a stream off the arbiter, when there is a permit for it.
async fn fold<M: Hosted>(
    shared: Rc<Shared>,
    stream: StreamId,
    lives_on: bool,
) -> Result<Loaded<M>, String> {
    // Events of an earlier activation may still be in flight.
    if lives_on {
        shared.outbox.clone().settled().await;
    }
    let Some(log) = shared.outbox.log().cloned() else {
        return Err("the journal is not open".to_owned());
    };
    let (name, snapshot_events) = (stream.clone(), shared.limits.snapshot_events);
    let work = async {
        tokio::task::spawn_blocking(move || load::<M>(&*log, &name, snapshot_events)).await
    };
    shared.permits.run(work).await.unwrap_or_else(|panic| {
        shared.registry.crashed(&stream);
        Err(format!("folding the stream panicked: {panic}"))
    })
}

/// What an actor tells when it has done what it was asked: whether something is under way. It leaves
/// when its entity is over, or when it was only asked about and has no record.
fn rest<M: Hosted>(shared: &Shared, mail: &Rc<Mail>, stream: &StreamId, entity: &Entity<M>) {
    let busy = entity.settled < entity.submitted || !entity.waiting.is_empty();
    mail.busy.set(busy);
    let over = entity.version == 0 || M::is_over(&entity.state);
    if over && !busy && mail.is_empty() {
        // Without an address an actor ends.
        shared.registry.forget::<M>(stream, mail);
    } else if !busy {
        shared.registry.keep_bound();
    }
}

impl<M: Hosted> Actor for EntityActor<M> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.reload(context, None);
    }
}

impl<M: Hosted> Handler<Deliver<M>> for EntityActor<M> {
    type Result = ();

    fn handle(&mut self, message: Deliver<M>, context: &mut Self::Context) {
        self.mail.arrive();
        self.command(message, context);
    }
}

/// A deadline may have come: the deadline queue says so, and the entity looks.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

impl<M: Hosted> Handler<Wake> for EntityActor<M> {
    type Result = ();

    fn handle(&mut self, _wake: Wake, context: &mut Self::Context) {
        self.mail.arrive();
        let now = self.shared.clock.now();
        if self.entity.borrow().alarm.timer.is_some_and(|timer| timer > now) {
            return;
        }
        self.entity.borrow_mut().alarm.timer = None;
        if self.entity.borrow().lost.is_some() {
            return self.reload(context, None);
        }
        if !self.recover() {
            return rest(&self.shared, &self.mail, &self.stream, &self.entity.borrow());
        }
        let due = {
            let mut entity = self.entity.borrow_mut();
            let due = M::deadline(&entity.state).is_some_and(|deadline| deadline <= now);
            if due {
                entity.alarm.pause(now);
            }
            due
        };
        if due {
            let before = self.entity.borrow().submitted;
            self.rule_unasked(M::due(), &self.shared.timer_principal.clone());
            let mut entity = self.entity.borrow_mut();
            if entity.submitted > before {
                entity.alarm.not_before = Timestamp::default();
            }
        }
        self.schedule();
        rest(&self.shared, &self.mail, &self.stream, &self.entity.borrow());
    }
}

/// An append of an entity, waiting for its sync.
struct Settling<M: Hosted> {
    entity: Rc<RefCell<Entity<M>>>,
    shared: Rc<Shared>,
    mail: Rc<Mail>,
    stream: StreamId,
    events: Vec<M::Event>,
    answers: Vec<Answer<M>>,
    /// The state after these events, if it is to be kept.
    snapshot: Option<Vec<u8>>,
}

impl<M: Hosted> Pending for Settling<M> {
    fn settle(self: Box<Self>, epoch: u32, outcome: Outcome, views: &mut Views) {
        let Self { entity, shared, mail, stream, events, answers, snapshot } = *self;
        let mut entity = entity.borrow_mut();
        match outcome {
            Outcome::Committed { first, count } => {
                let last = first + u64::from(count).saturating_sub(1);
                let at = Cursor { epoch, position: last };
                M::publish(views, &stream, at, &events);
                entity.durable(epoch, first, count, answers);
                shared.registry.is_sound(&stream);
                if let (Some(bytes), Some(log)) = (snapshot, shared.outbox.log()) {
                    let head = entity.head;
                    log.keep_snapshot(Snapshot { stream: stream.clone(), head, bytes });
                }
                rest(&shared, &mail, &stream, &entity);
            },
            Outcome::Refused(refusal) => {
                // Once per life; a closed journal stays closed until the next start.
                if entity.lost.is_none() && !matches!(refusal, Refusal::Poisoned(_)) {
                    look_again(&shared, &stream, &mut entity);
                }
                entity.lose(Lost::Refused(refusal));
                mail.busy.set(false);
            },
            Outcome::Unknown(reason) => {
                entity.lose(Lost::Unknown(reason));
                mail.busy.set(false);
            },
        }
    }
}
