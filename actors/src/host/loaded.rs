//! What an entity starts from: the fold of its stream, or a snapshot and what came after it.
//!
//! ```text
//!   snapshot at version 640 ─┐
//!   records 641, 642, … ─────┴─► fold ─► state, requests, newest record
//! ```

use std::ops::ControlFlow;

use mainstay_journal::{EventLog, Head, RecordRef, Snapshot, StreamId};
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use crate::codec::{self, Payload};
use crate::machine::Machine;
use crate::time::Timestamp;

/// What a stream folds to, with what the host needs beside the state.
#[derive(Debug)]
pub(crate) struct Loaded<M: Machine> {
    pub(crate) state: M::State,
    pub(crate) head: Head,
    pub(crate) epoch: u32,
    pub(crate) ledger: Ledger<M::Event>,
    /// The version at which the state was last kept in the store.
    pub(crate) kept: u64,
}

impl<M: Machine> Loaded<M> {
    /// A stream without records.
    pub(crate) fn nothing(epoch: u32) -> Self {
        let (state, head, ledger) = (M::State::default(), Head::default(), Ledger::default());
        Self { state, head, epoch, ledger, kept: 0 }
    }

    /// Folds the stream's next record.
    pub(crate) fn take(&mut self, record: &RecordRef<'_>) -> Result<(), String> {
        let event = M::Event::decode(record.type_id, record.schema, record.payload)
            .map_err(|error| error.to_string())?;
        M::fold(&mut self.state, &event).map_err(|illegal| illegal.to_string())?;
        self.head = Head { version: record.version, position: record.position };
        self.epoch = record.epoch;
        if let Some((id, fingerprint)) = record.request {
            let at = Timestamp::from_micros(record.at_us);
            self.ledger.remember(id, fingerprint, at, M::remembered(&event));
        }
        Ok(())
    }
}

/// Folds a stream to its durable end; keeps the state if that took many records.
pub(crate) fn load<M: Machine>(
    log: &dyn EventLog,
    stream: &StreamId,
    snapshot_events: u64,
) -> Result<Loaded<M>, String> {
    let text = |error: mainstay_journal::ReadError| error.to_string();
    let epoch = log.head().epoch;
    let head = log.stream_head(stream, u64::MAX).map_err(text)?;
    let mut loaded = Loaded::<M>::nothing(epoch);
    if head.version == 0 {
        return Ok(loaded);
    }
    let dropped = log.base().map_or(0, |base| base.head().position);
    let snapshot = (head.version >= snapshot_events).then(|| log.snapshot(stream)).flatten();
    let snapshot = snapshot.filter(|kept| kept.head.position > dropped);
    let mut folded = false;
    if let Some(kept) = snapshot.and_then(|kept| thaw::<M>(&kept)) {
        loaded = kept;
        let at = loaded.head.position;
        // It may be of another history.
        folded = fold(log, stream, head, &mut loaded)?;
        // It was made before its newest record was durable, so it does not know that one's epoch.
        if folded && at == loaded.head.position {
            loaded.epoch = log.epoch_at(at).map_err(text)?;
        }
    }
    if !folded && let Some(kept) = at_base::<M>(log, stream)? {
        loaded = kept;
        folded = fold(log, stream, head, &mut loaded)?;
    }
    if !folded {
        loaded = Loaded::nothing(epoch);
        fold(log, stream, head, &mut loaded)?;
    }
    if loaded.head.version >= loaded.kept.saturating_add(snapshot_events)
        && let Some(bytes) = freeze::<M>(&loaded.state, loaded.epoch, &loaded.ledger)
    {
        loaded.kept = loaded.head.version;
        log.keep_snapshot(Snapshot { stream: stream.clone(), head: loaded.head, bytes });
    }
    Ok(loaded)
}

