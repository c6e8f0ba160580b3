//! A stage for incidents: the real machines on a fixed clock, over a real journal.
//!
//! ```text
//!   ask(03:12 + ms, who, id, command) ─► decide ─► apply ─► append ─► durable ─► its cursor
//! ```

use std::any::Any;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use mainstay::actors::codec::Payload;
use mainstay::actors::host::Hosted;
use mainstay::actors::machine::Context;
use mainstay::actors::time::Timestamp;
use mainstay::journal::{
    Append, Cursor, Draft, Envelope, EventLog as _, LocalLog, Options, Outcome, Request, StreamId,
};

/// The moment so many milliseconds after 03:12.
pub(crate) fn at(ms: i64) -> Timestamp {
    let start = Timestamp::parse("2026-11-22T03:12:00Z").unwrap().as_micros();
    Timestamp::from_micros(start.checked_add_signed(ms * 1_000).unwrap())
}

/// Who asks, and what ties it to work outside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who {
    pub(crate) principal: &'static str,
    pub(crate) request: Option<&'static str>,
    pub(crate) correlation: Option<&'static str>,
    pub(crate) cause: Option<Cursor>,
}

/// A principal, and nothing else.
pub(crate) fn by(principal: &'static str) -> Who {
    Who { principal, ..Who::default() }
}

impl Who {
    pub(crate) fn under(self, request: &'static str) -> Self {
        Self { request: Some(request), ..self }
    }

    pub(crate) fn tied_to(self, correlation: &'static str) -> Self {
        Self { correlation: Some(correlation), ..self }
    }

    pub(crate) fn because_of(self, cause: Cursor) -> Self {
        Self { cause: Some(cause), ..self }
    }
}

/// See the module.
pub(crate) struct Stage {
    log: LocalLog,
    settled: Receiver<Vec<Outcome>>,
    /// State and version of every stream.
    entities: HashMap<String, (Box<dyn Any>, u64)>,
    last: Cursor,
}

impl Stage {
    pub(crate) fn open(data: &Path) -> Self {
        let (sink, settled) = channel();
        let options = Options { journal_id: Some([9; 16]), store: false, ..Options::default() };
        let sink = move |_epoch, outcomes| sink.send(outcomes).unwrap();
        let log = LocalLog::open(data, &options, sink).unwrap();
        Self { log, settled, entities: HashMap::new(), last: Cursor { epoch: 1, position: 0 } }
    }

    pub(crate) fn state<M: Hosted>(&self, id: &str) -> M::State {
        let known = self.entities.get(&format!("{}/{id}", M::KIND));
        known.map_or_else(M::State::default, |(state, _)| {
            state.downcast_ref::<M::State>().unwrap().clone()
        })
    }

    /// Decides a command and makes its events durable; the cursor of the last of them.
    #[track_caller]
    pub(crate) fn ask<M: Hosted>(
        &mut self,
        ms: i64,
        who: Who,
        id: &str,
        command: M::Command,
    ) -> Cursor {
        let state = self.state::<M>(id);
        let context = Context {
            now: at(ms),
            chance: u64::MAX / 2,
            boot: 1,
            principal: who.principal,
            request: who.request,
        };
        let decision = M::decide(&state, command, &context);
        let decision = decision.unwrap_or_else(|no| panic!("{ms} {id}: {no}"));
        assert!(!decision.events.is_empty(), "{ms} {id}: nothing happened");
        let after =
            decision.events.iter().fold(state, |state, event| M::apply(state, event).unwrap());
        let name = format!("{}/{id}", M::KIND);
        let stream = StreamId::parse(&name).unwrap();
        let version = self.entities.get(&name).map_or(0, |(_, version)| *version);
        let drafts: Vec<_> = decision
            .events
            .iter()
            .map(|event| {
                let mut payload = Vec::new();
                event.encode(&mut payload).unwrap();
                let (type_id, schema) = Payload::type_id(event);
                Draft { type_id, schema, tags: M::tags(&stream, event), payload }
            })
            .collect();
        let append = Append {
            activation: 1,
            seen: None,
            stream,
            expected_version: version,
            envelope: Envelope {
                at_us: at(ms).as_micros(),
                principal: Arc::from(who.principal),
                request: who.request.map(|id| Request { id: Arc::from(id), fingerprint: 1 }),
                correlation: who.correlation.map(Arc::from),
                causation: who.cause,
            },
            drafts,
        };
        let count = decision.events.len() as u64;
        self.log.submit(append).unwrap();
        let outcomes = self.settled.recv().unwrap();
        assert!(matches!(outcomes[..], [Outcome::Committed { .. }]), "{outcomes:?}");
        self.entities.insert(name, (Box::new(after), version + count));
        self.last.position += count;
        self.last
    }

    pub(crate) fn close(self) {
        self.log.close();
    }
}
