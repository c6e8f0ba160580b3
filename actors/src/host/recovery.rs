//! From the journal's bytes to what a start needs: not every entity, only what cannot wait.
//!
//! | of | a start needs | and folds |
//! |---|---|---|
//! | starts, levels, dependencies, keys, experiments | all: they are asked at once | their whole state |
//! | locks | those with a lease or a waiter, for lists and deadlines | these |
//! | sessions | when each live one ends | two moments each |
//! | subjects | who was erased, and whether that is finished | these |
//!
//! It begins at the last checkpoint, if there is one. Everything else is folded when it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use mainstay_journal::{Cursor, EventLog, RecordRef, StreamId};
use smol_str::SmolStr;

use super::StartError;
use super::base;
use super::checkpoint::{self, Kept};
use super::due::{Changes, LiveSession};
use super::erasure::ErasedFacts;
use super::loaded::Loaded;
use super::restore::Fence;
use crate::chaos::Chaos;
use crate::codec::Payload;
use crate::dependency::Dependency;
use crate::key::Key;
use crate::lock::{Lock, LockEvent, LockState};
use crate::machine::Machine;
use crate::session::{Session, SessionEvent};
use crate::subject::{Subject, SubjectEvent};
use crate::system::{RESTORE, System};
use crate::time::Timestamp;

/// Who starts the server, extends leases and changes levels.
pub(crate) const SUPERVISOR: &str = "system:supervisor";
/// Progress is told every so many records.
const TELL_EVERY: u64 = 20_000;

/// What a start needs of the journal up to a record.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) head: Cursor,
    /// Time of the newest record: the clock never goes back behind it.
    pub(crate) last_at: Timestamp,
    /// Time of the newest record that is not a start's own: what was alive then gets grace, also
    /// when a start was cut short between its record and the leases'.
    pub(crate) alive_at: Timestamp,
    /// Events that cannot be folded; each was logged, and its entity refuses commands.
    pub(crate) unreadable: u64,
    pub(crate) systems: BTreeMap<String, Loaded<System>>,
    pub(crate) dependencies: BTreeMap<String, Loaded<Dependency>>,
    pub(crate) keys: BTreeMap<String, Loaded<Key>>,
    pub(crate) experiments: BTreeMap<String, Loaded<Chaos>>,
    /// Locks with a lease or a waiter.
    pub(crate) locks: BTreeMap<String, LockState>,
    /// Locks that had one when the journal was restored, and have not said yet that it is over.
    pub(crate) fenced_locks: BTreeSet<String>,
    /// Who was erased.
    pub(crate) erased: ErasedFacts,
    /// What happened to sessions since the checkpoint.
    pub(crate) sessions: Changes,
}

impl Facts {
    /// Folds the journal's next record.
    pub(crate) fn take(&mut self, record: &RecordRef<'_>) {
        self.head = record.cursor();
        self.last_at = Timestamp::from_micros(record.at_us);
        if record.principal != SUPERVISOR {
            self.alive_at = self.last_at;
        }
        if let Err(reason) = self.fold(record) {
            self.unreadable += 1;
            tracing::error!(
                stream = record.stream,
                position = record.position,
                %reason,
                "this event cannot be folded; run `mainstay verify` for all findings"
            );
        }
    }

    fn fold(&mut self, record: &RecordRef<'_>) -> Result<(), String> {
        let (kind, id) = record.kind_and_id();
        match kind {
            System::KIND => {
                take(&mut self.systems, id, record)?;
                if id == RESTORE
                    && let Some(Fence { at, .. }) = self.fence()
                {
                    self.fenced_locks.extend(std::mem::take(&mut self.locks).into_keys());
                    self.sessions.fence(at);
                }
                Ok(())
            },
            Dependency::KIND => take(&mut self.dependencies, id, record),
            Key::KIND => take(&mut self.keys, id, record),
            Chaos::KIND => take(&mut self.experiments, id, record),
            Lock::KIND => {
                let event = LockEvent::decode(record.type_id, record.schema, record.payload)
                    .map_err(|error| error.to_string())?;
                if matches!(event, LockEvent::LeasesFenced(_)) && self.fenced_locks.remove(id) {
                    return Ok(());
                }
                take_lock(&mut self.locks, id, &event)
            },
            Session::KIND => {
                let event = SessionEvent::decode(record.type_id, record.schema, record.payload)
                    .map_err(|error| error.to_string())?;
                self.erased.take_session(id, &event);
                self.sessions.take(id, &event);
                Ok(())
            },
            Subject::KIND => {
                let event = SubjectEvent::decode(record.type_id, record.schema, record.payload)
                    .map_err(|error| error.to_string())?;
                self.erased.take_subject(id, &event);
                Ok(())
            },
            other => Err(format!("streams of kind {other:?} are unknown here")),
        }
    }

    /// The last restore, if there was one.
    pub(crate) fn fence(&self) -> Option<Fence> {
        self.systems.get(RESTORE).and_then(Fence::of)
    }

    /// Locks that are to say that their leases are over, and since when.
    pub(crate) fn fenced(&self) -> impl Iterator<Item = (Timestamp, StreamId)> {
        let at = self.fence().map_or_else(Timestamp::default, |fence| fence.at);
        let streams = self.fenced_locks.iter().filter_map(|name| StreamId::new(Lock::KIND, name));
        streams.map(move |stream| (at, stream))
    }