/// What a stream was when its first records were dropped from the journal.
fn at_base<M: Machine>(log: &dyn EventLog, stream: &StreamId) -> Result<Option<Loaded<M>>, String> {
    let Some(base) = log.base() else { return Ok(None) };
    let state = base.state(stream).map_err(|error| error.to_string())?;
    Ok(state.and_then(|state| thaw::<M>(&state)).map(|loaded| Loaded { kept: 0, ..loaded }))
}

/// Folds what comes after `loaded`; false if that is no part of the stream.
fn fold<M: Machine>(
    log: &dyn EventLog,
    stream: &StreamId,
    head: Head,
    loaded: &mut Loaded<M>,
) -> Result<bool, String> {
    let mut trouble = None;
    let read =
        log.read_between(stream, loaded.head, head, &mut |record| match loaded.take(&record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => {
                trouble = Some(format!(
                    "position {}: {reason}; run `mainstay verify` for all findings",
                    record.position
                ));
                ControlFlow::Break(())
            },
        });
    match (read, trouble) {
        (Ok(met), None) => Ok(met),
        (Ok(_), Some(reason)) => Err(reason),
        (Err(error), _) => Err(error.to_string()),
    }
}

/// Snapshots of another number are not read.
const FORMAT: u8 = 1;
/// A state that is larger is folded from its records each time, in bytes.
const MAX_SNAPSHOT_BYTES: usize = 1 << 20;

/// What a snapshot holds beside the state: requests with their events, encoded.
#[derive(Serialize, Deserialize)]
struct Rest {
    epoch: u32,
    requests: Vec<(String, u64, Timestamp, Vec<Encoded>)>,
}

/// Type id, schema version, payload.
type Encoded = (u16, u16, Vec<u8>);

/// A state and its requests as bytes; `None` if they are too large for a snapshot.
pub(crate) fn freeze<M: Machine>(
    state: &M::State,
    epoch: u32,
    ledger: &Ledger<M::Event>,
) -> Option<Vec<u8>> {
    frozen::<M>(state, epoch, ledger).filter(|bytes| bytes.len() <= MAX_SNAPSHOT_BYTES)
}

/// A state and its requests as bytes, of whatever size.
pub(crate) fn frozen<M: Machine>(
    state: &M::State,
    epoch: u32,
    ledger: &Ledger<M::Event>,
) -> Option<Vec<u8>> {
    let encoded = |event: &M::Event| {
        let (type_id, schema) = event.type_id();
        let mut payload = Vec::new();
        event.encode(&mut payload).ok().map(|()| (type_id, schema, payload))
    };
    let requests = ledger.entries().map(|entry| {
        let events = entry.events.iter().map(encoded).collect::<Option<Vec<_>>>()?;
        Some((entry.request.to_string(), entry.fingerprint, entry.at, events))
    });
    let rest = Rest { epoch, requests: requests.collect::<Option<Vec<_>>>()? };
    let mut bytes = vec![FORMAT];
    codec::encode("snapshot", &(M::LAYOUT, state, rest), &mut bytes).ok()?;
    Some(bytes)
}

/// The state and requests of a snapshot, if this version can read them.
pub(crate) fn thaw<M: Machine>(snapshot: &Snapshot) -> Option<Loaded<M>> {
    let (format, bytes) = snapshot.bytes.split_first()?;
    (*format == FORMAT).then_some(())?;
    let layout: (u16, _) = codec::decode_front(bytes)?;
    (layout.0 == M::LAYOUT).then_some(())?;
    let (state, rest): (M::State, Rest) = codec::decode("snapshot", layout.1).ok()?;
    let mut ledger = Ledger::default();
    for (id, fingerprint, at, events) in rest.requests {
        for (type_id, schema, payload) in events {
            let event = M::Event::decode(type_id, schema, &payload).ok()?;
            ledger.remember(&id, fingerprint, at, event);
        }
    }
    let head = snapshot.head;
    Some(Loaded { state, head, epoch: rest.epoch, ledger, kept: head.version })
}

#[cfg(test)]
mod layouts;
