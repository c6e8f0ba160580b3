//! What the clients of all lives know and share.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use mainstay_actors::host::Host;
use mainstay_actors::lock::LockCommand;

use super::history::{Act, Command, History, Moment, Said};

/// A lease that somebody was given, live or not.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) lock: String,
    pub(crate) token: u64,
    pub(crate) owner: String,
}

/// A request that may be made again under its key.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    pub(crate) lock: String,
    pub(crate) command: LockCommand,
    pub(crate) key: String,
}

/// A lock remembers 64 requests; these are few enough to be among them.
const KEYED: usize = 12;
/// Old tokens are worth a try, very old ones are not.
const HELD: usize = 24;

#[derive(Debug, Default)]
pub(crate) struct Scene {
    pub(crate) history: History,
    pub(crate) held: VecDeque<Held>,
    pub(crate) keyed: VecDeque<Keyed>,
    pub(crate) sessions: Vec<String>,
    /// Whether the dependency fails at the moment.
    pub(crate) down: bool,
    /// Clients end after what they are at.
    pub(crate) stop: bool,
    /// Clients that have not ended.
    pub(crate) clients: usize,
    names: u64,
}

pub(crate) type Shared = Rc<RefCell<Scene>>;

impl Scene {
    pub(crate) fn hold(&mut self, held: Held) {
        self.held.push_back(held);
        if self.held.len() > HELD {
            self.held.pop_front();
        }
    }

    pub(crate) fn keep(&mut self, keyed: Keyed) {
        self.keyed.push_back(keyed);
        if self.keyed.len() > KEYED {
            self.keyed.pop_front();
        }
    }

    /// A number that was not used before.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub(crate) fn moment(&mut self, host: &Host) -> Moment {
        let head = host.log().map_or(0, |log| log.head().position);
        self.history.moment(host.now().unwrap_or_default(), head)
    }

    /// Somebody asks; the number is for [`Scene::answer`].
    pub(crate) fn ask(
        &mut self,
        host: &Host,
        stream: &str,
        command: Command,
        key: Option<&str>,
    ) -> usize {
        let asked = self.moment(host);
        let (stream, key) = (stream.to_owned(), key.map(str::to_owned));
        self.history.acts.push(Act { stream, command, key, asked, answered: None });
        self.history.acts.len() - 1
    }

    pub(crate) fn answer(&mut self, host: &Host, act: usize, said: Said) {
        let moment = self.moment(host);
        self.history.acts[act].answered = Some((moment, said));
    }
}
