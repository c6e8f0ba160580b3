//! What the host knows from durable facts alone: dependencies, live locks, ended sessions.
//!
//! ```text
//!   settled append ──publish──► Views ──► gates follow the breakers
//!                                  ├────► live locks, for lists and for a session's end
//!                                  └────► flush: the supervisor assesses, reactors act
//! ```
//!
//! A view is a fold that can be dropped and rebuilt; recovery rebuilds all of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use mainstay_journal::{Cursor, StreamId, Tag, Tags};
use smallvec::smallvec;
use smol_str::SmolStr;
use tokio::sync::Notify;

use super::erasure::Erasures;
use super::faults::Faults;
use super::follow::Followers;
use super::gates::Gates;
use super::keys::Keys;
use super::moves::{Move, Teller};
use crate::chaos::{Chaos, ChaosEvent, ChaosState};
use crate::dependency::{Dependency, DependencyEvent, DependencyState};
use crate::key::{Key, KeyEvent, KeyState};
use crate::lock::{Lock, LockEvent, LockState};
use crate::machine::Machine;
use crate::session::{Session, SessionEvent};
use crate::subject::{Subject, SubjectEvent};
use crate::system::{LevelChanged, System, SystemEvent, SystemState};

/// Tag keys of records: what `find` can search for beside stream, type, principal, correlation.
pub mod tags {
    /// The tenant of a session or subject, or of a lock named `{tenant}:…`; on every event of them.
    pub const TENANT: u8 = 1;
    /// The subject of a session's beginning, and of what is recorded about it.
    pub const SUBJECT: u8 = 2;
    /// The owner of a lease.
    pub const OWNER: u8 = 3;
}

/// A machine that the host can run.
pub trait Hosted: Machine {
    /// The labels of an event's record.
    fn tags(_stream: &StreamId, _event: &Self::Event) -> Tags {
        Tags::new()
    }

    /// Durable events of one append, the last of them at `at`, for the host's views.
    fn publish(_views: &mut Views, _stream: &StreamId, _at: Cursor, _events: &[Self::Event]) {}
}

/// Work for the reactor that releases locks: `{tenant}/{id}` of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Release {
    /// It has ended.
    Ended(String),
    /// It has a new lease or waiter: does it still live?
    IfEnded(String),
}

/// The views; shared on the arbiter.
#[derive(Debug)]
pub struct Views {
    /// Durable state of every dependency.
    pub(crate) dependencies: BTreeMap<String, DependencyState>,
    /// Durable state of every lock with a lease or a waiter.
    pub(crate) locks: HashMap<StreamId, LockState>,
    /// Locks that a session may own or wait for.
    pub(crate) locks_of_session: HashMap<SmolStr, BTreeSet<StreamId>>,
    /// The other way round.
    sessions_of_lock: HashMap<StreamId, BTreeSet<SmolStr>>,
    /// Sessions whose locks are to be released, with the record that says so.
    pub(crate) to_release: VecDeque<(Cursor, Release)>,
    /// The durable level, and since when.
    pub(crate) health: SystemState,
    /// The erased subjects, and what is to be done about them.
    pub(crate) erasures: Erasures,
    /// Who waits for the end of a lease.
    pub(crate) followers: Followers,
    /// Every access key.
    pub(crate) keys: Keys,
    /// Every experiment, and the faults that run.
    pub(crate) faults: Faults,
    /// Who listens to breakers.
    pub(crate) moves: Teller,
    /// The gates, which follow the breakers.
    pub(crate) gates: Rc<RefCell<Gates>>,
    /// The newest durable position that was published.
    pub(crate) position: Cursor,
    /// The newest durable event of a dependency: health follows from it.
    pub(crate) dependency_at: Cursor,
    pub(crate) health_changed: Rc<Notify>,
    pub(crate) releases: Rc<Notify>,
    assess: bool,
}

impl Drop for Views {
    fn drop(&mut self) {
        self.faults.end();
    }
}

