//! What an archive keeps of the streams that go into it: each one's state and requests at its end, and
//! rows by which the live sessions of a subject are found without their first events.
//!
//! ```text
//!   by-subject/{hash}/{tenant}/{id}   where a session began that lives at the end
//!   lock/…  session/…  subject/…      what a snapshot holds
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use mainstay_journal::archive::{Before, Fold};
use mainstay_journal::{Head, RecordRef, Snapshot, StreamId};

use super::begun::{Row, row_of};
use super::loaded::{Loaded, frozen, thaw};
use crate::chaos::Chaos;
use crate::codec::Payload;
use crate::dependency::Dependency;
use crate::key::Key;
use crate::lock::Lock;
use crate::machine::Machine;
use crate::session::{Session, SessionEvent, SessionState};
use crate::subject::Subject;
use crate::system::System;

/// Folds the records of an archive; holds every stream that has one there in memory.
#[derive(Debug, Default)]
pub struct Archivist {
    kept: BTreeMap<StreamId, Kept>,
}

#[derive(Debug)]
enum Kept {
    System(Loaded<System>),
    Dependency(Box<Loaded<Dependency>>),
    Session(Loaded<Session>),
    Lock(Box<Loaded<Lock>>),
    Subject(Loaded<Subject>),
    Key(Loaded<Key>),
    Chaos(Loaded<Chaos>),
    /// `None`: the session that the row finds has ended.
    Row(Option<Row>),
}

impl Kept {
    fn begin(stream: &StreamId, epoch: u32, old: Option<&Snapshot>) -> Result<Self, String> {
        Ok(match stream.kind() {
            System::KIND => Self::System(begin(epoch, old)?),
            Dependency::KIND => Self::Dependency(Box::new(begin(epoch, old)?)),
            Session::KIND => Self::Session(begin(epoch, old)?),
            Lock::KIND => Self::Lock(Box::new(begin(epoch, old)?)),
            Subject::KIND => Self::Subject(begin(epoch, old)?),
            Key::KIND => Self::Key(begin(epoch, old)?),
            Chaos::KIND => Self::Chaos(begin(epoch, old)?),
            other => return Err(format!("streams of kind {other:?} are unknown here")),
        })
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), String> {
        match self {
            Self::System(it) => it.take(record),
            Self::Dependency(it) => it.take(record),
            Self::Session(it) => it.take(record),
            Self::Lock(it) => it.take(record),
            Self::Subject(it) => it.take(record),
            Self::Key(it) => it.take(record),
            Self::Chaos(it) => it.take(record),
            Self::Row(_) => Ok(()),
        }
    }

    fn snapshot(&self, stream: StreamId) -> Result<Snapshot, String> {
        let (head, bytes) = match self {
            Self::System(it) => bytes(it),
            Self::Dependency(it) => bytes(it),
            Self::Session(it) => bytes(it),
            Self::Lock(it) => bytes(it),
            Self::Subject(it) => bytes(it),
            Self::Key(it) => bytes(it),
            Self::Chaos(it) => bytes(it),
            Self::Row(row) => (Head::default(), Some(row.map(Row::bytes).unwrap_or_default())),
        };
        let bytes = bytes.ok_or_else(|| format!("the state of {stream} cannot be encoded"))?;
        Ok(Snapshot { stream, head, bytes })
    }
}

fn begin<M: Machine>(epoch: u32, old: Option<&Snapshot>) -> Result<Loaded<M>, String> {
    let Some(old) = old else { return Ok(Loaded::nothing(epoch)) };
    thaw(old).ok_or_else(|| format!("the state of {} is of another version", old.stream))
}

fn bytes<M: Machine>(loaded: &Loaded<M>) -> (Head, Option<Vec<u8>>) {
    (loaded.head, frozen::<M>(&loaded.state, loaded.epoch, &loaded.ledger))
}

impl Fold for Archivist {
    fn take(&mut self, record: &RecordRef<'_>, before: Before<'_>) -> Result<(), String> {
        let stream = StreamId::parse(record.stream).ok_or("its stream has no name")?;
        self.note_session(&stream, record, before)?;
        match self.kept.entry(stream) {
            Entry::Occupied(known) => known.into_mut().take(record),
            Entry::Vacant(new) => {
                let old = before(new.key()).map_err(|error| error.to_string())?;
                let fresh = Kept::begin(new.key(), record.epoch, old.as_ref())?;
                new.insert(fresh).take(record)
            },
        }
    }

    fn next_state(&mut self) -> Result<Option<Snapshot>, String> {
        self.kept.pop_first().map(|(stream, kept)| kept.snapshot(stream)).transpose()
    }
}

impl Archivist {
    /// Keeps the row of a session that begins, and takes out that of one that ends.
    fn note_session(
        &mut self,
        stream: &StreamId,
        record: &RecordRef<'_>,
        before: Before<'_>,
    ) -> Result<(), String> {
        if stream.kind() != Session::KIND {
            return Ok(());
        }
        let event = SessionEvent::decode(record.type_id, record.schema, record.payload)
            .map_err(|error| error.to_string())?;
        let row = match &event {
            SessionEvent::SessionCreated(it) => row_of(&it.tenant, &it.subject, stream),
            SessionEvent::SessionImported(it) => row_of(&it.tenant, &it.subject, stream),
            SessionEvent::SessionEnded(_) | SessionEvent::SessionFenced(_) => {
                let row = self.row_before(stream, before)?;
                self.kept.extend(row.map(|row| (row, Kept::Row(None))));
                return Ok(());
            },
            SessionEvent::SessionTouched(_) | SessionEvent::SessionPatched(_) => return Ok(()),
        };
        let at = Row { at: record.cursor(), at_us: record.at_us };
        self.kept.extend(row.map(|row| (row, Kept::Row(Some(at)))));
        Ok(())
    }

    /// The row of a session that lives.
    fn row_before(
        &self,
        stream: &StreamId,
        before: Before<'_>,
    ) -> Result<Option<StreamId>, String> {
        let row = |state: &SessionState| match state {
            SessionState::Live(live) => row_of(&live.tenant, &live.subject, stream),
            SessionState::Absent | SessionState::Ended { .. } => None,
        };
        if let Some(Kept::Session(loaded)) = self.kept.get(stream) {
            return Ok(row(&loaded.state));
        }
        let old = before(stream).map_err(|error| error.to_string())?;
        let old = old.and_then(|old| thaw::<Session>(&old));
        Ok(old.and_then(|loaded| row(&loaded.state)))
    }
}
