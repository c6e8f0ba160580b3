//! What a start needs, kept beside the journal, so that it folds only what came after.
//!
//! ```text
//!   head of it ‖ starts, levels, dependencies, keys, experiments ‖ held and fenced locks ‖ erased subjects
//!              ‖ live sessions by id … ‖ end
//! ```
//!
//! It is made from the last one and the records since, off the arbiter, and holds durable facts only.
//! It may be missing, damaged or of another version: then the whole journal is folded.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use bincode::config::standard;
use bincode::error::DecodeError;
use mainstay_journal::{Cursor, EventLog, Head, Snapshot, StreamId};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::due::{Due, LiveSession};
use super::loaded::{Loaded, freeze, thaw};
use super::recovery::{Facts, begin, follow};
use crate::chaos::Chaos;
use crate::dependency::Dependency;
use crate::key::Key;
use crate::lock::{Lock, LockState};
use crate::machine::Machine;
use crate::system::System;
use crate::time::Timestamp;

/// The name it is kept under.
const NAME: &str = "checkpoint";
/// Checkpoints of another number are not read.
const FORMAT: u16 = 3;

#[derive(Serialize, Deserialize)]
struct Front {
    format: u16,
    lock_layout: u16,
    epoch: u32,
    position: u64,
    /// Of the record at the position: the journal must be the one it was made of.
    record_hash: u64,
    last_at: Timestamp,
    alive_at: Timestamp,
    unreadable: u64,
}

#[derive(Serialize, Deserialize)]
enum Entry {
    System(Whole),
    Dependency(Whole),
    Key(Whole),
    Lock(String, Box<LockState>),
    Session(Box<str>, Due),
    /// Everything is there: so many entries.
    End(u64),
    /// A subject that was erased, and whether that is finished.
    Erased(String, bool),
    /// A live session that began after its subject was erased.
    Revived(String),
    /// A lock whose leases a restore has ended, and that has not said so yet.
    Fenced(String),
    /// An experiment.
    Chaos(Whole),
}

/// An entity with its requests.
#[derive(Serialize, Deserialize)]
struct Whole {
    id: String,
    version: u64,
    position: u64,
    snapshot: Vec<u8>,
}

/// A checkpoint that was opened: its sessions are still to be read.
pub(crate) struct Kept {
    pub(crate) facts: Facts,
    pub(crate) sessions: Box<dyn Iterator<Item = io::Result<LiveSession>>>,
}

impl Kept {
    /// Before the first record.
    pub(crate) fn nothing() -> Self {
        Self { facts: Facts::default(), sessions: Box::new(std::iter::empty()) }
    }
}

/// Opens the checkpoint, if there is one of this journal.
pub(crate) fn read(log: &dyn EventLog) -> Option<Kept> {
    let kept = match log.kept(NAME) {
        Ok(kept) => open(kept?, log),
        Err(error) => Err(error),
    };
    kept.inspect_err(|reason| tracing::warn!(%reason, "the checkpoint is not used")).ok()
}

