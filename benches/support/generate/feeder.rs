//! From a decision to the journal: many appends in flight, every outcome looked at.
//!
//! ```text
//!   entity ─decide─► events ─apply─► entity        submit ─► … ─► sink: all committed?
//!                      └─────────────────────────────┘              └► how many are settled
//! ```

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use mainstay::actors::codec::Payload;
use mainstay::actors::host::Hosted;
use mainstay::actors::machine::{Context, Machine};
use mainstay::actors::time::Timestamp;
use mainstay::journal::{
    Append, Cursor, Draft, Envelope, EventLog, LocalLog, Options, Outcome, ReadLog, Request,
    StreamId,
};

/// Appends under way at most.
const IN_FLIGHT: u64 = 16_000;

/// A stream and what it folds to.
#[derive(Debug)]
pub(crate) struct Entity<M: Machine> {
    pub(crate) stream: StreamId,
    pub(crate) state: M::State,
    version: u64,
}

impl<M: Machine> Entity<M> {
    pub(crate) fn new(id: &str) -> Self {
        let stream = StreamId::new(M::KIND, id).unwrap();
        Self { stream, state: M::State::default(), version: 0 }
    }
}

/// Who does something, and what it is tied to.
#[derive(Debug, Clone, Default)]
pub(crate) struct By {
    pub(crate) principal: Arc<str>,
    pub(crate) request: Option<Arc<str>>,
    pub(crate) correlation: Option<Arc<str>>,
    pub(crate) causation: Option<Cursor>,
}

impl By {
    pub(crate) fn system(principal: &str) -> Self {
        Self { principal: principal.into(), ..Self::default() }
    }
}

type Settled = Arc<(Mutex<u64>, Condvar)>;

#[derive(Debug)]
pub(crate) struct Feeder {
    log: LocalLog,
    settled: Settled,
    appends: u64,
    /// Position of the newest event.
    pub(crate) position: u64,
}

impl Feeder {
    pub(crate) fn open(directory: &Path, seed: u64) -> Self {
        let settled = Settled::default();
        let counter = settled.clone();
        let sink = move |_, outcomes: Vec<Outcome>| {
            let fine = |it: &Outcome| matches!(it, Outcome::Committed { .. });
            assert!(outcomes.iter().all(fine), "the journal refused a generated event");
            *counter.0.lock().unwrap() += outcomes.len() as u64;
            counter.1.notify_one();
        };
        let options = Options {
            queue: 16_384,
            // Large groups: nobody waits for an answer here.
            group_records: 8_192,
            group_bytes: 4 << 20,
            heads: 2_000_000,
            journal_id: Some((u128::from(seed) << 64 | 0x6d61_696e_7374_6179).to_be_bytes()),
            ..Options::default()
        };
        let log = LocalLog::open(directory, &options, sink).unwrap();
        assert_eq!(log.head().position, 0, "the directory holds a journal already");
        Self { log, settled, appends: 0, position: 0 }
    }

    /// Decides, applies and submits; the events, if there were any.
    pub(crate) fn command<M: Hosted>(
        &mut self,
        entity: &mut Entity<M>,
        command: M::Command,
        by: &By,
        now: Timestamp,
        chance: u64,
    ) -> Vec<M::Event> {
        let request = by.request.as_deref();
        let context = Context { now, chance, boot: 1, principal: &by.principal, request };
        let Ok(decision) = M::decide(&entity.state, command, &context) else { return Vec::new() };
        if decision.events.is_empty() {
            return Vec::new();
        }
        let mut drafts = Vec::with_capacity(decision.events.len());
        for event in &decision.events {
            let mut payload = Vec::with_capacity(128);
            event.encode(&mut payload).unwrap();
            let (type_id, schema) = event.type_id();
            drafts.push(Draft { type_id, schema, tags: M::tags(&entity.stream, event), payload });
            let state = std::mem::take(&mut entity.state);
            entity.state = M::apply(state, event).unwrap();
        }
        let count = drafts.len() as u64;
        self.submit(Append {
            activation: 1,
            stream: entity.stream.clone(),
            expected_version: entity.version,
            seen: None,
            envelope: Envelope {
                at_us: now.as_micros(),
                principal: by.principal.clone(),
                request: by.request.clone().map(|id| Request { id, fingerprint: chance }),
                correlation: by.correlation.clone(),
                causation: by.causation,
            },
            drafts,
        });
        entity.version += count;
        self.position += count;
        decision.events
    }

    fn submit(&mut self, append: Append) {
        self.wait_until(self.appends.saturating_sub(IN_FLIGHT));
        self.log.submit(append).unwrap();
        self.appends += 1;
    }

    fn wait_until(&self, settled: u64) {
        let (count, moved) = &*self.settled;
        let count = count.lock().unwrap();
        drop(moved.wait_while(count, |count| *count < settled).unwrap());
    }

    /// Where the newest event lies.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { epoch: 1, position: self.position }
    }

    /// Waits for the last outcome, then closes segments and store.
    pub(crate) fn close(self) {
        self.wait_until(self.appends);
        assert_eq!(self.log.head().position, self.position, "a position was counted wrong");
        self.log.close();
    }
}
