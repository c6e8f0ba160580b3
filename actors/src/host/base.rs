//! The states that a journal keeps of what was dropped from it: where folds begin.

use std::io;
use std::ops::ControlFlow;

use mainstay_journal::{Base, ReadError, Snapshot, StreamId};

use super::begun::BY_SUBJECT;
use super::checkpoint::Kept;
use super::due::Due;
use super::loaded::{Loaded, thaw};
use super::recovery::Facts;
use super::restore::Fence;
use crate::chaos::Chaos;
use crate::dependency::Dependency;
use crate::key::Key;
use crate::lock::Lock;
use crate::machine::Machine;
use crate::session::{Session, SessionState};
use crate::subject::Subject;
use crate::system::System;
use crate::time::Timestamp;
use crate::world::{Entities, World};

/// Why a state that was kept cannot begin a fold.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another version of mainstay wrote it.
    #[error(
        "the state of {stream} at position {position} was written by another version; use that one, \
         or fold the archive from its beginning"
    )]
    OtherVersion {
        /// Whose state.
        stream: String,
        /// The last position that was dropped.
        position: u64,
    },
}

/// Puts every stream's state into a world that is empty, or those that are wanted. Sessions that have
/// ended are left out, as a fold forgets them; returns how many they are.
///
/// # Errors
/// See [`BaseError`].
pub fn begin_world(
    base: &Base,
    world: &mut World,
    wants: &dyn Fn(&StreamId) -> bool,
) -> Result<u64, BaseError> {
    let (mut ended, fence) = (0, Fence::of_base(base)?);
    each(base, "", &mut |state| {
        if !wants(&state.stream) {
            return true;
        }
        if let Some(SessionState::Ended { .. }) = session(state) {
            ended += 1;
            return true;
        }
        let begun = begin_stream(world, state).is_some();
        if fence.is_some_and(|fence| fence.covers(state.head)) {
            world.fence_one(state.stream.kind(), state.stream.id());
        }
        begun
    })?;
    Ok(ended)
}

/// Puts one stream's state into a world; returns the epoch of its last record. `None` if another
/// version wrote it.
pub fn begin_stream(world: &mut World, state: &Snapshot) -> Option<u32> {
    match state.stream.kind() {
        System::KIND => put::<System>(&mut world.system, state),
        Dependency::KIND => put::<Dependency>(&mut world.dependencies, state),
        Session::KIND => put::<Session>(&mut world.sessions, state),
        Lock::KIND => put::<Lock>(&mut world.locks, state),
        Subject::KIND => put::<Subject>(&mut world.subjects, state),
        Key::KIND => put::<Key>(&mut world.keys, state),
        Chaos::KIND => put::<Chaos>(&mut world.experiments, state),
        _ => None,
    }
}

fn put<M: Machine>(states: &mut Entities<M::State>, state: &Snapshot) -> Option<u32> {
    let loaded = thaw::<M>(state)?;
    states.insert(state.stream.id(), loaded.state);
    Some(loaded.epoch)
}

fn session(state: &Snapshot) -> Option<SessionState> {
    let is_session = state.stream.kind() == Session::KIND;
    is_session.then(|| thaw::<Session>(state)).flatten().map(|loaded| loaded.state)
}

/// What a start needs of everything that was dropped.
pub(crate) fn facts(base: &Base) -> Result<Kept, BaseError> {
    let at = Timestamp::from_micros(base.at_us());
    let mut facts = Facts { head: base.head(), last_at: at, alive_at: at, ..Facts::default() };
    facts.sessions.since_kept = true;
    let mut sessions = Vec::new();
    // Who was erased is known before the sessions are looked at.
    each(base, "subject/", &mut |state| {
        let Some(Loaded { state: subject, .. }) = thaw::<Subject>(state) else { return false };
        let id = state.stream.id().to_owned();
        let erased = subject.erased.map(|erasure| (id, erasure.sessions_ended.is_some()));
        facts.erased.subjects.extend(erased);
        true
    })?;
    let fence = Fence::of_base(base)?;
    each(base, "", &mut |state| {
        let fence = fence.filter(|fence| fence.covers(state.head));
        take(&mut facts, &mut sessions, state, fence).is_some()
    })?;
    Ok(Kept { facts, sessions: Box::new(sessions.into_iter().map(io::Result::Ok)) })
}

fn take(
    facts: &mut Facts,
    sessions: &mut Vec<super::due::LiveSession>,
    state: &Snapshot,
    fence: Option<Fence>,
) -> Option<()> {
    let id = state.stream.id();
    match state.stream.kind() {
        System::KIND => drop(facts.systems.insert(id.to_owned(), unkept(state)?)),
        Dependency::KIND => drop(facts.dependencies.insert(id.to_owned(), unkept(state)?)),
        Key::KIND => drop(facts.keys.insert(id.to_owned(), unkept(state)?)),
        Chaos::KIND => drop(facts.experiments.insert(id.to_owned(), unkept(state)?)),
        Lock::KIND => {
            let Loaded { state, .. } = thaw::<Lock>(state)?;
            if state.is_in_use() && fence.is_some() {
                facts.fenced_locks.insert(id.to_owned());
            } else if state.is_in_use() {
                facts.locks.insert(id.to_owned(), state);
            }
        },
        Session::KIND => {
            if let SessionState::Live(live) = thaw::<Session>(state)?.state {
                let subject = format!("{}/{}", live.tenant, live.subject);
                if facts.erased.subjects.contains_key(&subject) {
                    facts.erased.sessions.insert(id.to_owned());
                }
                let due = Due::of(&live);
                sessions.push((id.into(), fence.map_or(due, |fence| due.fenced(fence.at))));
            }
        },
        Subject::KIND => {},
        _ => return None,
    }
    Some(())
}

/// As an entity finds it that was never kept in the store.
fn unkept<M: Machine>(state: &Snapshot) -> Option<Loaded<M>> {
    thaw::<M>(state).map(|loaded| Loaded { kept: 0, ..loaded })
}

/// Calls `take` with the states whose names begin like this; false says that one cannot be read.
fn each(
    base: &Base,
    prefix: &str,
    take: &mut dyn FnMut(&Snapshot) -> bool,
) -> Result<(), BaseError> {
    let mut other = None;
    base.states(prefix, &mut |state| {
        if !state.stream.as_str().starts_with(prefix) {
            return ControlFlow::Break(());
        }
        if state.stream.kind() != BY_SUBJECT && !take(&state) {
            other = Some(state.stream.as_str().to_owned());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let position = base.head().position;
    other.map_or(Ok(()), |stream| Err(BaseError::OtherVersion { stream, position }))
}