fn open(kept: Box<dyn Read + Send>, log: &dyn EventLog) -> io::Result<Kept> {
    let mut entries = Entries { source: io::BufReader::new(kept), count: 0, next: None };
    let front: Front = entries.decode()?;
    let here = Cursor { epoch: front.epoch, position: front.position };
    if front.format != FORMAT || front.lock_layout != Lock::LAYOUT {
        return Err(io::Error::other("it is of another version"));
    }
    if log.base().is_some_and(|base| base.head().position > here.position) {
        return Err(io::Error::other("it is older than what was dropped"));
    }
    if record_hash(log, here.position)? != Some(front.record_hash) {
        return Err(io::Error::other("it is of another history"));
    }
    let mut facts = Facts {
        head: here,
        last_at: front.last_at,
        alive_at: front.alive_at,
        unreadable: front.unreadable,
        ..Facts::default()
    };
    facts.sessions.since_kept = true;
    loop {
        match entries.entry()? {
            Entry::System(whole) => {
                let loaded = thawed::<System>(&whole)?;
                facts.systems.insert(whole.id, loaded);
            },
            Entry::Dependency(whole) => {
                let loaded = thawed::<Dependency>(&whole)?;
                facts.dependencies.insert(whole.id, loaded);
            },
            Entry::Key(whole) => {
                let loaded = thawed::<Key>(&whole)?;
                facts.keys.insert(whole.id, loaded);
            },
            Entry::Chaos(whole) => {
                let loaded = thawed::<Chaos>(&whole)?;
                facts.experiments.insert(whole.id, loaded);
            },
            Entry::Lock(name, state) => drop(facts.locks.insert(name, *state)),
            Entry::Erased(id, finished) => drop(facts.erased.subjects.insert(id, finished)),
            Entry::Revived(id) => drop(facts.erased.sessions.insert(id)),
            Entry::Fenced(name) => drop(facts.fenced_locks.insert(name)),
            other => {
                entries.next = Some(other);
                return Ok(Kept { facts, sessions: Box::new(entries) });
            },
        }
    }
}

fn thawed<M: Machine>(whole: &Whole) -> io::Result<Loaded<M>> {
    let head = Head { version: whole.version, position: whole.position };
    let stream = StreamId::new(M::KIND, &whole.id);
    let snapshot = stream.map(|stream| Snapshot { stream, head, bytes: whole.snapshot.clone() });
    let loaded = snapshot.and_then(|snapshot| thaw::<M>(&snapshot));
    // It was never kept in the store by this: the entity does so when its time comes.
    let loaded = loaded.map(|loaded| Loaded { kept: 0, ..loaded });
    loaded.ok_or_else(|| io::Error::other("a state in it is of another version"))
}

/// Hash of the record at a position; `None` if there is none.
fn record_hash(log: &dyn EventLog, position: u64) -> io::Result<Option<u64>> {
    let mut hash = None;
    let read = log.scan(position, position, &mut |record| {
        hash = Some(xxh3_64(&record.leaf()));
        ControlFlow::Break(())
    });
    read.map(|()| hash).map_err(io::Error::other)
}

/// The entries behind the front, one by one; as an iterator the sessions among them.
struct Entries {
    source: io::BufReader<Box<dyn Read + Send>>,
    count: u64,
    next: Option<Entry>,
}

impl Entries {
    fn decode<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<T> {
        let config = standard().with_limit::<{ 8 << 20 }>();
        bincode::serde::decode_from_std_read(&mut self.source, config).map_err(
            |error| match error {
                DecodeError::Io { inner, .. } => inner,
                other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
            },
        )
    }

    fn entry(&mut self) -> io::Result<Entry> {
        if let Some(entry) = self.next.take() {
            return Ok(entry);
        }
        let entry = self.decode()?;
        match entry {
            Entry::End(count) if count != self.count => {
                Err(io::Error::other("the checkpoint misses an entry"))
            },
            Entry::End(_) => Ok(entry),
            _ => {
                self.count += 1;
                Ok(entry)
            },
        }
    }
}