impl Views {
    pub(crate) fn new(gates: Rc<RefCell<Gates>>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            dependencies: BTreeMap::new(),
            locks: HashMap::new(),
            locks_of_session: HashMap::new(),
            sessions_of_lock: HashMap::new(),
            to_release: VecDeque::new(),
            health: SystemState::default(),
            erasures: Erasures::default(),
            followers: Followers::default(),
            keys: Keys::default(),
            faults: Faults::default(),
            moves: Teller::new(),
            gates,
            position: Cursor::default(),
            dependency_at: Cursor::default(),
            health_changed: Rc::default(),
            releases: Rc::default(),
            assess: false,
        }))
    }

    /// After a group: wakes who waits for what it changed.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.assess) {
            self.health_changed.notify_one();
        }
        if !self.to_release.is_empty() {
            self.releases.notify_one();
        }
        self.erasures.flush();
    }

    /// Takes a dependency's durable state, from an event or from recovery.
    pub(crate) fn set_dependency(&mut self, name: &str, state: DependencyState) {
        self.gates.borrow_mut().sync(name, &state);
        self.dependencies.insert(name.to_owned(), state);
        self.assess = true;
    }

    /// Takes a lock's durable state from recovery.
    pub(crate) fn recover_lock(&mut self, stream: &StreamId, state: LockState) {
        if state.is_in_use() {
            self.locks.insert(stream.clone(), state);
            self.index_sessions(stream);
        }
    }

    /// Follows which sessions a lock's leases and waiters belong to.
    fn index_sessions(&mut self, stream: &StreamId) {
        let now: BTreeSet<SmolStr> = self.locks.get(stream).map(sessions_of).unwrap_or_default();
        let before = if now.is_empty() {
            self.sessions_of_lock.remove(stream)
        } else {
            self.sessions_of_lock.insert(stream.clone(), now.clone())
        };
        for gone in before.unwrap_or_default().difference(&now) {
            if let Some(locks) = self.locks_of_session.get_mut(gone) {
                locks.remove(stream);
                if locks.is_empty() {
                    self.locks_of_session.remove(gone);
                }
            }
        }
        for session in now {
            self.locks_of_session.entry(session).or_default().insert(stream.clone());
        }
    }
}

fn sessions_of(state: &LockState) -> BTreeSet<SmolStr> {
    let grants = state.grants.iter().map(|grant| &grant.claim);
    let claims = grants.chain(state.waiters.iter().map(|waiter| &waiter.claim));
    claims.filter_map(|claim| claim.session.clone()).collect()
}

impl Hosted for System {
    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[SystemEvent]) {
        views.position = at;
        if stream.id() == HEALTH {
            fold::<Self>(&mut views.health, stream, events);
        }
        for event in events {
            if let SystemEvent::LevelChanged(LevelChanged { from, to, score, cause, .. }) = event {
                tracing::info!(%from, %to, score = score.shown(), cause, "health");
            }
        }
    }
}

/// Id of the stream with the levels.
pub(crate) const HEALTH: &str = "health";

impl Hosted for Dependency {
    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[DependencyEvent]) {
        views.position = at;
        views.dependency_at = at;
        let mut state = views.dependencies.get(stream.id()).cloned().unwrap_or_default();
        let from = state.breaker.mode;
        fold::<Self>(&mut state, stream, events);
        let to = state.breaker.mode;
        if from != to {
            tracing::info!(dependency = stream.id(), %from, %to, "breaker");
            let (dependency, since) = (stream.id().into(), state.breaker.since);
            views.moves.tell(Move { dependency, from, to, at: since, cursor: at });
        }
        views.set_dependency(stream.id(), state);
    }
}

impl Hosted for Session {
    fn tags(stream: &StreamId, event: &SessionEvent) -> Tags {
        let tenant = stream.id().split_once('/').map_or("", |(tenant, _)| tenant);
        let mut tags: Tags = smallvec![tag(tags::TENANT, tenant)];
        match event {
            SessionEvent::SessionCreated(it) => tags.push(tag(tags::SUBJECT, &it.subject)),
            SessionEvent::SessionImported(it) => tags.push(tag(tags::SUBJECT, &it.subject)),
            _ => {},
        }
        tags
    }

    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[SessionEvent]) {
        views.position = at;
        for event in events {
            views.erasures.see_session(stream.id(), at, event);
            if event.is_end() && views.locks_of_session.contains_key(stream.id()) {
                let ended = Release::Ended(stream.id().to_owned());
                views.to_release.push_back((at, ended));
            }
        }
    }
}

