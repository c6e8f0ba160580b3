//! Stream → actor: activates on demand, respawns after a panic, forgets who left.
//!
//! An actix supervisor restarts the same instance and does not survive a panic; here the address of
//! a dead actor is replaced by a new actor that folds from the journal.

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use actix::prelude::SendError;
use actix::{Actor, Addr, Context, Handler};
use mainstay_journal::StreamId;

use super::clock::Clock;
use super::entity::{EntityActor, MAILBOX, Mail, Wake};
use super::message::{Deliver, Failure, answer};
use super::outbox::Outbox;
use super::timers::Timers;
use super::views::Hosted;

/// What every entity shares; lives on the arbiter.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) boot: Cell<u64>,
    pub(crate) outbox: Rc<Outbox>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) registry: Door,
    pub(crate) timer_principal: Arc<str>,
    activations: Cell<u64>,
    chance: Cell<u64>,
}

impl Shared {
    pub(crate) fn new(clock: Clock, outbox: Rc<Outbox>, timers: Rc<Timers>, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            clock,
            boot: Cell::new(0),
            outbox,
            timers,
            registry: Door::default(),
            timer_principal: Arc::from("system:timer"),
            activations: Cell::new(0),
            chance: Cell::new(seed),
        })
    }

    pub(crate) fn next_activation(&self) -> u64 {
        self.activations.set(self.activations.get() + 1);
        self.activations.get()
    }

    /// Uniform bits: `SplitMix64`, seeded once per start; jitter needs no secrets.
    /// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
    pub(crate) fn chance(&self) -> u64 {
        let seed = self.chance.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.chance.set(seed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The way from an entity back to the registry.
#[derive(Default)]
pub(crate) struct Door(OnceCell<Weak<RefCell<Registry>>>);

impl Door {
    pub(crate) fn lead_to(&self, registry: &Rc<RefCell<Registry>>) {
        drop(self.0.set(Rc::downgrade(registry)));
    }

    /// The actor of this stream is leaving; its mailbox is empty.
    pub(crate) fn forget<M: Hosted>(&self, stream: &StreamId, mail: &Rc<Mail>) {
        let Some(registry) = self.0.get().and_then(Weak::upgrade) else { return };
        let mut registry = registry.borrow_mut();
        let room = registry.room::<M>();
        // A crashed actor's last events may settle when its successor is here already.
        if room.get(stream).is_some_and(|slot| Rc::ptr_eq(&slot.mail, mail)) {
            room.remove(stream);
        }
    }
}

/// All live actors, by kind and stream.
pub(crate) struct Registry {
    shared: Rc<Shared>,
    rooms: HashMap<TypeId, Box<dyn Any>>,
}

/// The live actors of one kind.
type Room<M> = HashMap<StreamId, Slot<M>>;

struct Slot<M: Hosted> {
    address: Addr<EntityActor<M>>,
    mail: Rc<Mail>,
}

impl Registry {
    pub(crate) fn new(shared: Rc<Shared>) -> Rc<RefCell<Self>> {
        let registry = Rc::new(RefCell::new(Self { shared, rooms: HashMap::new() }));
        registry.borrow().shared.registry.lead_to(&registry);
        registry
    }

    fn room<M: Hosted>(&mut self) -> &mut Room<M> {
        let room =
            self.rooms.entry(TypeId::of::<M>()).or_insert_with(|| Box::new(Room::<M>::new()));
        #[expect(clippy::expect_used, reason = "the key is the type of the value")]
        room.downcast_mut().expect("a room of its own kind")
    }

    /// Live actors of all kinds is the sum of this over the kinds.
    pub(crate) fn resident<M: Hosted>(&mut self) -> usize {
        self.room::<M>().len()
    }

    fn slot<M: Hosted>(&mut self, stream: &StreamId) -> &Slot<M> {
        let shared = self.shared.clone();
        let room = self.room::<M>();
        let crashed = room.get(stream).is_some_and(|slot| !slot.address.connected());
        if crashed {
            tracing::warn!(%stream, "the entity crashed; a new one folds from the journal");
            room.remove(stream);
        }
        let spawn = |stream: &StreamId| {
            let mail = Rc::new(Mail::default());
            let actor = EntityActor::new(stream.clone(), shared, mail.clone(), crashed);
            let address = start(actor, MAILBOX);
            Slot { address, mail }
        };
        room.entry(stream.clone()).or_insert_with_key(spawn)
    }

    /// Brings a command to its entity; a full mailbox answers busy.
    pub(crate) fn deliver<M: Hosted>(&mut self, message: Deliver<M>) {
        let stream = message.stream.clone();
        let slot = self.slot::<M>(&stream);
        match slot.address.try_send(message) {
            Ok(()) => slot.mail.sent.set(slot.mail.sent.get() + 1),
            Err(SendError::Full(message) | SendError::Closed(message)) => {
                answer::<M>(message.reply_to, Err(Failure::Busy("the entity's mailbox")));
            },
        }
    }

    /// Tells an entity that a deadline may have come; false if its mailbox is full.
    pub(crate) fn wake<M: Hosted>(&mut self, stream: &StreamId) -> bool {
        let slot = self.slot::<M>(stream);
        let woken = slot.address.try_send(Wake).is_ok();
        slot.mail.sent.set(slot.mail.sent.get() + u64::from(woken));
        woken
    }
}

/// Starts an actor whose mailbox has its bound from the first message on: `started` runs later.
pub(crate) fn start<A: Actor<Context = Context<A>>>(actor: A, mailbox: usize) -> Addr<A> {
    A::create(|context| {
        context.set_mailbox_capacity(mailbox);
        actor
    })
}

/// Takes commands from other threads.
pub(crate) struct Reception(pub(crate) Rc<RefCell<Registry>>);

/// Commands that may wait for the registry.
pub(crate) const RECEPTION_MAILBOX: usize = 4_096;

impl Actor for Reception {
    type Context = Context<Self>;
}

impl<M: Hosted> Handler<Deliver<M>> for Reception {
    type Result = ();

    fn handle(&mut self, message: Deliver<M>, _context: &mut Self::Context) {
        self.0.borrow_mut().deliver(message);
    }
}
