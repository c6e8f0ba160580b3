//! The state at a moment: the whole in pages, or one stream.
//!
//! ```text
//!   StateAt   place · health · dependencies · a page of live sessions · a page of held locks
//!   StreamAt  place · version · the stream's state
//! ```

use std::ops::ControlFlow;

use mainstay_actors::health::{Input, Level, assess};
use mainstay_actors::host::{DependencyView, Fence, begin_stream};
use mainstay_actors::lock::{LockState, LockView};
use mainstay_actors::rate::Score;
use mainstay_actors::session::{Attributes, EndReason, Live, SessionState};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::World;
use mainstay_journal::{Cursor, Head, ReadError, ReadLog, StreamId};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Fold, Place, Unfoldable};

/// Everything that was live at a moment, one page of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct StateAt {
    /// Which moment.
    #[serde(flatten)]
    pub place: Place,
    /// The global health.
    pub health: HealthAt,
    /// Every configured dependency, as in `/health`.
    pub dependencies: Vec<DependencyView>,
    /// How many sessions lived.
    pub live_sessions: u64,
    /// Those of this page, by tenant and id.
    pub sessions: Vec<SessionAt>,
    /// The last one of this page, if there are more.
    pub next_session: Option<String>,
    /// How many locks were held or waited for.
    pub held_locks: u64,
    /// Those of this page, by name.
    pub locks: Vec<LockAt>,
    /// The last one of this page, if there are more.
    pub next_lock: Option<String>,
}

/// The global health at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HealthAt {
    /// The journaled level.
    pub level: Level,
    /// Since when; absent before its first change.
    pub since: Option<Timestamp>,
    /// The score that follows from the dependencies.
    pub score: Score,
    /// Weight of the dependencies whose score is known.
    pub known_weight: u64,
}

/// A session that lived at a moment; of its attributes names and sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionAt {
    /// Whose it is.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// Whom it is about.
    pub subject: String,
    /// The attribute revision.
    pub revision: u64,
    /// Sizes by name.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub attributes: Attributes,
    /// When it began.
    pub created_at: Timestamp,
    /// The last journaled activity.
    pub active_at: Timestamp,
    /// When it ends unless it is touched.
    pub expires_at: Timestamp,
}

/// A lock that was held or waited for at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LockAt {
    /// Its name.
    pub name: String,
    /// Holders, waiters and the last token.
    #[serde(flatten)]
    pub view: LockView,
}

/// Which page of sessions and locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatePage<'a> {
    /// Sessions after this `{tenant}/{id}`.
    pub after_session: &'a str,
    /// Locks after this name.
    pub after_lock: &'a str,
    /// Most of each.
    pub limit: usize,
}

/// What a stream folds to at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct StreamAt {
    /// `kind/id`.
    pub stream: String,
    /// Events of the stream up to the moment.
    pub version: u64,
    /// Of the history.
    pub epoch: u32,
    /// The last of those events.
    pub position: u64,
    /// The time by which it is judged.
    pub at: Option<Timestamp>,
    /// The entity.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub state: Value,
}

/// Why a stream has no state at a moment.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It has no event there.
    #[error("there is no stream {stream} up to position {position}")]
    NoStream {
        /// Its name.
        stream: StreamId,
        /// The moment.
        position: u64,
    },
    /// Its events cannot be folded.
    #[error(transparent)]
    Fold(#[from] Unfoldable),
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        Self::Fold(error.into())
    }
}

/// One page of the state that a fold has reached, as it was at `place`.
#[must_use]
pub fn state_at(fold: &Fold, place: Place, page: StatePage<'_>) -> StateAt {
    let now = place.judged_at();
    let sessions = fold.live_sessions(page.after_session, now);
    let sessions = sessions.take(page.limit + 1).map(|(key, live)| SessionAt::of(key, live));
    let more = |count: usize| count > page.limit;
    let mut sessions: Vec<SessionAt> = sessions.collect();
    let more_sessions = more(sessions.len());
    sessions.truncate(page.limit);
    let last = sessions.last().filter(|_| more_sessions);
    let next_session = last.map(|it| format!("{}/{}", it.tenant, it.id));
    let mut locks: Vec<LockAt> = held_locks(&fold.world, page.after_lock, now)
        .take(page.limit + 1)
        .map(|(name, lock)| LockAt { name: name.to_owned(), view: lock.view_at(now) })
        .collect();
    let more_locks = more(locks.len());
    locks.truncate(page.limit);
    let next_lock = locks.last().filter(|_| more_locks).map(|it| it.name.clone());
    let views = fold.world.dependencies.iter();
    StateAt {
        place,
        health: health_at(&fold.world),
        dependencies: views.filter_map(|(name, state)| DependencyView::of(name, state)).collect(),
        live_sessions: fold.live_sessions("", now).count() as u64,
        sessions,
        next_session,
        held_locks: held_locks(&fold.world, "", now).count() as u64,
        locks,
        next_lock,
    }
}

