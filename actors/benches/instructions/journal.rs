//! A journal on a simulated disk, committed by hand, and events to put into it.
//!
//! Everything is fixed: ids, times, sizes. What is left to chance is the order of hash maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstay_actors::codec::Payload;
use mainstay_actors::lock::{Claim, Lock, LockCommand, LockReply, LockState, Mode};
use mainstay_actors::machine::{Context, Machine, Reply};
use mainstay_actors::session::{Sealed, Session, SessionCommand, SessionState};
use mainstay_actors::time::Timestamp;
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{
    Append, Draft, Envelope, EventLog, LocalLog, Options, Outcome, StreamId, Tags, Writer,
};

/// A moment of the benchmarks' time, in milliseconds from its beginning.
pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000).plus_ms(ms)
}

pub(crate) fn context(now: Timestamp, request: Option<&str>) -> Context<'_> {
    Context { now, chance: 7, boot: 1, principal: "bench", request }
}

pub(crate) fn claim(owner: &str) -> Claim {
    Claim {
        owner: owner.into(),
        session: None,
        mode: Mode::Exclusive,
        range: None,
        ttl_ms: 30_000,
        delay_ms: 0,
        request: None,
    }
}

/// A new session with sixteen attributes of 32 bytes.
pub(crate) fn create() -> SessionCommand {
    let attribute = |n: u32| (format!("attribute-{n:02}"), Sealed::plain(&[7; 32]));
    SessionCommand::Create {
        tenant: "default".to_owned(),
        subject: "customer-4711".to_owned(),
        ttl_ms: 1_800_000,
        max_age_ms: None,
        attributes: (0..16).map(attribute).collect(),
    }
}

/// Sets one of the sixteen.
pub(crate) fn patch(n: u64) -> SessionCommand {
    let value = Some(Sealed::plain(&[u8::try_from(n % 251).unwrap(); 32]));
    let changes = BTreeMap::from([(format!("attribute-{:02}", n % 16), value)]);
    SessionCommand::Patch { if_revision: None, changes }
}

/// Decides and folds; returns the events and the reply.
pub(crate) fn decide<M: Machine>(
    state: &mut M::State,
    command: M::Command,
    context: &Context<'_>,
) -> (Vec<M::Event>, Reply<M>) {
    let decision = M::decide(state, command, context).unwrap();
    for event in &decision.events {
        *state = M::apply(std::mem::take(state), event).unwrap();
    }
    (decision.events, decision.reply)
}

/// The token of a lease that was just granted.
pub(crate) fn token(reply: &Reply<Lock>) -> u64 {
    match reply {
        Reply::Now(Ok(LockReply::Lease(lease))) => lease.token,
        other => panic!("{other:?} is no lease"),
    }
}

/// The journal, its writer, and how far each stream is.
pub(crate) struct Journal {
    pub(crate) log: LocalLog,
    pub(crate) writer: Writer,
    versions: BTreeMap<StreamId, u64>,
    appended: u64,
}

pub(crate) fn options(disk: &SimDisk) -> Options {
    Options {
        store: false,
        spares: 0,
        disk: Arc::new(disk.clone()),
        journal_id: Some([7; 16]),
        ..Options::default()
    }
}

impl Journal {
    pub(crate) fn open(disk: &SimDisk) -> Self {
        let sink = |_epoch: u32, outcomes: Vec<Outcome>| {
            assert!(outcomes.iter().all(|it| matches!(it, Outcome::Committed { .. })));
        };
        let (log, writer) = LocalLog::open_manual("/journal", &options(disk), sink).unwrap();
        Self { log, writer, versions: BTreeMap::new(), appended: 0 }
    }

    /// An append of events to a stream, as the host makes it.
    pub(crate) fn append<E: Payload>(&mut self, stream: &StreamId, events: &[E]) -> Append {
        let expected_version = self.versions.get(stream).copied().unwrap_or_default();
        self.versions.insert(stream.clone(), expected_version + events.len() as u64);
        self.appended += 1;
        let draft = |event: &E| {
            let mut payload = Vec::with_capacity(128);
            event.encode(&mut payload).unwrap();
            let (type_id, schema) = event.type_id();
            Draft { type_id, schema, tags: Tags::new(), payload }
        };
        Append {
            activation: 1,
            stream: stream.clone(),
            expected_version,
            seen: None,
            envelope: Envelope {
                at_us: at(self.appended).as_micros(),
                principal: Arc::from("bench"),
                request: None,
                correlation: None,
                causation: None,
            },
            drafts: events.iter().map(draft).collect(),
        }
    }

    pub(crate) fn submit(&mut self, append: Append) {
        assert!(self.log.submit(append).is_ok(), "the queue is full");
    }

    /// Commits `records` real events in groups: leases that come and go, sessions that change.
    pub(crate) fn fill(&mut self, records: u64) {
        let mut written = 0;
        for n in 0.. {
            let name = n % 50;
            let lock = StreamId::new(Lock::KIND, &format!("room-{n}")).unwrap();
            let mut state = LockState::default();
            let acquire = LockCommand::Acquire { claim: claim("worker-1"), wait_ms: 0 };
            let now = context(at(n), None);
            let (granted, reply) = decide::<Lock>(&mut state, acquire, &now);
            let release =
                LockCommand::Release { token: token(&reply), owner: "worker-1".to_owned() };
            let (released, _) = decide::<Lock>(&mut state, release, &now);
            let session = StreamId::new(Session::KIND, &format!("default/{n}-{name}")).unwrap();
            let mut state = SessionState::default();
            let (created, _) = decide::<Session>(&mut state, create(), &now);
            let (patched, _) = decide::<Session>(&mut state, patch(n), &now);
            let appends = [
                self.append(&lock, &granted),
                self.append(&session, &created),
                self.append(&session, &patched),
                self.append(&lock, &released),
            ];
            for append in appends {
                self.submit(append);
                written += 1;
                if written == records {
                    self.writer.turn();
                    return;
                }
            }
            if n % 16 == 15 {
                self.writer.turn();
            }
        }
    }
}
