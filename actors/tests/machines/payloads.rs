//! The payload layouts are frozen: one event of each type as bytes, and what any bytes may do.

use mainstay_actors::chaos::{ChaosEvent, EndCause, Fault, FaultEnded, FaultStarted, Plan};
use mainstay_actors::codec::{CodecError, Payload};
use mainstay_actors::dependency::*;
use mainstay_actors::health::Level;
use mainstay_actors::key::{
    AccessRefused, KeyCreated, KeyEvent, KeyHash, KeyRevoked, KeyRotated, RefusedBecause, Role,
};
use mainstay_actors::lock::{
    Claim, LeaseClaimed, LeaseExpired, LeaseExtended, LeaseGranted, LeaseReleased, LeaseRenewed,
    LeaseRevoked, LeasesFenced, LeftBecause, Lock, LockEvent, LockState, Mode as LockMode, Range,
    RangeUnit, RefusalRecorded, RefusedFor, WaiterLeft, WaiterQueued,
};
use mainstay_actors::machine::Machine as _;
use mainstay_actors::rate::{Rate, Score};
use mainstay_actors::session::{
    Attributes, EndReason, Sealed, SessionCreated, SessionEnded, SessionEvent, SessionFenced,
    SessionImported, SessionPatched, SessionTouched,
};
use mainstay_actors::system::{
    AttestationWithdrawn, Attested, BackupFailed, BackupMade, BackupsResumed, BackupsStalled,
    Booted, DependencyFact, DrillCompleted, LevelChanged, MonthsDropped, Restored, SystemEvent,
};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::AnyEvent;

use crate::breaker_table::adopted;
use crate::breaker_world::settings;
use crate::support::recoded;

const T: Timestamp = Timestamp::from_micros(1_000_000);
const U: Timestamp = Timestamp::from_micros(2_000_000);

fn text(text: &str) -> String {
    text.to_owned()
}

fn system() -> Vec<SystemEvent> {
    let fact = DependencyFact {
        name: text("db"),
        weight: 30,
        score: Some(Score::points(1)),
        mode: Mode::Open,
    };
    vec![
        Booted { boot: 3, version: text("0.1.0"), at: T }.into(),
        LevelChanged {
            from: Level::Optimal,
            to: Level::Limited,
            at: T,
            score: Score::points(65),
            known_weight: 100,
            cause: text("db is open"),
            dependencies: vec![fact],
        }
        .into(),
        MonthsDropped { upto: 4_711, states: text("0f".repeat(32).as_str()), at: T }.into(),
        Restored { fork_epoch: 1, fork_position: 4_711, source: text("b"), at: U, floor: T }.into(),
        Attested {
            item: text("a.b"),
            evidence: text("https://e"),
            release: text("0.1.0"),
            at: T,
            until: U,
        }
        .into(),
        AttestationWithdrawn { item: text("a.b"), at: T }.into(),
        BackupMade {
            id: text("b"),
            position: 4_711,
            objects: 2,
            size_bytes: 300,
            took_ms: 20,
            at: T,
        }
        .into(),
        BackupFailed { reason: text("full"), at: T }.into(),
        BackupsStalled { reason: text("away"), behind: 3, at: T }.into(),
        BackupsResumed { lasted_ms: 7_000, at: U }.into(),
        DrillCompleted {
            scenario: text("disk-loss"),
            good: true,
            rto_ms: 1_000,
            rto_target_ms: 10_000,
            rpo_ms: 0,
            rpo_target_ms: 1_000,
            lost_events: 0,
            compared: 12,
            different: 0,
            took_ms: 3_000,
            findings: vec![text("none")],
            at: U,
        }
        .into(),
    ]
}

