//! Stream → actor: activates on demand, lets idle ones go, respawns after a panic.
//!
//! | an actor that | is |
//! |---|---|
//! | is asked for and not there | made; it folds its stream, at most so many at once |
//! | is idle while too many are there | let go: without an address an actor ends |
//! | panicked | replaced by one that folds from the journal |
//! | panicked again, with nothing durable in between | quarantined until the next start |
//!
//! An actix supervisor restarts the same instance and does not survive a panic.

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use actix::prelude::SendError;
use actix::{Actor, Addr, Context, Handler};
use mainstay_journal::{Head, StreamId};

use super::clock::Clock;
use super::entity::{EntityActor, Wake};
use super::limits::Limits;
use super::loaded::Loaded;
use super::message::{Deliver, Failure, answer};
use super::outbox::Outbox;
use super::permits::Permits;
use super::recovery::SUPERVISOR;
use super::residents::{Mail, Residents};
use super::restore::Fence;
use super::seeds::Seeds;
use super::timers::{Timers, Woken};
use super::views::Hosted;
use crate::machine::Restart;

/// What every entity shares; lives on the arbiter.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) boot: Cell<u64>,
    pub(crate) outbox: Rc<Outbox>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) registry: Door,
    pub(crate) limits: Limits,
    pub(crate) permits: Permits,
    /// States that a start has folded already.
    pub(crate) seeds: Seeds,
    /// The restart that entities have lived through.
    pub(crate) restart: Cell<Restart>,
    /// The last restore, if there was one.
    pub(crate) fence: Cell<Option<Fence>>,
    pub(crate) timer_principal: Arc<str>,
    pub(crate) supervisor_principal: Arc<str>,
    activations: Cell<u64>,
    chance: Cell<u64>,
}

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        outbox: Rc<Outbox>,
        timers: Rc<Timers>,
        limits: Limits,
        seed: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            clock,
            boot: Cell::new(0),
            outbox,
            permits: Permits::new(limits.recovery_permits, timers.clone()),
            timers,
            registry: Door::default(),
            limits,
            seeds: Seeds::default(),
            restart: Cell::default(),
            fence: Cell::default(),
            timer_principal: Arc::from("system:timer"),
            supervisor_principal: Arc::from(SUPERVISOR),
            activations: Cell::new(0),
            chance: Cell::new(seed),
        })
    }

    /// What an entity has lived through whose newest record is this.
    pub(crate) fn restart_of(&self, head: Head) -> Restart {
        let fence = self.fence.get().filter(|fence| fence.covers(head));
        Restart { fence: fence.map(|fence| fence.at), ..self.restart.get() }
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

    fn open(&self) -> Option<Rc<RefCell<Registry>>> {
        self.0.get().and_then(Weak::upgrade)
    }

    /// The actor of this stream is leaving; its mailbox is empty.
    pub(crate) fn forget<M: Hosted>(&self, stream: &StreamId, mail: &Rc<Mail>) {
        if let Some(registry) = self.open() {
            registry.borrow_mut().let_go::<M>(stream, mail);
        }
    }

    /// An entity is idle: after a burst there may be too many of them.
    pub(crate) fn keep_bound(&self) {
        if let Some(registry) = self.open() {
            let bound = registry.borrow().shared.limits.residents;
            if registry.borrow().residents.count > bound {
                registry.borrow_mut().make_room(bound);
            }
        }
    }

    /// The entity's fold panicked.
    pub(crate) fn crashed(&self, stream: &StreamId) {
        if let Some(registry) = self.open() {
            registry.borrow_mut().crashed(stream);
        }
    }

    /// An event of this entity is durable: whatever it panicked on, it goes on.
    pub(crate) fn is_sound(&self, stream: &StreamId) {
        let Some(registry) = self.open() else { return };
        // Nearly always there is nobody to look for.
        if !registry.borrow().crashes.is_empty() {
            registry.borrow_mut().crashes.remove(stream);
        }
    }
}

/// All live actors, by kind and stream.
pub(crate) struct Registry {
    shared: Rc<Shared>,
    rooms: HashMap<TypeId, Box<dyn Any>>,
    pub(crate) residents: Residents,
    /// Panics of each entity since its last durable event.
    crashes: BTreeMap<StreamId, u32>,
}

/// So many panics in a row, and an entity is asked no more.
const QUARANTINE: u32 = 2;

/// The live actors of one kind.
type Room<M> = HashMap<StreamId, Slot<M>>;

struct Slot<M: Hosted> {
    address: Addr<EntityActor<M>>,
    mail: Rc<Mail>,
}