    /// The next deadline of every held lock and every dependency that has one.
    pub(crate) fn deadlines<'w, M: Machine>(
        states: impl IntoIterator<Item = (&'w String, &'w M::State)>,
    ) -> impl Iterator<Item = (Timestamp, StreamId)> {
        states
            .into_iter()
            .filter_map(|(id, state)| Some((M::deadline(state)?, StreamId::new(M::KIND, id)?)))
    }
}

fn take<M: Machine>(
    states: &mut BTreeMap<String, Loaded<M>>,
    id: &str,
    record: &RecordRef<'_>,
) -> Result<(), String> {
    if let Some(loaded) = states.get_mut(id) {
        return loaded.take(record);
    }
    let mut loaded = Loaded::<M>::nothing(record.epoch);
    loaded.take(record)?;
    states.insert(id.to_owned(), loaded);
    Ok(())
}

/// A lock that nobody holds or waits for is forgotten: its own fold has what it remembers.
fn take_lock(
    locks: &mut BTreeMap<String, LockState>,
    id: &str,
    event: &LockEvent,
) -> Result<(), String> {
    let fold = |state: &mut LockState| {
        Lock::fold(state, event).map_err(|illegal| illegal.to_string())?;
        Ok::<bool, String>(!state.is_in_use())
    };
    if let Some(state) = locks.get_mut(id) {
        if fold(state)? {
            locks.remove(id);
        }
        return Ok(());
    }
    let mut state = LockState::default();
    if !fold(&mut state)? {
        locks.insert(id.to_owned(), state);
    }
    Ok(())
}

/// What recovery found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) facts: Facts,
    /// When each live session ends.
    pub(crate) sessions: Vec<(Timestamp, StreamId)>,
    /// Sessions that own or wait for a lock and are over: their locks were not released before
    /// the crash.
    pub(crate) orphaned: BTreeSet<SmolStr>,
    /// How far the checkpoint was.
    pub(crate) kept: u64,
}

/// Folds the journal from its last checkpoint on; `tell` hears `(done, total)`. A fold of
/// `checkpoint_events` or more is kept, so that the next start need not repeat it.
pub(crate) fn recover(
    log: &dyn EventLog,
    checkpoint_events: u64,
    mut tell: impl FnMut(u64, u64),
) -> Result<Recovered, StartError> {
    let recovered = match checkpoint::read(log) {
        Some(kept) => match from(log, kept, checkpoint_events, &mut tell) {
            // The checkpoint's end can be damaged, too.
            Err(Trouble::Kept(reason)) => {
                tracing::warn!(%reason, "the checkpoint is not used; the whole journal is folded");
                from(log, begin(log), checkpoint_events, &mut tell)
            },
            recovered => recovered,
        },
        None => from(log, begin(log), checkpoint_events, &mut tell),
    };
    Ok(recovered?)
}

/// Where the fold begins without a checkpoint: behind what was dropped, else before the first record.
pub(crate) fn begin(log: &dyn EventLog) -> Kept {
    let Some(base) = log.base() else { return Kept::nothing() };
    base::facts(&base).unwrap_or_else(|reason| {
        tracing::warn!(%reason, "the archive is folded from its beginning");
        Kept::nothing()
    })
}

/// Why nothing could be folded.
pub(crate) enum Trouble {
    Journal(mainstay_journal::ReadError),
    Kept(String),
}

impl From<Trouble> for StartError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Journal(error) => error.into(),
            Trouble::Kept(reason) => Self::Refused(reason),
        }
    }
}

fn from(
    log: &dyn EventLog,
    kept: Kept,
    checkpoint_events: u64,
    tell: &mut impl FnMut(u64, u64),
) -> Result<Recovered, Trouble> {
    let Kept { mut facts, sessions } = kept;
    let head = log.head();
    let mut kept = facts.head.position;
    follow(log, &mut facts, head.position, |position| {
        tell(position, head.position);
        ControlFlow::Continue(())
    })?;
    facts.head = head;
    let claims = facts.locks.values().flat_map(|lock| {
        let grants = lock.grants.iter().map(|grant| &grant.claim);
        grants.chain(lock.waiters.iter().map(|waiter| &waiter.claim))
    });
    let mut orphaned: BTreeSet<SmolStr> =
        claims.filter_map(|claim| claim.session.clone()).collect();
    let mut live = Vec::new();
    for session in std::mem::take(&mut facts.sessions).merge(sessions) {
        let (id, due) = session.map_err(|error| Trouble::Kept(error.to_string()))?;
        orphaned.remove(&*id);
        live.push((id, due));
    }
    if checkpoint_events > 0 && head.position >= kept.saturating_add(checkpoint_events) {
        match checkpoint::keep(log, &facts, live.iter().cloned().map(Ok), &|| false) {
            Ok(()) => kept = head.position,
            Err(reason) => tracing::warn!(%reason, "no checkpoint was made"),
        }
    }
    let due = |(id, due): LiveSession| Some((due.at(), StreamId::new(Session::KIND, &id)?));
    let sessions = live.into_iter().filter_map(due).collect();
    Ok(Recovered { facts, sessions, orphaned, kept })
}

/// Folds what comes after `facts` up to a position; `tell` may end it.
pub(crate) fn follow(
    log: &dyn EventLog,
    facts: &mut Facts,
    upto: u64,
    mut tell: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Trouble> {
    let read = log.scan(facts.head.position + 1, upto, &mut |record| {
        facts.take(&record);
        if record.position % TELL_EVERY == 0 {
            tell(record.position)
        } else {
            ControlFlow::Continue(())
        }
    });
    read.map_err(Trouble::Journal)
}