pub(crate) fn dependency() -> Vec<DependencyEvent> {
    let observed = Observed {
        calls: 20,
        failures: 10,
        slow: 0,
        failure_rate: Some(Rate::from_ten_thousandths(5_000)),
        slow_rate: None,
    };
    let evidence = |cause| Evidence {
        cause,
        observed,
        threshold: Some(Rate::from_ten_thousandths(5_000)),
        consecutive_failures: 2,
    };
    let manual = || Cause::Manual { reason: text("test") };
    let second = Second { calls: 20, failures: 10, slow: 0, ignored: 1 };
    let window = ObservationWindow {
        from: T,
        seconds: vec![second],
        longest_failure_run: 4,
        injected: 0,
        latencies: Latencies::default(),
        observed,
    };
    vec![
        DependencyConfigured { configuration: 1, settings: settings(BreakerSettings::default()) }
            .into(),
        DependencyRetired { at: T }.into(),
        BreakerOpened {
            generation: 1,
            at: T,
            until: U,
            attempt: 1,
            evidence: evidence(Cause::FailureRate),
            configuration: 1,
        }
        .into(),
        BreakerHalfOpened { generation: 2, at: T, until: U, cause: Cause::Timer }.into(),
        BreakerClosed { generation: 3, at: T, evidence: evidence(manual()) }.into(),
        BreakerForced {
            generation: 4,
            to: Mode::MetricsOnly,
            at: T,
            until: None,
            reason: text("test"),
        }
        .into(),
        ThresholdCrossed { generation: 4, at: T, evidence: evidence(Cause::SlowRate) }.into(),
        WindowObserved { generation: 4, at: T, configuration: 1, window }.into(),
        adopted().into(),
    ]
}

fn session() -> Vec<SessionEvent> {
    let attributes = Attributes::from([("cart", Sealed::plain(b"3"))]);
    let changes = Attributes::from([("a", None), ("b", Some(Sealed::plain(b"4")))]);
    vec![
        SessionCreated {
            tenant: "t".into(),
            subject: "s".into(),
            ttl_ms: 60_000,
            at: T,
            idle_until: U,
            ends_at: Some(U),
            attributes: attributes.clone(),
        }
        .into(),
        SessionTouched { at: T, idle_until: U }.into(),
        SessionPatched { revision: 2, at: T, idle_until: U, changes }.into(),
        SessionEnded { reason: EndReason::MaxAge, at: T }.into(),
        SessionImported {
            tenant: "t".into(),
            subject: "s".into(),
            revision: 2,
            ttl_ms: 60_000,
            created_at: T,
            active_at: T,
            idle_until: U,
            ends_at: Some(U),
            at: U,
            attributes,
        }
        .into(),
        SessionFenced { at: T }.into(),
    ]
}

fn lock() -> Vec<LockEvent> {
    let claim = Claim {
        owner: "ann".into(),
        session: Some("t/1".into()),
        mode: LockMode::Shared,
        range: Some(Range { unit: RangeUnit::Dates, from: -1, to: 300 }),
        ttl_ms: 10_000,
        delay_ms: 0,
        request: Some("r1".into()),
    };
    vec![
        LeaseGranted { token: 5, claim: claim.clone(), expires_at: U, claim_by: Some(T) }.into(),
        LeaseRenewed { token: 5, expires_at: U, ttl_ms: 500 }.into(),
        LeaseClaimed { token: 5 }.into(),
        LeaseReleased { token: 5, session: None }.into(),
        LeaseExpired { token: 5, unclaimed: true, delayed_until: Some(U) }.into(),
        LeaseRevoked { token: 5, reason: text("stuck") }.into(),
        LeaseExtended { boot: 2, leases: vec![(5, U)], claim_by: T }.into(),
        WaiterQueued { claim, deadline: U }.into(),
        WaiterLeft { request: text("r1"), why: LeftBecause::SessionEnded }.into(),
        RefusalRecorded {
            token: 5,
            owner: text("eve"),
            command: text("renew"),
            because: RefusedFor::Token,
            at: T,
        }
        .into(),
        LeasesFenced { at: T, tokens: vec![5, 300], waiters: 2 }.into(),
    ]
}

fn key() -> Vec<KeyEvent> {
    let (hash, tenant) = (KeyHash([7; 32]), Some(text("t")));
    vec![
        KeyCreated { role: Role::Operator, tenant, hash, at: T, expires_at: Some(U) }.into(),
        KeyRotated { hash: KeyHash([8; 32]), at: T, older_until: U }.into(),
        KeyRevoked { reason: text("lost"), at: T }.into(),
        AccessRefused { because: RefusedBecause::Role, operation: text("POST /keys"), at: T }
            .into(),
    ]
}

fn chaos() -> Vec<ChaosEvent> {
    let plan = Plan {
        dependency: text("db"),
        fault: Fault::Flapping { up_ms: 400, down_ms: 5 },
        share: Rate::from_ten_thousandths(2_500),
        seed: 7,
        reason: text("day"),
    };
    let cause = EndCause::Stopped { reason: text("ok") };
    vec![FaultStarted { plan, at: T, until: U }.into(), FaultEnded { at: U, cause }.into()]
}

