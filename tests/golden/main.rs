//! What each verb prints, word for word, over a small journal that is the same each time.
//!
//! `TRYCMD=overwrite cargo test --test golden` writes the files anew; read the diff in review.
#![cfg(test)]

mod incident;
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use mainstay::actors::codec::Payload;
use mainstay::actors::dependency::{
    BreakerOpened, BreakerSettings, Cause, DependencyConfigured, DependencyEvent, Evidence, Mode,
    Observed, Settings,
};
use mainstay::actors::health::Level;
use mainstay::actors::lock::{
    Claim, LeaseGranted, LeaseReleased, LockEvent, Mode as LockMode, WaiterQueued,
};
use mainstay::actors::rate::{Rate, Score};
use mainstay::actors::session::{EndReason, Sealed, SessionCreated, SessionEnded, SessionEvent};
use mainstay::actors::system::{Booted, DependencyFact, LevelChanged, SystemEvent};
use mainstay::actors::time::Timestamp;
use mainstay::journal::{
    Append, Draft, Envelope, EventLog, LocalLog, Options, Outcome, StreamId, Tags,
};

#[test]
fn every_verb_prints_what_its_golden_file_says() {
    let data = tempfile::tempdir().unwrap();
    small(data.path());
    trycmd::TestCases::new()
        .env("MAINSTAY__SERVER__DATA", data.path().to_str().unwrap())
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case("tests/cli/*.trycmd");
}

#[test]
fn an_incident_is_told_as_a_person_would_tell_it() {
    let data = tempfile::tempdir().unwrap();
    incident::write(data.path());
    trycmd::TestCases::new()
        .env("MAINSTAY__SERVER__DATA", data.path().to_str().unwrap())
        .env("NO_COLOR", "1")
        .case("tests/incident/*.trycmd");
}

/// The moment so many milliseconds after 03:12.
fn at(ms: u64) -> Timestamp {
    Timestamp::parse("2026-11-22T03:12:00Z").unwrap().plus_ms(ms)
}

/// Writes one event at a time and waits until it is durable.
struct Scribe {
    log: LocalLog,
    settled: Receiver<Vec<Outcome>>,
    versions: BTreeMap<String, u64>,
}

impl Scribe {
    fn write<E: Payload>(&mut self, ms: u64, by: &str, stream: &str, event: impl Into<E>) {
        let event = event.into();
        let mut payload = Vec::new();
        event.encode(&mut payload).unwrap();
        let (type_id, schema) = event.type_id();
        let version = self.versions.entry(stream.to_owned()).or_default();
        let append = Append {
            activation: 1,
            stream: StreamId::parse(stream).unwrap(),
            expected_version: *version,
            seen: None,
            envelope: Envelope {
                at_us: at(ms).as_micros(),
                principal: Arc::from(by),
                request: None,
                correlation: None,
                causation: None,
            },
            drafts: vec![Draft { type_id, schema, tags: Tags::new(), payload }],
        };
        *version += 1;
        self.log.submit(append).unwrap();
        let outcomes = self.settled.recv().unwrap();
        assert!(matches!(outcomes[..], [Outcome::Committed { count: 1, .. }]), "{outcomes:?}");
    }
}

/// The database falls at 03:12 while a room is held and another guest waits for it.
fn small(data: &Path) {
    let (sink, settled) = channel();
    let options = Options { journal_id: Some([7; 16]), store: false, ..Options::default() };
    let sink = move |_epoch, outcomes| sink.send(outcomes).unwrap();
    let log = LocalLog::open(data, &options, sink).unwrap();
    let mut scribe = Scribe { log, settled, versions: BTreeMap::new() };
    let mut write = |ms, by: &str, stream: &str, event: Any| match event {
        Any::System(event) => scribe.write::<SystemEvent>(ms, by, stream, event),
        Any::Dependency(event) => scribe.write::<DependencyEvent>(ms, by, stream, *event),
        Any::Session(event) => scribe.write::<SessionEvent>(ms, by, stream, event),
        Any::Lock(event) => scribe.write::<LockEvent>(ms, by, stream, event),
    };
    let booted = Booted { boot: 1, version: "0.1.0".to_owned(), at: at(0) };
    write(0, "system:supervisor", "system/boot", Any::System(booted.into()));
    let settings =
        Settings { weight: 30, cap: None, breaker: BreakerSettings::default(), from_file: true };
    let configured = DependencyConfigured { configuration: 1, settings };
    let configured = Any::Dependency(Box::new(configured.into()));
    write(1, "system:supervisor", "dependency/database", configured);
    let session = "session/default/01a200e7-0000-7000-8000-000000000001";
    write(2_000, "local", session, Any::Session(created().into()));
    write(3_000, "local", "lock/room-101", Any::Lock(granted(1, "ann").into()));
    let waits = WaiterQueued { claim: claim("bob", Some("local:r1")), deadline: at(34_000) };
    write(4_000, "local", "lock/room-101", Any::Lock(waits.into()));
    let opened = Any::Dependency(Box::new(opened().into()));
    write(44_120, "system:gate", "dependency/database", opened);
    write(44_121, "system:supervisor", "system/health", Any::System(fallen().into()));
    let released = LeaseReleased { token: 1, session: None };
    write(50_000, "local", "lock/room-101", Any::Lock(released.into()));
    let ended = SessionEnded { reason: EndReason::Ended, at: at(51_000) };
    write(51_000, "local", session, Any::Session(ended.into()));
    scribe.log.close();
}

enum Any {
    System(SystemEvent),
    Dependency(Box<DependencyEvent>),
    Session(SessionEvent),
    Lock(LockEvent),
}

fn created() -> SessionCreated {
    SessionCreated {
        tenant: "default".into(),
        subject: "guest-7".into(),
        ttl_ms: 60_000,
        at: at(2_000),
        idle_until: at(62_000),
        ends_at: None,
        attributes: [("locale", Sealed::plain(b"\"en\""))].into(),
    }
}

fn claim(owner: &str, request: Option<&str>) -> Claim {
    Claim {
        owner: owner.into(),
        session: None,
        mode: LockMode::Exclusive,
        range: None,
        ttl_ms: 60_000,
        delay_ms: 0,
        request: request.map(Into::into),
    }
}

fn granted(token: u64, owner: &str) -> LeaseGranted {
    let claim = claim(owner, None);
    LeaseGranted { token, claim, expires_at: at(63_000), claim_by: None }
}

fn opened() -> BreakerOpened {
    let failure_rate = Rate::of(14, 23);
    let observed = Observed { calls: 23, failures: 14, slow: 0, failure_rate, slow_rate: None };
    BreakerOpened {
        generation: 1,
        at: at(44_120),
        until: at(74_120),
        attempt: 1,
        evidence: Evidence {
            cause: Cause::FailureRate,
            observed,
            threshold: Some(Rate::from_ten_thousandths(5_000)),
            consecutive_failures: 6,
        },
        configuration: 1,
    }
}

fn fallen() -> LevelChanged {
    LevelChanged {
        from: Level::Optimal,
        to: Level::Emergency,
        at: at(44_121),
        score: Score::points(0),
        known_weight: 30,
        cause: "database is open".to_owned(),
        dependencies: vec![DependencyFact {
            name: "database".to_owned(),
            weight: 30,
            score: Some(Score::points(0)),
            mode: Mode::Open,
        }],
    }
}