impl Hosted for Lock {
    fn tags(stream: &StreamId, event: &LockEvent) -> Tags {
        let mut tags = Tags::new();
        match event {
            LockEvent::LeaseGranted(event) => tags.push(tag(tags::OWNER, &event.claim.owner)),
            LockEvent::WaiterQueued(event) => tags.push(tag(tags::OWNER, &event.claim.owner)),
            LockEvent::RefusalRecorded(event) => tags.push(tag(tags::OWNER, &event.owner)),
            _ => {},
        }
        tags.extend(tenant_of_lock(stream.id()).map(|tenant| tag(tags::TENANT, tenant)));
        tags
    }

    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[LockEvent]) {
        views.position = at;
        // What a restore has ended was never shown as held.
        if let [LockEvent::LeasesFenced(_)] = events {
            return;
        }
        let state = views.locks.entry(stream.clone()).or_default();
        fold::<Self>(state, stream, events);
        if !state.is_in_use() {
            views.locks.remove(stream);
        }
        views.followers.tell(stream, events);
        let mut named = events.iter().filter_map(session_of).peekable();
        if named.peek().is_some() || views.sessions_of_lock.contains_key(stream) {
            views.index_sessions(stream);
        }
        // A session that ended before its lease was durable ends nothing by itself any more.
        for session in named {
            views.to_release.push_back((at, Release::IfEnded(session.to_owned())));
        }
    }
}

impl Hosted for Subject {
    fn tags(stream: &StreamId, _event: &SubjectEvent) -> Tags {
        let (tenant, subject) = stream.id().split_once('/').unwrap_or_default();
        smallvec![tag(tags::TENANT, tenant), tag(tags::SUBJECT, subject)]
    }

    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[SubjectEvent]) {
        views.position = at;
        for event in events {
            views.erasures.see_subject(stream.id(), at, event);
        }
    }
}

/// The tenant that a lock's name begins with: `acme:room-101` is of `acme`.
#[must_use]
pub fn tenant_of_lock(name: &str) -> Option<&str> {
    name.split_once(':').map(|(tenant, _)| tenant)
}

/// The session that a new lease or waiter belongs to.
fn session_of(event: &LockEvent) -> Option<&str> {
    match event {
        LockEvent::LeaseGranted(event) => event.claim.session.as_deref(),
        LockEvent::WaiterQueued(event) => event.claim.session.as_deref(),
        _ => None,
    }
}

impl Hosted for Key {
    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[KeyEvent]) {
        views.position = at;
        let mut state =
            views.keys.get(stream.id()).map_or_else(KeyState::default, |it| (*it).clone());
        fold::<Self>(&mut state, stream, events);
        views.keys.put(stream.id(), &state);
    }
}

impl Hosted for Chaos {
    fn publish(views: &mut Views, stream: &StreamId, at: Cursor, events: &[ChaosEvent]) {
        views.position = at;
        let mut state = ChaosState { last: views.faults.get(stream.id()) };
        fold::<Self>(&mut state, stream, events);
        for event in events {
            match event {
                ChaosEvent::FaultStarted(it) => {
                    let (fault, share) = (it.plan.fault.name(), it.plan.share.as_f64());
                    let (name, dependency) = (stream.id(), &it.plan.dependency);
                    tracing::warn!(name, dependency, fault, share, until = %it.until, "fault started");
                },
                ChaosEvent::FaultEnded(_) => tracing::info!(name = stream.id(), "fault ended"),
            }
        }
        views.faults.put(stream.id(), &state);
    }
}

fn fold<M: Machine>(state: &mut M::State, stream: &StreamId, events: &[M::Event]) {
    for event in events {
        if let Err(illegal) = M::fold(state, event) {
            tracing::error!(%stream, %illegal, "a durable event cannot be folded");
        }
    }
}

fn tag(key: u8, value: &str) -> Tag {
    Tag { key, value: value.into() }
}
