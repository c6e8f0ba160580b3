//! Given a state, when a command comes, then these events and this answer.

use mainstay_actors::codec::Payload;
use mainstay_actors::machine::{Answer, Context, Machine, Reply};
use mainstay_actors::time::Timestamp;

/// 2026-11-22T03:12:44Z.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_795_317_164_000_000);

/// So many milliseconds after the start.
pub(crate) const fn at(ms: u64) -> Timestamp {
    START.plus_ms(ms)
}

/// One entity in virtual time. Every event it decides is encoded, decoded and folded.
#[derive(Debug, Clone)]
pub(crate) struct Entity<M: Machine> {
    pub(crate) state: M::State,
    pub(crate) now: Timestamp,
    pub(crate) boot: u64,
    pub(crate) chance: u64,
}

/// What a command led to.
#[derive(Debug)]
pub(crate) struct Then<M: Machine> {
    pub(crate) events: Vec<M::Event>,
    pub(crate) answers: Vec<Answer<M>>,
    /// `None` is an answer that comes later.
    pub(crate) reply: Option<Result<M::Reply, M::Reject>>,
}

impl<M: Machine + PartialEq> Entity<M> {
    pub(crate) fn given() -> Self {
        Self::at_state(M::State::default())
    }

    pub(crate) fn at_state(state: M::State) -> Self {
        Self { state, now: START, boot: 1, chance: u64::MAX / 2 }
    }

    /// Lets time pass, without its timer.
    pub(crate) fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    pub(crate) fn when(&mut self, command: M::Command) -> Then<M> {
        self.decide(command, None)
    }

    pub(crate) fn when_asked(&mut self, request: &str, command: M::Command) -> Then<M> {
        self.decide(command, Some(request))
    }

    pub(crate) fn due(&mut self) -> Then<M> {
        self.when(M::due())
    }

    /// Lets time pass up to the next deadline, and its timer fire.
    pub(crate) fn next_deadline(&mut self) -> Then<M> {
        self.now = M::deadline(&self.state).expect("no deadline").max(self.now);
        self.due()
    }

    fn decide(&mut self, command: M::Command, request: Option<&str>) -> Then<M> {
        let context = Context {
            now: self.now,
            chance: self.chance,
            boot: self.boot,
            principal: "test",
            request,
        };
        let decided = M::decide(&self.state, command.clone(), &context);
        assert_eq!(decided, M::decide(&self.state, command, &context), "not deterministic");
        match decided {
            Err(reject) => Then { events: vec![], answers: vec![], reply: Some(Err(reject)) },
            Ok(decision) => {
                for event in &decision.events {
                    self.fold(event);
                }
                let reply = match decision.reply {
                    Reply::Now(reply) => Some(reply),
                    Reply::Deferred => None,
                };
                Then { events: decision.events, answers: decision.answers, reply }
            },
        }
    }

    /// An event that happened before the test's story, or the decision's own.
    pub(crate) fn fold(&mut self, event: &M::Event) {
        assert_eq!(*event, recoded(event));
        self.state =
            M::apply(std::mem::take(&mut self.state), event).expect("a decided event is legal");
    }
}

impl<M: Machine> Then<M> {
    /// The events' names in order, with a `+` between them; `-` without any.
    pub(crate) fn names(&self) -> String {
        if self.events.is_empty() {
            return "-".to_owned();
        }
        self.events.iter().map(Payload::name).collect::<Vec<_>>().join("+")
    }

    pub(crate) fn ok(self) -> M::Reply {
        self.reply.expect("an answer now").expect("a yes")
    }

    pub(crate) fn reject(self) -> M::Reject {
        self.reply.expect("an answer now").expect_err("a no")
    }

    pub(crate) fn is_deferred(&self) -> bool {
        self.reply.is_none()
    }
}

/// The event as its payload reads.
pub(crate) fn recoded<E: Payload>(event: &E) -> E {
    let mut bytes = Vec::new();
    event.encode(&mut bytes).expect("an event can be written");
    let (type_id, schema) = event.type_id();
    E::decode(type_id, schema, &bytes).expect("what was written can be read")
}