impl Iterator for Entries {
    type Item = io::Result<LiveSession>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.entry() {
            Ok(Entry::Session(id, due)) => Some(Ok((id, due))),
            Ok(Entry::End(_)) => None,
            Ok(_) => Some(Err(io::Error::other("the checkpoint is out of order"))),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Makes a checkpoint of everything durable at this moment; `stop` ends it early. Returns how far it
/// is. Blocks on files: call it off the arbiter.
pub(crate) fn write(log: &dyn EventLog, stop: &dyn Fn() -> bool) -> Result<u64, String> {
    let upto = log.head().position;
    let Kept { mut facts, sessions } = read(log).unwrap_or_else(|| begin(log));
    let tell = |_| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    follow(log, &mut facts, upto, tell)
        .map_err(|trouble| super::StartError::from(trouble).to_string())?;
    if facts.head.position < upto {
        return Err("it was stopped".to_owned());
    }
    let sessions = std::mem::take(&mut facts.sessions).merge(sessions);
    keep(log, &facts, sessions, stop).map(|()| upto)
}

/// Keeps facts and the live sessions beside them, in the order of their ids.
pub(crate) fn keep(
    log: &dyn EventLog,
    facts: &Facts,
    sessions: impl Iterator<Item = io::Result<LiveSession>>,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    let hash = record_hash(log, facts.head.position).map_err(|error| error.to_string())?;
    let record_hash = hash.ok_or("the journal is empty")?;
    let mut sessions = Some(sessions);
    let mut fill = |out: &mut dyn Write| {
        let mut out = io::BufWriter::new(out);
        let mut writing = Writing { out: &mut out, count: 0 };
        writing.facts(facts, record_hash)?;
        for session in sessions.take().into_iter().flatten() {
            let (id, due) = session?;
            if writing.count.is_multiple_of(4_096) && stop() {
                return Err(io::Error::other("it was stopped"));
            }
            writing.put(&Entry::Session(id, due))?;
        }
        let count = writing.count;
        writing.put(&Entry::End(count))?;
        out.flush()
    };
    log.keep(NAME, &mut fill).map_err(|error| error.to_string())
}

struct Writing<'w, W: Write> {
    out: &'w mut W,
    count: u64,
}

impl<W: Write> Writing<'_, W> {
    fn encode(&mut self, value: &impl Serialize) -> io::Result<()> {
        let written = bincode::serde::encode_into_std_write(value, self.out, standard());
        written.map(drop).map_err(|error| io::Error::other(error.to_string()))
    }

    fn put(&mut self, entry: &Entry) -> io::Result<()> {
        self.count += 1;
        self.encode(entry)
    }

    fn facts(&mut self, facts: &Facts, record_hash: u64) -> io::Result<()> {
        let Facts { head, last_at, alive_at, unreadable, .. } = *facts;
        let Cursor { epoch, position } = head;
        let (format, lock_layout) = (FORMAT, Lock::LAYOUT);
        self.encode(&Front {
            format,
            lock_layout,
            epoch,
            position,
            record_hash,
            last_at,
            alive_at,
            unreadable,
        })?;
        for (id, loaded) in &facts.systems {
            self.put(&Entry::System(frozen::<System>(id, loaded)?))?;
        }
        for (id, loaded) in &facts.dependencies {
            self.put(&Entry::Dependency(frozen::<Dependency>(id, loaded)?))?;
        }
        for (id, loaded) in &facts.keys {
            self.put(&Entry::Key(frozen::<Key>(id, loaded)?))?;
        }
        for (id, loaded) in &facts.experiments {
            self.put(&Entry::Chaos(frozen::<Chaos>(id, loaded)?))?;
        }
        for (name, state) in &facts.locks {
            self.put(&Entry::Lock(name.clone(), Box::new(state.clone())))?;
        }
        for name in &facts.fenced_locks {
            self.put(&Entry::Fenced(name.clone()))?;
        }
        for (id, finished) in &facts.erased.subjects {
            self.put(&Entry::Erased(id.clone(), *finished))?;
        }
        for id in &facts.erased.sessions {
            self.put(&Entry::Revived(id.clone()))?;
        }
        Ok(())
    }
}

fn frozen<M: Machine>(id: &str, loaded: &Loaded<M>) -> io::Result<Whole> {
    let Head { version, position } = loaded.head;
    let snapshot = freeze::<M>(&loaded.state, loaded.epoch, &loaded.ledger)
        .ok_or_else(|| io::Error::other(format!("{}/{id} is too large", M::KIND)))?;
    Ok(Whole { id: id.to_owned(), version, position, snapshot })
}
