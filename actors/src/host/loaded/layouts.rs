//! The layout of every state in a snapshot, pinned: one that changes needs another number.

use super::freeze;
use crate::chaos::{Chaos, EndCause, Fault, FaultEnded, FaultStarted, Latency, Plan};
use crate::dependency::{BreakerSettings, Dependency, DependencyConfigured, Settings};
use crate::host::ledger::Ledger;
use crate::key::{Key, KeyCreated, KeyHash, Role};
use crate::lock::{Claim, LeaseGranted, Lock, Mode, WaiterQueued};
use crate::machine::Machine;
use crate::rate::Rate;
use crate::session::{Sealed, Session, SessionCreated};
use crate::subject::{ConsentRecorded, HoldPlaced, Subject};
use crate::system::{Attested, Booted, System};
use crate::time::Timestamp;

/// Kind, length and hash of a state of each.
const PINNED: [(&str, usize, u64); 7] = [
    ("subject", 90, 0x7c37_9d35_d7d0_610a),
    ("lock", 151, 0x47ee_42be_0f66_4829),
    ("session", 109, 0x3da8_4ced_f064_ed3f),
    ("dependency", 93, 0xbe5a_a17f_9d17_cd0b),
    ("system", 158, 0x7a1f_dbcc_7f98_043e),
    ("key", 126, 0x1961_8b36_db1c_82ba),
    ("chaos", 117, 0x0ce9_5a82_4e0f_92bd),
];

const AT: Timestamp = Timestamp::from_micros(1_000_000);

fn bytes<M: Machine>(events: impl IntoIterator<Item = M::Event>) -> Vec<u8> {
    let mut state = M::State::default();
    let mut ledger = Ledger::default();
    for event in events {
        M::fold(&mut state, &event).unwrap();
        ledger.remember("key", 7, AT, M::remembered(&event));
    }
    freeze::<M>(&state, 1, &ledger).unwrap()
}

fn claim(owner: &str, request: Option<&str>) -> Claim {
    Claim {
        owner: owner.into(),
        session: Some("default/s".into()),
        mode: Mode::Exclusive,
        range: None,
        ttl_ms: 5_000,
        delay_ms: 10,
        request: request.map(Into::into),
    }
}

#[test]
fn a_state_whose_layout_changed_has_another_layout_number() {
    let lock = bytes::<Lock>([
        LeaseGranted { token: 9, claim: claim("anna", None), expires_at: AT, claim_by: None }
            .into(),
        WaiterQueued { claim: claim("ben", Some("r")), deadline: AT }.into(),
    ]);
    let created = SessionCreated {
        tenant: "default".into(),
        subject: "someone".into(),
        ttl_ms: 5_000,
        at: AT,
        idle_until: AT.plus_ms(5_000),
        ends_at: Some(AT.plus_ms(60_000)),
        attributes: [("a", Sealed::plain(b"1"))].into(),
    };
    let session = bytes::<Session>([created.into()]);
    let breaker = BreakerSettings::default();
    let settings = Settings { weight: 3, cap: None, breaker, from_file: true };
    let configured = DependencyConfigured { configuration: 1, settings };
    let dependency = bytes::<Dependency>([configured.into()]);
    let booted = Booted { boot: 1, version: "0.1.0".to_owned(), at: AT };
    let attested = Attested {
        item: "documents.runbooks".to_owned(),
        evidence: "https://wiki.example".to_owned(),
        release: "0.1.0".to_owned(),
        at: AT,
        until: AT.plus_ms(60_000),
    };
    let system = bytes::<System>([booted.into(), attested.into()]);
    let hash = KeyHash([7; 32]);
    let tenant = Some("default".to_owned());
    let made = KeyCreated { role: Role::Operator, tenant, hash, at: AT, expires_at: None };
    let key = bytes::<Key>([made.into()]);
    let recorded = ConsentRecorded {
        consent: "mail".to_owned(),
        granted: true,
        text_version: "v1".to_owned(),
        by: "anna".to_owned(),
        at: AT,
    };
    let held = HoldPlaced { reason: "case 7".to_owned(), at: AT };
    let subject = bytes::<Subject>([recorded.into(), held.into()]);
    let plan = Plan {
        dependency: "db".to_owned(),
        fault: Fault::Latency(Latency::Normal { mean_ms: 200, deviation_ms: 50 }),
        share: Rate::from_ten_thousandths(2_500),
        seed: 7,
        reason: "a game day".to_owned(),
    };
    let cause = EndCause::Stopped { reason: "enough".to_owned() };
    let chaos = bytes::<Chaos>([
        FaultStarted { plan, at: AT, until: AT.plus_ms(60_000) }.into(),
        FaultEnded { at: AT, cause }.into(),
    ]);
    let found = [
        ("subject", subject),
        ("lock", lock),
        ("session", session),
        ("dependency", dependency),
        ("system", system),
        ("key", key),
        ("chaos", chaos),
    ]
    .map(|(kind, bytes)| (kind, bytes.len(), xxhash_rust::xxh3::xxh3_64(&bytes)));
    assert_eq!(found, PINNED, "raise the LAYOUT of what changed, then pin what is found here");
}