/// What one stream folds to at `place`.
///
/// # Errors
/// See [`StreamError`].
pub fn stream_at(
    log: &dyn ReadLog,
    stream: &StreamId,
    place: &Place,
) -> Result<StreamAt, StreamError> {
    let mut world = World::default();
    let (mut cursor, mut version, mut trouble) = (Cursor::default(), 0, None);
    let mut from = Head::default();
    if let Some(base) = log.base().filter(|base| base.head().position <= place.position)
        && let Some(state) = base.state(stream)?
        && let Some(epoch) = begin_stream(&mut world, &state)
    {
        (from, version) = (state.head, state.head.version);
        cursor = Cursor { epoch, position: state.head.position };
    }
    let head = log.stream_head(stream, place.position)?;
    log.read_between(stream, from, head, &mut |record| {
        (cursor, version) = (record.cursor(), record.version);
        match crate::event::apply(&mut world, &record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(meaningless) => {
                trouble = Some(meaningless);
                ControlFlow::Break(())
            },
        }
    })?;
    if let Some(reason) = trouble {
        return Err(Unfoldable::Meaningless { position: cursor.position, reason }.into());
    }
    if version == 0 {
        let (stream, position) = (stream.clone(), place.position);
        return Err(StreamError::NoStream { stream, position });
    }
    let fence = Fence::newest(log, place.position)?;
    let fence = fence.filter(|it| it.covers(Head { version, position: cursor.position }));
    Ok(StreamAt {
        stream: stream.as_str().to_owned(),
        version,
        epoch: cursor.epoch,
        position: cursor.position,
        at: place.at,
        state: only_state(world, place.judged_at(), fence),
    })
}

/// The one state of a world that was folded from one stream, without what is over.
fn only_state(world: World, now: Timestamp, fence: Option<Fence>) -> Value {
    let World { system, dependencies, sessions, locks, subjects, keys, experiments, fenced: _ } =
        world;
    let states = system.into_values().map(|state| json!(state));
    let states = states.chain(dependencies.into_values().map(|state| json!(state)));
    let states = states.chain(sessions.into_values().map(|state| json!(judged(state, now, fence))));
    let states = states.chain(subjects.into_values().map(|state| json!(state)));
    let states = states.chain(keys.into_values().map(|state| json!(state)));
    let states = states.chain(experiments.into_values().map(|state| json!(state)));
    // A restore has ended all of a lock's leases and waiters.
    let now = if fence.is_some() { Timestamp::from_micros(u64::MAX) } else { now };
    let mut states = states.chain(locks.into_values().map(|state| json!(without_over(state, now))));
    states.next().unwrap_or(Value::Null)
}

/// A session that has run out or that a restore has ended, by the reason and at the time that will be
/// journaled.
fn judged(state: SessionState, now: Timestamp, fence: Option<Fence>) -> SessionState {
    match (state, fence) {
        (SessionState::Live(_), Some(Fence { at, .. })) => {
            SessionState::Ended { reason: EndReason::Restored, at }
        },
        (SessionState::Live(live), None) if live.expires_at() <= now => {
            let at = live.expires_at();
            let reason = if live.ends_at == Some(at) { EndReason::MaxAge } else { EndReason::Idle };
            SessionState::Ended { reason, at }
        },
        (other, _) => other,
    }
}

fn without_over(mut lock: LockState, now: Timestamp) -> LockState {
    lock.grants.retain(|grant| grant.ends_at() > now);
    lock.waiters.retain(|waiter| waiter.deadline > now);
    lock
}

/// Locks that are held or waited for at a time, by name, after one of them.
fn held_locks<'w>(
    world: &'w World,
    after: &str,
    now: Timestamp,
) -> impl Iterator<Item = (&'w str, &'w LockState)> {
    world.locks.after(after).filter(move |(_, lock)| {
        lock.grants.iter().any(|grant| grant.ends_at() > now)
            || lock.waiters.iter().any(|waiter| waiter.deadline > now)
    })
}

fn health_at(world: &World) -> HealthAt {
    let inputs: Vec<Input<'_>> = world
        .dependencies
        .iter()
        .filter(|(_, state)| !state.retired)
        .filter_map(|(name, state)| {
            let settings = state.settings.as_ref()?;
            let down = state.breaker.mode.is_down();
            let (weight, cap) = (settings.weight, settings.cap);
            Some(Input { name, weight, score: state.score(), down, cap })
        })
        .collect();
    let assessment = assess(&inputs);
    let journaled = world.system.get("health").cloned().unwrap_or_default();
    HealthAt {
        level: journaled.level,
        since: journaled.since,
        score: assessment.score,
        known_weight: assessment.known_weight,
    }
}

impl SessionAt {
    fn of(key: &str, live: &Live) -> Self {
        let id = key.split_once('/').map_or(key, |(_, id)| id);
        Self {
            tenant: live.tenant.to_string(),
            id: id.to_owned(),
            subject: live.subject.to_string(),
            revision: live.revision,
            attributes: live.attributes.clone(),
            created_at: live.created_at,
            active_at: live.active_at,
            expires_at: live.expires_at(),
        }
    }
}
