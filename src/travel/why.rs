//! Why: one event, what made it necessary, and what it led to.
//!
//! ```text
//!   causation: event ──► its cause ──► … ──► where it began
//!   effects:   look ahead: records whose causation is one of the tree's
//!   beside it: the rest of the same decision · events under the same correlation
//! ```
//!
//! Causes are followed by position. Effects have no index: they are looked for in the
//! [`LOOK_AHEAD`] events that follow, and the answer says how far that was.

mod effects;

use std::ops::ControlFlow;

use mainstay_actors::lock::LockEvent;
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::AnyEvent;
use mainstay_journal::{Cursor, Query, ReadError, ReadLog, RecordRef, StreamId};
use serde::{Deserialize, Serialize};

use self::effects::effects;
use super::diff::Few;
use super::tell;
use crate::event::Event;

/// Events that are looked at for effects.
pub const LOOK_AHEAD: u64 = 100_000;
/// Most effects, causes and events under the same correlation that are told.
pub const TOLD: usize = 50;
/// Events under the same correlation that are counted.
const COUNTED: u64 = 1_000;

/// An event and its story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Why {
    /// The event itself.
    pub event: Told,
    /// Other events of the same decision.
    pub together: Few<Told>,
    /// What made it necessary, the nearest first.
    pub causes: Few<Told>,
    /// What it led to, each behind its cause.
    pub effects: Few<Effect>,
    /// Other events under the same correlation.
    pub correlated: Few<Told>,
    /// Effects were looked for up to here.
    pub looked_until: u64,
    /// That is the end of the journal, and no month that was looked for is in an archive that is away.
    pub complete: bool,
}

/// An event, in its own form and in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Told {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// In words.
    pub text: String,
}

/// An effect in the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Effect {
    /// 1 for what the event caused, 2 for what that caused, and so on.
    pub depth: u32,
    /// The event.
    #[serde(flatten)]
    pub told: Told,
}

/// Whether a stream is seen.
pub type Sees<'s> = &'s dyn Fn(&str) -> bool;

/// Tells the story of the event at a position; `None` if there is none.
///
/// # Errors
/// The journal cannot be read.
pub fn why(log: &dyn ReadLog, position: u64) -> Result<Option<Why>, ReadError> {
    why_seen(log, position, &|_| true)
}

/// As [`why`], for one who sees some streams only: the others are as if they were not.
///
/// # Errors
/// See [`why`].
pub fn why_seen(
    log: &dyn ReadLog,
    position: u64,
    sees: Sees<'_>,
) -> Result<Option<Why>, ReadError> {
    let event = told_at(log, position)?.filter(|it| sees(&it.event.stream));
    let Some(event) = event else { return Ok(None) };
    let together = together(log, &event.event)?;
    let mut away = false;
    let causes = causes(log, &event.event, sees, &mut away)?;
    let mut tree: Vec<Cursor> = vec![event.event.cursor()];
    tree.extend(together.shown.iter().map(|it| it.event.cursor()));
    let (effects, looked_until) = effects(log, &tree, sees)?;
    let known = |position: u64| {
        tree.iter().any(|it| it.position == position)
            || effects.shown.iter().any(|it| it.told.event.position == position)
            || causes.shown.iter().any(|it| it.event.position == position)
    };
    let correlated = match &event.event.correlation {
        Some(correlation) => {
            let wanted = |record: &RecordRef<'_>| !known(record.position) && sees(record.stream);
            correlated(log, correlation, &wanted, &mut away)?
        },
        None => Few::default(),
    };
    let complete = looked_until >= log.head().position && !away;
    Ok(Some(Why { event, together, causes, effects, correlated, looked_until, complete }))
}

/// One decision's events lie side by side and share all that they were decided with.
fn together(log: &dyn ReadLog, event: &Event) -> Result<Few<Told>, ReadError> {
    let mut few = Few::default();
    let same = |other: &Event| {
        (&other.stream, other.at, &other.principal) == (&event.stream, event.at, &event.principal)
            && (&other.request, &other.correlation, &other.causation)
                == (&event.request, &event.correlation, &event.causation)
    };
    let mut before = Vec::new();
    for position in (1..event.position).rev().take(TOLD) {
        // One decision lies in one month.
        match here(told_at(log, position), &mut false)?.filter(|told| same(&told.event)) {
            Some(told) => before.push(told),
            None => break,
        }
    }
    for told in before.into_iter().rev() {
        few.push(told, TOLD);
    }
    for position in event.position + 1..=log.head().position {
        match told_at(log, position)?.filter(|told| same(&told.event)) {
            Some(told) if few.shown.len() < TOLD => few.push(told, TOLD),
            _ => break,
        }
    }
    Ok(few)
}

/// What can be read; nothing of a month whose archive is away.
fn here<T: Default>(read: Result<T, ReadError>, away: &mut bool) -> Result<T, ReadError> {
    match read {
        Err(ReadError::Archived(_)) => {
            *away = true;
            Ok(T::default())
        },
        read => read,
    }
}

fn causes(
    log: &dyn ReadLog,
    event: &Event,
    sees: Sees<'_>,
    away: &mut bool,
) -> Result<Few<Told>, ReadError> {
    let mut few = Few::default();
    let mut next = cause_of(log, event)?;
    while let Some(position) = next {
        let told = here(told_at(log, position), away)?.filter(|it| sees(&it.event.stream));
        let Some(told) = told else { break };
        next = cause_of(log, &told.event)?;
        few.push(told, TOLD);
        if few.more > 0 {
            break;
        }
    }
    Ok(few)
}