impl Registry {
    pub(crate) fn new(shared: Rc<Shared>) -> Rc<RefCell<Self>> {
        let registry = Self {
            shared,
            rooms: HashMap::new(),
            residents: Residents::default(),
            crashes: BTreeMap::new(),
        };
        let registry = Rc::new(RefCell::new(registry));
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

    /// Entities that are asked no more, by name.
    pub(crate) fn quarantined(&self) -> impl Iterator<Item = &StreamId> {
        self.crashes.iter().filter(|(_, count)| **count >= QUARANTINE).map(|(stream, _)| stream)
    }

    fn is_quarantined(&self, stream: &StreamId) -> bool {
        self.crashes.get(stream).is_some_and(|count| *count >= QUARANTINE)
    }

    fn crashed(&mut self, stream: &StreamId) {
        let count = self.crashes.entry(stream.clone()).or_default();
        *count += 1;
        if *count == QUARANTINE {
            tracing::error!(%stream, "the entity crashed again and is quarantined until the next start");
        } else {
            tracing::warn!(%stream, "the entity crashed; a new one folds from the journal");
        }
    }

    fn let_go<M: Hosted>(&mut self, stream: &StreamId, mail: &Rc<Mail>) {
        let room = self.room::<M>();
        // A crashed actor's last events may settle when its successor is here already.
        if room.get(stream).is_some_and(|slot| Rc::ptr_eq(&slot.mail, mail)) {
            room.remove(stream);
            self.residents.count = self.residents.count.saturating_sub(1);
        }
        mail.leave();
    }

    /// Whether the entity's actor is there, and alive.
    fn is_resident<M: Hosted>(&mut self, stream: &StreamId) -> bool {
        self.room::<M>().get(stream).is_some_and(|slot| slot.address.connected())
    }

    /// The entity's actor, made if need be; `None` if it is quarantined.
    fn slot<M: Hosted>(&mut self, stream: &StreamId) -> Option<&Slot<M>> {
        let dead = self.room::<M>().get(stream).filter(|slot| !slot.address.connected());
        let crashed = dead.map(|slot| slot.mail.clone());
        if let Some(mail) = &crashed {
            self.let_go::<M>(stream, mail);
            self.crashed(stream);
        }
        if !self.crashes.is_empty() && self.is_quarantined(stream) {
            return None;
        }
        if !self.room::<M>().contains_key(stream) {
            self.make_room(self.shared.limits.residents.saturating_sub(1));
            let mail = Rc::new(Mail::default());
            let (shared, mailbox) = (self.shared.clone(), self.shared.limits.mailbox);
            let actor = EntityActor::new(stream.clone(), shared, mail.clone(), crashed.is_some());
            let slot = Slot { address: start(actor, mailbox), mail: mail.clone() };
            self.room::<M>().insert(stream.clone(), slot);
            self.residents.add(stream.clone(), mail, Self::let_go::<M>);
        }
        self.room::<M>().get(stream)
    }

    /// Lets idle entities go until there are at most `bound`.
    fn make_room(&mut self, bound: usize) {
        while let Some((stream, mail, let_go)) = self.residents.next_to_go(bound) {
            let_go(self, &stream, &mail);
        }
    }

    /// Brings a command to its entity; a full mailbox answers busy.
    pub(crate) fn deliver<M: Hosted>(&mut self, message: Deliver<M>) {
        let stream = message.stream.clone();
        if message.meta.fresh && !self.room::<M>().contains_key(&stream) {
            self.shared.seeds.put(stream.clone(), Loaded::<M>::nothing(self.shared.outbox.epoch()));
        }
        let Some(slot) = self.slot::<M>(&stream) else {
            return answer::<M>(message.reply_to, Err(Failure::Quarantined));
        };
        match slot.address.try_send(message) {
            Ok(()) => slot.mail.send(),
            Err(SendError::Full(message) | SendError::Closed(message)) => {
                answer::<M>(message.reply_to, Err(Failure::Busy("the entity's mailbox")));
            },
        }
    }

    /// Tells an entity that a deadline may have come.
    pub(crate) fn wake<M: Hosted>(&mut self, stream: &StreamId) -> Woken {
        if !self.is_resident::<M>(stream) && !self.shared.permits.are_free() {
            return Woken::NoPermit;
        }
        let Some(slot) = self.slot::<M>(stream) else { return Woken::Sent };
        if slot.address.try_send(Wake).is_err() {
            return Woken::Full;
        }
        slot.mail.send();
        Woken::Sent
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

impl Actor for Reception {
    type Context = Context<Self>;
}

impl<M: Hosted> Handler<Deliver<M>> for Reception {
    type Result = ();

    fn handle(&mut self, message: Deliver<M>, _context: &mut Self::Context) {
        self.0.borrow_mut().deliver(message);
    }
}
