//! A journal that was restored: the record that says so, and the fence that follows from it.
//!
//! ```text
//!   … records up to the fork │ Restored │ what comes after it
//!       leases, sessions ────┴── over ──► each entity's next event says so: LeasesFenced, SessionFenced
//! ```
//!
//! Who held them at the fork may have lost them behind it, in the history that was left. No event is
//! written for each at a start: an entity is fenced when it is asked for, or when its time comes, which
//! is at once; until then nothing shows it as live. The fence lies in the journal, so every start knows
//! it (ADR-0019).

use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_journal::{
    Append, Base, Cursor, Draft, Envelope, EventLog, Head, ReadError, ReadLog, StreamId, Tags,
};

use super::loaded::{Loaded, load, thaw};
use crate::codec::Payload;
use crate::machine::{Context, Machine};
use crate::system::{RESTORE, System, SystemCommand, SystemState};
use crate::time::Timestamp;

/// The restore of a journal from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The last record that was restored.
    pub fork: Cursor,
    /// Which backup; it is shown and journaled, so it must hold no credentials.
    pub source: String,
    /// No time and no fencing token of the history that is left lies above this.
    pub floor: Timestamp,
}

/// A restore as the journal tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Where its record lies.
    pub position: u64,
    /// When it was.
    pub at: Timestamp,
}

impl Fence {
    /// Whether it ends what a stream with this newest record holds.
    #[must_use]
    pub fn covers(&self, head: Head) -> bool {
        head.version > 0 && head.position < self.position
    }

    /// The newest fence of a journal at or before a position.
    ///
    /// # Errors
    /// The journal cannot be read, or the record is none.
    pub fn newest(log: &dyn ReadLog, upto: u64) -> Result<Option<Self>, ReadError> {
        let Some(stream) = stream() else { return Ok(None) };
        let head = log.stream_head(&stream, upto)?;
        if let Some(base) = log.base().filter(|base| head.position <= base.head().position)
            && upto >= base.head().position
        {
            return Self::of_base(&base);
        }
        let mut at = None;
        if head.version > 0 {
            log.scan(head.position, head.position, &mut |record| {
                at = Some(Timestamp::from_micros(record.at_us));
                ControlFlow::Break(())
            })?;
        }
        Ok(at.map(|at| Self { position: head.position, at }))
    }

    /// The fences behind a position up to another, oldest first.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn between(log: &dyn ReadLog, after: u64, upto: u64) -> Result<Vec<Self>, ReadError> {
        let mut fences = Vec::new();
        let Some(stream) = stream() else { return Ok(fences) };
        let (from, to) = (log.stream_head(&stream, after)?, log.stream_head(&stream, upto)?);
        if from != to {
            log.read_between(&stream, from, to, &mut |record| {
                let at = Timestamp::from_micros(record.at_us);
                fences.push(Self { position: record.position, at });
                ControlFlow::Continue(())
            })?;
        }
        Ok(fences)
    }

    /// The newest fence among what was dropped.
    pub(crate) fn of_base(base: &Base) -> Result<Option<Self>, ReadError> {
        let Some(stream) = stream() else { return Ok(None) };
        let kept = base.state(&stream)?;
        Ok(kept.and_then(|kept| thaw::<System>(&kept)).as_ref().and_then(Self::of))
    }

    /// The newest fence of the stream that tells of them.
    pub(crate) fn of(loaded: &Loaded<System>) -> Option<Self> {
        let SystemState { restored, .. } = loaded.state;
        restored.map(|at| Self { position: loaded.head.position, at })
    }
}

/// The stream that tells of restores.
fn stream() -> Option<StreamId> {
    StreamId::new(System::KIND, RESTORE)
}

/// How long the record of a restore may take to become durable.
const PATIENCE: Duration = Duration::from_mins(1);

/// Records in an opened journal, before any host runs on it, that it was restored; returns where. Its
/// time is `now`, or behind the floor if that is later: every clock and token that follows lies above it.
///
/// # Errors
/// In words: the journal cannot be read, or did not take the record.
pub fn record_restore(
    log: &dyn EventLog,
    restore: Restore,
    now: Timestamp,
) -> Result<Cursor, String> {
    let stream = stream().ok_or("system/restore is no stream")?;
    let before = log.head();
    let Loaded { state, head, .. } = load::<System>(log, &stream, u64::MAX)?;
    let Restore { fork, source, floor } = restore;
    let (fork_epoch, fork_position) = (fork.epoch, fork.position);
    let command = SystemCommand::Restore { fork_epoch, fork_position, source, floor };
    let now = now.max(last_time(log).map_err(|error| error.to_string())?);
    let context = Context { now, chance: 0, boot: 0, principal: PRINCIPAL, request: None };
    let decision = System::decide(&state, command, &context).map_err(|no| no.to_string())?;
    let mut drafts = Vec::new();
    let mut after = state;
    for event in &decision.events {
        System::fold(&mut after, event).map_err(|illegal| illegal.to_string())?;
        let ((type_id, schema), mut payload) = (event.type_id(), Vec::new());
        event.encode(&mut payload).map_err(|error| error.to_string())?;
        drafts.push(Draft { type_id, schema, tags: Tags::new(), payload });
    }
    let envelope = Envelope {
        at_us: after.restored.unwrap_or(now).as_micros(),
        principal: PRINCIPAL.into(),
        request: None,
        correlation: None,
        causation: None,
    };
    let expected_version = head.version;
    let append = Append { activation: 0, stream, expected_version, seen: None, envelope, drafts };
    log.submit(append).map_err(|_| "the journal takes no record")?;
    let durable = log.wait_beyond(before.position, PATIENCE);
    if durable.position > before.position {
        return Ok(durable);
    }
    let refusing = log.status().refusing.map(|refusal| refusal.to_string());
    Err(refusing.unwrap_or_else(|| "the record of the restore did not become durable".to_owned()))
}

const PRINCIPAL: &str = "system:restore";

/// Time of the newest record; of what was dropped, if nothing follows it.
fn last_time(log: &dyn ReadLog) -> Result<Timestamp, ReadError> {
    let (head, mut at_us) = (log.head().position, 0);
    match log.base().filter(|base| base.head().position == head) {
        Some(base) => at_us = base.at_us(),
        None => log.scan(head.max(1), head, &mut |record| {
            at_us = record.at_us;
            ControlFlow::Break(())
        })?,
    }
    Ok(Timestamp::from_micros(at_us))
}
