//! A journal that began in August: what a server of that time would have written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use mainstay::actors::codec::Payload;
use mainstay::actors::dependency::{BreakerSettings, Dependency, DependencyConfigured, Settings};
use mainstay::actors::host::Hosted;
use mainstay::actors::key::{Key, KeyCreated, KeyHash, Role};
use mainstay::actors::lock::{Claim, LeaseGranted, LeaseReleased, Lock, Mode};
use mainstay::actors::session::{
    EndReason, Sealed, Session, SessionCreated, SessionEnded, SessionTouched,
};
use mainstay::actors::subject::{ConsentRecorded, Subject};
use mainstay::actors::system::{Attested, Booted, System};
use mainstay::actors::time::Timestamp;
use mainstay::journal::{
    Append, Draft, Envelope, EventLog, LocalLog, Options, Outcome, ReadLog as _, StreamId,
};

use crate::forks::restore;

/// Lives from August until long after this test.
pub(super) const LONG: &str = "01a200e7-0000-7000-8000-00000000000a";
/// Lives from August to September.
pub(super) const MIDDLE: &str = "01a200e7-0000-7000-8000-00000000000b";
/// Long after this test.
const LATER: &str = "2100-01-01T00:00:00Z";
/// Whom they are about.
pub(super) const GUEST: &str = "guest-7";

struct Scribe {
    log: LocalLog,
    settled: Receiver<Vec<Outcome>>,
    versions: BTreeMap<String, u64>,
    now: Timestamp,
}

impl Scribe {
    fn open(data: &Path, now: &str) -> Self {
        let (sink, settled) = channel();
        let options = Options { store: false, spares: 0, ..Options::default() };
        let log = LocalLog::open(data, &options, move |_, outcomes| sink.send(outcomes).unwrap());
        let now = Timestamp::parse(now).unwrap();
        Self { log: log.unwrap(), settled, versions: BTreeMap::new(), now }
    }

    fn write<M: Hosted>(&mut self, id: &str, event: impl Into<M::Event>) {
        let (event, stream) = (event.into(), StreamId::new(M::KIND, id).unwrap());
        let mut payload = Vec::new();
        event.encode(&mut payload).unwrap();
        let (type_id, schema) = event.type_id();
        let tags = M::tags(&stream, &event);
        let version = self.versions.entry(stream.as_str().to_owned()).or_default();
        let append = Append {
            activation: 1,
            stream,
            expected_version: *version,
            seen: None,
            envelope: Envelope {
                at_us: self.now.as_micros(),
                principal: Arc::from("local"),
                request: None,
                correlation: None,
                causation: None,
            },
            drafts: vec![Draft { type_id, schema, tags, payload }],
        };
        *version += 1;
        self.log.submit(append).unwrap();
        let outcomes = self.settled.recv().unwrap();
        assert!(matches!(outcomes[..], [Outcome::Committed { count: 1, .. }]), "{outcomes:?}");
        self.now = self.now.plus_ms(1_000);
    }

    fn grant(&mut self, lock: &str, token: u64) {
        let claim = Claim {
            owner: "ann".into(),
            session: None,
            mode: Mode::Exclusive,
            range: None,
            ttl_ms: 60_000,
            delay_ms: 0,
            request: None,
        };
        let expires_at = Timestamp::parse(LATER).unwrap();
        self.write::<Lock>(lock, LeaseGranted { token, claim, expires_at, claim_by: None });
    }

    fn lease(&mut self, lock: &str, token: u64) {
        self.grant(lock, token);
        self.write::<Lock>(lock, LeaseReleased { token, session: None });
    }

    fn session(&mut self, id: &str, idle_until: Timestamp) {
        let created = SessionCreated {
            tenant: "default".into(),
            subject: GUEST.into(),
            ttl_ms: 60_000,
            at: self.now,
            idle_until,
            ends_at: None,
            attributes: [("locale", Sealed::plain(b"\"en\""))].into(),
        };
        self.write::<Session>(&format!("default/{id}"), created);
    }

    fn end(&mut self, id: &str) {
        let ended = SessionEnded { reason: EndReason::Ended, at: self.now };
        self.write::<Session>(&format!("default/{id}"), ended);
    }
}

/// Writes it; returns the last position before October.
pub(super) fn write(data: &Path) -> u64 {
    let mut scribe = Scribe::open(data, "2026-08-05T00:00:00Z");
    let later = Timestamp::parse(LATER).unwrap();
    let (version, at) = ("0.1.0".to_owned(), scribe.now);
    scribe.write::<System>("boot", Booted { boot: 1, version, at });
    let settings =
        Settings { weight: 30, cap: None, breaker: BreakerSettings::default(), from_file: false };
    scribe.write::<Dependency>("database", DependencyConfigured { configuration: 1, settings });
    scribe.session(LONG, later);
    scribe.session(MIDDLE, later);
    let (recorded_at, by) = (scribe.now, "local".to_owned());
    let (consent, text_version) = ("mail".to_owned(), "v1".to_owned());
    let recorded = ConsentRecorded { consent, granted: true, text_version, by, at: recorded_at };
    scribe.write::<Subject>(&format!("default/{GUEST}"), recorded);
    let attested = Attested {
        item: "documents.runbooks".to_owned(),
        evidence: "https://wiki.example/1".to_owned(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        at: scribe.now,
        until: later,
    };
    scribe.write::<System>("attestations", attested);
    let (role, hash, at) = (Role::Operator, KeyHash([7; 32]), scribe.now);
    scribe.write::<Key>("old", KeyCreated { role, tenant: None, hash, at, expires_at: None });
    scribe.lease("old", 1);
    let mut archived = 0;
    for (month, day) in (0_u64..).zip(["2026-08-10", "2026-09-10", "2026-10-10"]) {
        scribe.now = Timestamp::parse(&format!("{day}T00:00:00Z")).unwrap();
        for round in 0..5 {
            scribe.lease("busy", month * 5 + round + 1);
        }
        let short = format!("01a200e7-0000-7000-8000-0000000000c{month}");
        scribe.session(&short, later);
        scribe.end(&short);
        if month == 1 {
            let touched = SessionTouched { at: scribe.now, idle_until: later };
            scribe.write::<Session>(&format!("default/{LONG}"), touched);
            scribe.end(MIDDLE);
            archived = scribe.log.head().position;
        }
    }
    scribe.log.close();
    archived
}

/// In August a session and a lease of `held` begin; in September the journal is restored, and others hold
/// `busy` and `later`.
pub(super) fn fork(data: &Path) {
    let mut scribe = Scribe::open(data, "2026-08-05T00:00:00Z");
    scribe.session(LONG, Timestamp::parse(LATER).unwrap());
    scribe.grant("held", 1);
    scribe.log.close();
    drop(scribe);
    restore(data, Timestamp::parse("2026-09-01T00:00:00Z").unwrap());
    let mut scribe = Scribe::open(data, "2026-09-10T00:00:00Z");
    scribe.grant("busy", 2);
    scribe.now = Timestamp::parse("2026-10-10T00:00:00Z").unwrap();
    scribe.grant("later", 3);
    scribe.log.close();
}
