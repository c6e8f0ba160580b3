//! What happened to a subject and its sessions, with the values that its key opens.
//!
//! ```text
//!   stream of the subject, streams of its sessions ──► by position, the newest of them ──► history
//!                       └─ SubjectExported ──► reads
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::iter::once;
use std::ops::ControlFlow;

use mainstay_actors::session::{Sealed, SessionEvent};
use mainstay_actors::subject::SubjectEvent;
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::AnyEvent;
use mainstay_journal::{EventLog, Head, ReadError, RecordRef, StreamId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::values::{Shown, show};
use crate::event::Event;
use crate::server::problem::Problem;
use crate::vault::SubjectKey;

/// Most events of a document.
const MAX_EVENTS: usize = 10_000;
/// Most bytes of their payloads.
const MAX_EVENT_BYTES: usize = 16 << 20;
/// Most reads of a document.
const MAX_READS: usize = 1_000;

/// Whose history.
pub(super) struct Wanted {
    pub(super) subject: StreamId,
    pub(super) sessions: Vec<StreamId>,
    pub(super) key: Option<SubjectKey>,
}

/// A history, oldest first.
#[derive(Default)]
pub(super) struct Told {
    pub(super) history: Vec<Event>,
    pub(super) more_history: bool,
    pub(super) reads: Vec<Read>,
    pub(super) more_reads: bool,
}

/// Somebody was given everything about the subject.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubjectRead)]
pub(in crate::server) struct Read {
    /// Who.
    by: String,
    /// When.
    pub(super) at: Timestamp,
}

/// Blocks on files.
pub(super) fn read(log: &dyn EventLog, wanted: &Wanted) -> Result<Told, Problem> {
    let upto = log.head().position;
    let mut newest = Newest::default();
    let mut reads = VecDeque::new();
    let (mut more_reads, mut is_dropped) = (false, false);
    for stream in once(&wanted.subject).chain(&wanted.sessions) {
        let mut told = |from: Head| {
            let head = log.stream_head(stream, upto)?;
            log.read_between(stream, from, head, &mut |record| {
                reads.extend(read_by(&record));
                more_reads |= reads.len() > MAX_READS && reads.pop_front().is_some();
                newest.take(&record, wanted.key.as_ref());
                ControlFlow::Continue(())
            })
        };
        // What was dropped is told only if its archive is there.
        let dropped = log.base().map_or(Ok(None), |base| base.state(stream))?;
        let read = match told(Head::default()) {
            Err(ReadError::Archived(_)) => {
                let behind = told(dropped.map(|state| state.head).unwrap_or_default());
                is_dropped = true;
                behind
            },
            read => read,
        };
        read?;
    }
    let history = newest.events.into_values().map(|(_, event)| event).collect();
    Ok(Told {
        history,
        more_history: newest.more || is_dropped,
        reads: reads.into(),
        more_reads: more_reads || is_dropped,
    })
}

/// The newest events, by position, with the size of each.
#[derive(Default)]
struct Newest {
    events: BTreeMap<u64, (usize, Event)>,
    size_bytes: usize,
    more: bool,
}

impl Newest {
    fn take(&mut self, record: &RecordRef<'_>, key: Option<&SubjectKey>) {
        let oldest = self.events.first_key_value().map(|(position, _)| *position);
        if self.more && oldest.is_some_and(|oldest| record.position < oldest) {
            return;
        }
        self.size_bytes += record.payload.len();
        self.events.insert(record.position, (record.payload.len(), told(record, key)));
        while self.events.len() > MAX_EVENTS || self.size_bytes > MAX_EVENT_BYTES {
            let Some((_, (size_bytes, _))) = self.events.pop_first() else { break };
            self.size_bytes -= size_bytes;
            self.more = true;
        }
    }
}

fn read_by(record: &RecordRef<'_>) -> Option<Read> {
    match decoded(record)? {
        AnyEvent::Subject(SubjectEvent::SubjectExported(event)) => {
            Some(Read { by: event.by, at: event.at })
        },
        _ => None,
    }
}

/// An event as feeds tell it, with values where they show lengths.
fn told(record: &RecordRef<'_>, key: Option<&SubjectKey>) -> Event {
    let mut event = Event::of(record);
    let (_, session) = record.kind_and_id();
    let Some(AnyEvent::Session(decoded)) = decoded(record) else { return event };
    let (field, values): (_, Vec<(&str, &Sealed)>) = match &decoded {
        SessionEvent::SessionCreated(it) => ("attributes", it.attributes.iter().collect()),
        SessionEvent::SessionImported(it) => ("attributes", it.attributes.iter().collect()),
        SessionEvent::SessionPatched(it) => {
            let set = it.changes.iter().filter_map(|(name, it)| Some((name, it.as_ref()?)));
            ("changes", set.collect())
        },
        SessionEvent::SessionTouched(_)
        | SessionEvent::SessionEnded(_)
        | SessionEvent::SessionFenced(_) => return event,
    };
    let Some(Value::Object(shown)) = event.data.get_mut(field) else { return event };
    for (name, value) in values {
        let (Some(shown), size_bytes) = (shown.get_mut(name), value.size_bytes()) else { continue };
        match show(key, session, name, value) {
            Some(Shown::Json(value)) => {
                *shown = json!({ "size_bytes": size_bytes, "value": value });
            },
            Some(Shown::Base64(text)) => {
                *shown = json!({ "size_bytes": size_bytes, "base64": text });
            },
            None => {},
        }
    }
    event
}

fn decoded(record: &RecordRef<'_>) -> Option<AnyEvent> {
    let (kind, _) = record.kind_and_id();
    AnyEvent::decode(kind, record.type_id, record.schema, record.payload).ok()
}
