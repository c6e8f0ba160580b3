//! Short words for commands and for what they led to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::dependency::{BreakerSettings, Settings, Window};
use mainstay_actors::host::{Answered, Host, Meta};
use mainstay_actors::lock::{Claim, Lease, Lock, LockCommand, LockEvent, LockReply, Mode};
use mainstay_actors::rate::Rate;
use mainstay_actors::session::SessionCommand;
use mainstay_journal::{ReadLog, StreamId};

pub(crate) fn lock(name: &str) -> StreamId {
    StreamId::new("lock", name).unwrap()
}

pub(crate) fn session(id: &str) -> StreamId {
    StreamId::new("session", id).unwrap()
}

/// Without a request id.
pub(crate) fn meta() -> Meta {
    Meta::of(&Arc::from("test"))
}

/// Under a request id.
pub(crate) fn request(id: &str) -> Meta {
    Meta { request: Some((Arc::from(id), 1)), ..meta() }
}

pub(crate) fn claim(owner: &str, ttl_ms: u64) -> Claim {
    Claim {
        owner: owner.into(),
        session: None,
        mode: Mode::Exclusive,
        range: None,
        ttl_ms,
        delay_ms: 0,
        request: None,
    }
}

/// Acquires a lock or waits for it.
pub(crate) fn waiting(owner: &str, ttl_ms: u64, wait_ms: u64) -> LockCommand {
    LockCommand::Acquire { claim: claim(owner, ttl_ms), wait_ms }
}

/// Acquires a free lock.
pub(crate) async fn acquire(host: &Host, name: &str, owner: &str, ttl_ms: u64) -> Lease {
    lease(host.ask::<Lock>(lock(name), waiting(owner, ttl_ms, 0), meta()).await)
}

#[track_caller]
fn lease(answered: Answered<Lock>) -> Lease {
    match answered.unwrap().reply {
        LockReply::Lease(lease) => lease,
        other => panic!("{other:?} is no lease"),
    }
}

pub(crate) fn create(ttl_ms: u64) -> SessionCommand {
    SessionCommand::Create {
        tenant: "default".to_owned(),
        subject: "subject-1".to_owned(),
        ttl_ms,
        max_age_ms: None,
        attributes: BTreeMap::new(),
    }
}

/// Weight 1; trips after three failures, open for 5 s without jitter, one trial call.
pub(crate) fn breaker() -> Settings {
    let breaker = BreakerSettings {
        window: Window::Calls(5),
        minimum_calls: 3,
        open_for_ms: 5_000,
        jitter: Rate::default(),
        half_open_permits: 1,
        ..BreakerSettings::default()
    };
    Settings { weight: 1, cap: None, breaker, from_file: true }
}

/// Every durable event of a lock, oldest first.
pub(crate) fn lock_events(log: &dyn ReadLog, name: &str) -> Vec<LockEvent> {
    let mut events = Vec::new();
    log.read_stream(&lock(name), u64::MAX, &mut |record| {
        let event = LockEvent::decode(record.type_id, record.schema, record.payload);
        events.push(event.unwrap());
        ControlFlow::Continue(())
    })
    .unwrap();
    events
}