/// A cause lies before its effect, in the same history, if need be before a fork: every chain ends.
fn cause_of(log: &dyn ReadLog, event: &Event) -> Result<Option<u64>, ReadError> {
    let cause = event.causation.as_deref().and_then(|text| text.parse::<Cursor>().ok());
    let Some(cause) = cause.filter(|cause| cause.position < event.position) else {
        return Ok(None);
    };
    Ok(log.is_ours(cause)?.then_some(cause.position))
}

fn correlated(
    log: &dyn ReadLog,
    correlation: &str,
    wanted: &dyn Fn(&RecordRef<'_>) -> bool,
    away: &mut bool,
) -> Result<Few<Told>, ReadError> {
    let find = |after: u64| {
        let query = Query { correlation: Some(correlation.to_owned()), after, ..Query::default() };
        let mut found = Few::default();
        log.find(&query, &mut |record| {
            if wanted(&record) {
                found.push(record.position, TOLD);
            }
            if found.len() < COUNTED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    };
    let mut is_away = false;
    let mut positions: Few<u64> = here(find(0), &mut is_away)?;
    if is_away {
        *away = true;
        positions = find(log.base().map_or(0, |base| base.head().position))?;
    }
    let mut few = Few { shown: Vec::new(), more: positions.more };
    for position in positions.shown {
        few.shown.extend(told_at(log, position)?);
    }
    Ok(few)
}

/// The event at a position, in words.
fn told_at(log: &dyn ReadLog, position: u64) -> Result<Option<Told>, ReadError> {
    let mut found = None;
    if position > 0 {
        log.scan(position, position, &mut |record| {
            found = Some((Event::of(&record), decode(&record)));
            ControlFlow::Break(())
        })?;
    }
    let Some((event, decoded)) = found else { return Ok(None) };
    let Some(decoded) = decoded else {
        let text = format!("an event of a type that this version does not know, {}", event.name);
        return Ok(Some(Told { event, text }));
    };
    let owner = owner_of(log, &event, &decoded)?;
    let id = event.stream.split_once('/').map_or("", |(_, id)| id);
    let text = tell(id, &decoded, event.at, owner.as_deref());
    Ok(Some(Told { event, text }))
}

fn decode(record: &RecordRef<'_>) -> Option<AnyEvent> {
    let (kind, _) = record.kind_and_id();
    AnyEvent::decode(kind, record.type_id, record.schema, record.payload).ok()
}

/// Who held the lease that a lock's event names only by its token.
fn owner_of(
    log: &dyn ReadLog,
    event: &Event,
    decoded: &AnyEvent,
) -> Result<Option<String>, ReadError> {
    let token = match decoded {
        AnyEvent::Lock(LockEvent::LeaseRenewed(it)) => it.token,
        AnyEvent::Lock(LockEvent::LeaseClaimed(it)) => it.token,
        AnyEvent::Lock(LockEvent::LeaseReleased(it)) => it.token,
        AnyEvent::Lock(LockEvent::LeaseExpired(it)) => it.token,
        AnyEvent::Lock(LockEvent::LeaseRevoked(it)) => it.token,
        AnyEvent::Lock(LockEvent::RefusalRecorded(it)) => it.token,
        _ => return Ok(None),
    };
    let Some(stream) = StreamId::parse(&event.stream) else { return Ok(None) };
    Ok(granted(log, &stream, token, event.at)?.map(|(owner, _)| owner))
}

/// Who was granted a lease, and when: newest first, not after `until`.
pub(super) fn granted(
    log: &dyn ReadLog,
    lock: &StreamId,
    token: u64,
    until: Timestamp,
) -> Result<Option<(String, Timestamp)>, ReadError> {
    newest(log, (lock, "LeaseGranted", until), |event, at| match event {
        LockEvent::LeaseGranted(event) if event.token == token => {
            Some((event.claim.owner.into(), at))
        },
        _ => None,
    })
}

/// When a request began to wait: newest first, not after `until`.
pub(super) fn queued(
    log: &dyn ReadLog,
    lock: &StreamId,
    request: &str,
    until: Timestamp,
) -> Result<Option<Timestamp>, ReadError> {
    newest(log, (lock, "WaiterQueued", until), |event, at| match event {
        LockEvent::WaiterQueued(event) if event.claim.request.as_deref() == Some(request) => {
            Some(at)
        },
        _ => None,
    })
}

/// The newest event of a lock and a type, not after a time, that is the wanted one; by the index.
fn newest<T>(
    log: &dyn ReadLog,
    (lock, name, until): (&StreamId, &str, Timestamp),
    wanted: impl Fn(LockEvent, Timestamp) -> Option<T>,
) -> Result<Option<T>, ReadError> {
    let query = Query {
        stream: Some(lock.clone()),
        types: crate::event::type_ids(name).unwrap_or_default(),
        until_us: Some(until.as_micros()),
        ..Query::default()
    };
    let mut found = None;
    let read = log.find_back(&query, &mut |record| {
        if let Some(AnyEvent::Lock(event)) = decode(&record) {
            found = wanted(event, Timestamp::from_micros(record.at_us));
        }
        if found.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    // What lies in an archive that is away is not known.
    here(read, &mut false).map(|()| found)
}

#[cfg(test)]
mod tests;