/// One event of each type.
pub(crate) fn all() -> Vec<AnyEvent> {
    let boxed = |event| AnyEvent::Dependency(Box::new(event));
    let mut all: Vec<AnyEvent> = system().into_iter().map(AnyEvent::System).collect();
    all.extend(dependency().into_iter().map(boxed));
    all.extend(session().into_iter().map(AnyEvent::Session));
    all.extend(lock().into_iter().map(AnyEvent::Lock));
    all.extend(crate::subject_table::events().into_iter().map(AnyEvent::Subject));
    all.extend(key().into_iter().map(AnyEvent::Key));
    all.extend(chaos().into_iter().map(AnyEvent::Chaos));
    all
}

fn lines<E: Payload + PartialEq + std::fmt::Debug>(events: &[E]) -> String {
    let catalogue: Vec<_> = events.iter().map(|event| (event.name(), event.type_id().0)).collect();
    assert_eq!(catalogue, E::catalogue(), "one of each type, in order");
    let line = |event: &E| {
        assert_eq!(*event, recoded(event));
        let mut bytes = Vec::new();
        event.encode(&mut bytes).expect("it can be written");
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        let (type_id, schema) = event.type_id();
        format!("{type_id:04x} v{schema} {} {hex}\n", event.name())
    };
    events.iter().map(line).collect()
}

#[test]
fn the_layout_of_each_event_is_frozen() {
    let subject = lines(&crate::subject_table::events());
    let bytes = [
        lines(&system()),
        lines(&dependency()),
        lines(&session()),
        lines(&lock()),
        subject,
        lines(&key()),
        lines(&chaos()),
    ]
    .concat();
    assert_eq!(bytes, include_str!("payloads.txt"), "\n{bytes}");
}

#[test]
fn sealed_values_lie_in_the_payload_as_they_are() {
    let mut bytes = Vec::new();
    session()[0].encode(&mut bytes).expect("it can be written");
    assert!(bytes.ends_with(&[4, b'c', b'a', b'r', b't', 2, 0, b'3']));
}

/// What was written before there was another reason than the owner.
#[test]
fn a_refusal_of_schema_1_is_read_as_one_for_its_owner() {
    let bytes =
        [5, 3, b'e', b'v', b'e', 5, b'r', b'e', b'n', b'e', b'w', 0xfc, 0x40, 0x42, 0x0f, 0];
    let older = LockEvent::decode(0x030a, 1, &bytes).expect("it can be read");
    let because = RefusedFor::Owner;
    let (owner, command) = (text("eve"), text("renew"));
    assert_eq!(older, RefusalRecorded { token: 5, owner, command, because, at: T }.into());
    assert_eq!(older.type_id(), (0x030a, 2));
    let mut state = LockState::default();
    Lock::fold(&mut state, &older).expect("it folds");
    assert_eq!(state.refusal_at, Some(T));
    // And the next program writes it again as it is now.
    let mut written = Vec::new();
    older.encode(&mut written).expect("it can be written");
    assert_eq!(LockEvent::decode(0x030a, 2, &written), Ok(older));
    assert!(LockEvent::decode(0x030a, 1, &bytes[..15]).is_err());
}

#[test]
fn an_unknown_type_or_schema_is_named() {
    let unknown = CodecError::Unknown { type_id: 0x0301, schema: 2 };
    assert_eq!(LockEvent::decode(0x0301, 2, &[]), Err(unknown));
    assert!(SessionEvent::decode(0x0301, 1, &[]).is_err());
}

#[test]
fn a_payload_with_bytes_left_over_is_refused() {
    let mut bytes = Vec::new();
    lock()[2].encode(&mut bytes).expect("it can be written");
    bytes.push(0);
    let error = LockEvent::decode(0x0303, 1, &bytes).expect_err("a no");
    assert_eq!(error.to_string(), "event LeaseClaimed: 1 bytes left over");
}

#[test]
fn a_length_that_cannot_be_claims_no_memory() {
    // A string of 2^63 bytes, and one of 2 MiB.
    for length in [&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0x80][..], &[0xfc, 0, 0, 0x20, 0]] {
        assert!(SessionEvent::decode(0x0201, 1, length).is_err());
        let mut forced = vec![1, 3, 1, 0];
        forced.extend(length);
        assert!(DependencyEvent::decode(0x0106, 1, &forced).is_err());
        let mut observed = vec![1, 1, 1, 1, 0, 0, 0];
        observed.extend(length);
        assert!(DependencyEvent::decode(0x0108, 1, &observed).is_err());
    }
}
