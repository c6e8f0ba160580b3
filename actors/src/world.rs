//! Everything the journal folds to, as one value: what replay and verify share.

mod entities;

pub use entities::Entities;

use serde::Serialize;

use crate::chaos::{Chaos, ChaosEvent, ChaosState};
use crate::codec::{CodecError, Payload};
use crate::dependency::{Dependency, DependencyEvent, DependencyState};
use crate::key::{Key, KeyEvent, KeyState};
use crate::lock::{Lock, LockEvent, LockState};
use crate::machine::{Illegal, Machine};
use crate::session::{Session, SessionEvent, SessionState};
use crate::subject::{Subject, SubjectEvent, SubjectState};
use crate::system::{System, SystemEvent, SystemState};

/// The state of every entity, by kind and id.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct World {
    /// Starts, levels and reactors.
    pub system: Entities<SystemState>,
    /// By name.
    pub dependencies: Entities<DependencyState>,
    /// By `{tenant}/{id}`.
    pub sessions: Entities<SessionState>,
    /// By name.
    pub locks: Entities<LockState>,
    /// By name.
    pub keys: Entities<KeyState>,
    /// By `{tenant}/{subject}`.
    pub subjects: Entities<SubjectState>,
    /// By name.
    pub experiments: Entities<ChaosState>,
    /// What a restore has ended, until its own event says so.
    #[serde(skip)]
    pub fenced: Fenced,
}

/// Sessions and locks as they were when the journal was restored: none of it is live any more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fenced {
    /// By `{tenant}/{id}`.
    pub sessions: Entities<SessionState>,
    /// By name.
    pub locks: Entities<LockState>,
}

/// An event of any kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyEvent {
    /// See [`SystemEvent`].
    System(SystemEvent),
    /// See [`DependencyEvent`].
    Dependency(Box<DependencyEvent>),
    /// See [`SessionEvent`].
    Session(SessionEvent),
    /// See [`LockEvent`].
    Lock(LockEvent),
    /// See [`KeyEvent`].
    Key(KeyEvent),
    /// See [`SubjectEvent`].
    Subject(SubjectEvent),
    /// See [`ChaosEvent`].
    Chaos(ChaosEvent),
}

/// Why a record cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Meaningless {
    /// No machine has streams of this kind here.
    #[error("streams of kind {0:?} are unknown here")]
    Kind(String),
    /// The payload is not of its type.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The event contradicts the history before it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

impl AnyEvent {
    /// Decodes the payload of a record in a stream of `kind`.
    ///
    /// # Errors
    /// The kind or type is unknown, or the bytes are not of it.
    pub fn decode(
        kind: &str,
        type_id: u16,
        schema: u16,
        payload: &[u8],
    ) -> Result<Self, Meaningless> {
        Ok(match kind {
            System::KIND => Self::System(SystemEvent::decode(type_id, schema, payload)?),
            Dependency::KIND => {
                Self::Dependency(Box::new(DependencyEvent::decode(type_id, schema, payload)?))
            },
            Session::KIND => Self::Session(SessionEvent::decode(type_id, schema, payload)?),
            Lock::KIND => Self::Lock(LockEvent::decode(type_id, schema, payload)?),
            Key::KIND => Self::Key(KeyEvent::decode(type_id, schema, payload)?),
            Subject::KIND => Self::Subject(SubjectEvent::decode(type_id, schema, payload)?),
            Chaos::KIND => Self::Chaos(ChaosEvent::decode(type_id, schema, payload)?),
            other => return Err(Meaningless::Kind(other.to_owned())),
        })
    }

    /// The event's name: `LeaseGranted`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::System(event) => event.name(),
            Self::Dependency(event) => event.name(),
            Self::Session(event) => event.name(),
            Self::Lock(event) => event.name(),
            Self::Key(event) => event.name(),
            Self::Subject(event) => event.name(),
            Self::Chaos(event) => event.name(),
        }
    }

    /// Names and type ids of all events, in the order of their ids.
    #[must_use]
    pub fn catalogue() -> Vec<(&'static str, u16)> {
        [
            SystemEvent::catalogue(),
            DependencyEvent::catalogue(),
            SessionEvent::catalogue(),
            LockEvent::catalogue(),
            KeyEvent::catalogue(),
            SubjectEvent::catalogue(),
            ChaosEvent::catalogue(),
        ]
        .concat()
    }
}

impl World {
    /// Folds one event into the entity `id` of its kind. A restore puts every live session and every
    /// lock in use aside: the next event of each must say that it is over.
    ///
    /// # Errors
    /// The event contradicts the entity's history; the entity keeps its state.
    pub fn apply(&mut self, id: &str, event: &AnyEvent) -> Result<(), Illegal> {
        self.unfence(id, event)?;
        match event {
            AnyEvent::System(event) => {
                fold::<System>(&mut self.system, id, event)?;
                if let SystemEvent::Restored(_) = event {
                    self.sessions.move_into(&mut self.fenced.sessions, lives);
                    self.locks.move_into(&mut self.fenced.locks, LockState::is_in_use);
                }
                Ok(())
            },
            AnyEvent::Dependency(event) => fold::<Dependency>(&mut self.dependencies, id, event),
            AnyEvent::Session(event) => fold::<Session>(&mut self.sessions, id, event),
            AnyEvent::Lock(event) => fold::<Lock>(&mut self.locks, id, event),
            AnyEvent::Key(event) => fold::<Key>(&mut self.keys, id, event),
            AnyEvent::Subject(event) => fold::<Subject>(&mut self.subjects, id, event),
            AnyEvent::Chaos(event) => fold::<Chaos>(&mut self.experiments, id, event),
        }
    }

    /// Puts aside what one entity holds, if it is live: a restore has ended it.
    pub fn fence_one(&mut self, kind: &str, id: &str) {
        match kind {
            Session::KIND => {
                if let Some(state) = self.sessions.take_if(id, lives) {
                    self.fenced.sessions.insert(id, state);
                }
            },
            Lock::KIND => {
                if let Some(state) = self.locks.take_if(id, LockState::is_in_use) {
                    self.fenced.locks.insert(id, state);
                }
            },
            _ => {},
        }
    }

    /// Takes an entity back whose event says that it is over.
    fn unfence(&mut self, id: &str, event: &AnyEvent) -> Result<(), Illegal> {
        let Fenced { sessions, locks } = &mut self.fenced;
        let early = || Illegal::new(event.name(), "it was fenced by a restore and has not said so");
        match event {
            AnyEvent::Session(SessionEvent::SessionFenced(_)) => {
                if let Some(state) = sessions.remove(id) {
                    self.sessions.insert(id, state);
                }
                Ok(())
            },
            AnyEvent::Lock(LockEvent::LeasesFenced(_)) => {
                if let Some(state) = locks.remove(id) {
                    self.locks.insert(id, state);
                }
                Ok(())
            },
            AnyEvent::Session(_) if sessions.get(id).is_some() => Err(early()),
            AnyEvent::Lock(_) if locks.get(id).is_some() => Err(early()),
            _ => Ok(()),
        }
    }
}

fn lives(state: &SessionState) -> bool {
    matches!(state, SessionState::Live(_))
}

fn fold<M: Machine>(
    states: &mut Entities<M::State>,
    id: &str,
    event: &M::Event,
) -> Result<(), Illegal> {
    if let Some(state) = states.get_mut(id) {
        return M::fold(state, event);
    }
    states.insert(id, M::apply(M::State::default(), event)?);
    Ok(())
}
