//! Who stays in memory: an approximation of "least recently used" that costs a command one flag.
//!
//! ```text
//!   hand ─► [used] ─► flag taken, to the back      [idle] ─► let go      [busy] ─► to the back
//! ```
//!
//! The algorithm is the operating systems' "second chance" (CLOCK). Source: Corbató, "A paging
//! experiment with the Multics system", 1968.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use mainstay_journal::StreamId;

use super::registry::Registry;

/// What the registry and an actor tell each other without a message.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Messages that the registry has sent.
    pub(crate) sent: Cell<u64>,
    arrived: Cell<u64>,
    /// Something is under way: a fold, an append, a caller who waits.
    pub(crate) busy: Cell<bool>,
    used: Cell<bool>,
    gone: Cell<bool>,
}

impl Mail {
    /// The registry sends a message.
    pub(crate) fn send(&self) {
        self.sent.set(self.sent.get() + 1);
        self.used.set(true);
    }

    /// The actor has it.
    pub(crate) fn arrive(&self) {
        self.arrived.set(self.arrived.get() + 1);
    }

    /// No message is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.get() == self.arrived.get()
    }

    /// The actor has no address any more.
    pub(crate) fn leave(&self) {
        self.gone.set(true);
    }
}

/// Takes an actor's address away, so that it ends.
type LetGo = fn(&mut Registry, &StreamId, &Rc<Mail>);

#[derive(Debug)]
struct Resident {
    stream: StreamId,
    mail: Rc<Mail>,
    let_go: LetGo,
}

/// The live actors in the order in which the hand meets them.
#[derive(Debug, Default)]
pub(crate) struct Residents {
    ring: VecDeque<Resident>,
    /// Those that are not gone.
    pub(crate) count: usize,
    /// How many were let go because of the bound.
    pub(crate) passivated: u64,
}

/// Steps of the hand for each actor that comes: the arbiter has other work.
const STEPS: usize = 16;

impl Residents {
    /// A new actor.
    pub(crate) fn add(&mut self, stream: StreamId, mail: Rc<Mail>, let_go: LetGo) {
        self.count += 1;
        self.ring.push_back(Resident { stream, mail, let_go });
        if self.ring.len() > 2 * self.count + STEPS {
            self.ring.retain(|resident| !resident.mail.gone.get());
        }
    }

    /// The next actor to let go, if there are more than `bound` and one is idle.
    pub(crate) fn next_to_go(&mut self, bound: usize) -> Option<(StreamId, Rc<Mail>, LetGo)> {
        for _ in 0..STEPS {
            if self.count <= bound {
                return None;
            }
            let resident = self.ring.pop_front()?;
            let Resident { mail, .. } = &resident;
            if mail.gone.get() {
                continue;
            }
            if mail.used.take() || mail.busy.get() || !mail.is_empty() {
                self.ring.push_back(resident);
                continue;
            }
            self.passivated += 1;
            return Some((resident.stream, resident.mail, resident.let_go));
        }
        None
    }
}
