//! What an audit asks: every filter alone, and the pairs that are hard to intersect.
//!
//! Names are taken from records of the journal itself, at places that a seed chooses.

use std::ops::ControlFlow;

use mainstay::actors::codec::Payload;
use mainstay::actors::dependency::DependencyEvent;
use mainstay::actors::host::tags;
use mainstay::actors::lock::LockEvent;
use mainstay::actors::session::SessionEvent;
use mainstay::journal::{Query, ReadLog, StreamId};

/// A record that a question is made of.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) position: u64,
    pub(crate) at_us: u64,
    pub(crate) stream: StreamId,
    pub(crate) principal: String,
    pub(crate) correlation: Option<String>,
    pub(crate) tags: Vec<(u8, String)>,
}

/// Records at `count` places, evenly spread but for a jitter.
pub(crate) fn samples(log: &dyn ReadLog, count: u64) -> Vec<Sample> {
    let head = log.head().position;
    let mut found = Vec::new();
    for turn in 0..count {
        let jitter = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (head / count).max(1);
        let position = (turn * head / count + jitter).clamp(1, head);
        log.scan(position, position, &mut |record| {
            found.push(Sample {
                position,
                at_us: record.at_us,
                stream: StreamId::parse(record.stream).unwrap(),
                principal: record.principal.to_owned(),
                correlation: record.correlation.map(str::to_owned),
                tags: record.tags().map(|(key, value)| (key, value.to_owned())).collect(),
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    found
}

/// A kind of question: its name, and the query that a record gives.
pub(crate) type Question = (&'static str, fn(&Sample) -> Option<Query>);

/// One hour in microseconds.
const HOUR_US: u64 = 3_600_000_000;

/// Every filter alone: these are what P6 is about.
pub(crate) const ALONE: [Question; 16] = [
    ("stream", |it| Some(Query { stream: Some(it.stream.clone()), ..Query::default() })),
    ("stream, long", |_| of_stream("dependency/payments")),
    ("stream, unknown", |it| of_stream(&format!("lock/nobody-{}", it.position))),
    ("type, common", |_| of_type("SessionPatched")),
    ("type, rare", |_| of_type("BreakerHalfOpened")),
    ("principal, common", |_| of_principal("svc-000")),
    ("principal, of a record", |it| of_principal(&it.principal)),
    ("principal, rare", |_| of_principal("svc-999")),
    ("correlation", |it| of_correlation(it.correlation.as_ref()?)),
    ("correlation, unknown", |it| of_correlation(&format!("nothing-{}", it.position))),
    ("tag, common: tenant", |_| of_tag(tags::TENANT, "acme")),
    ("tag: owner", |it| of_tag(tags::OWNER, tag(it, tags::OWNER)?)),
    ("tag: subject", |it| of_tag(tags::SUBJECT, tag(it, tags::SUBJECT)?)),
    ("an hour", |it| Some(hour(it))),
    ("after", |it| Some(Query { after: it.position, ..Query::default() })),
    ("everything", |_| Some(Query::default())),
];

/// Combined, down to those that many records match by halves and none in full.
pub(crate) const TOGETHER: [Question; 9] = [
    ("an hour, type", |it| Some(Query { types: types("LeaseGranted"), ..hour(it) })),
    ("after, type", |it| {
        Some(Query { types: types("SessionPatched"), after: it.position, ..Query::default() })
    }),
    ("an hour, principal, rare", |it| {
        Some(Query { principal: Some("svc-999".to_owned()), ..hour(it) })
    }),
    ("type and principal, common", |_| pair("SessionPatched", "svc-000")),
    ("type, rare, and principal, common", |_| pair("RefusalRecorded", "svc-000")),
    ("type, rare, and principal, rare", |_| pair("RefusalRecorded", "svc-999")),
    ("principal and tag, both common", |_| {
        Some(Query { principal: Some("svc-000".to_owned()), ..of_tag(tags::TENANT, "acme")? })
    }),
    ("type and tag, both common, no row", |_| {
        Some(Query { types: types("LeaseReleased"), ..of_tag(tags::TENANT, "acme")? })
    }),
    ("type and principal, common, no row", |_| pair("WindowObserved", "svc-000")),
];

fn of_stream(name: &str) -> Option<Query> {
    Some(Query { stream: StreamId::parse(name), ..Query::default() })
}

fn of_type(name: &str) -> Option<Query> {
    Some(Query { types: types(name), ..Query::default() })
}

fn of_principal(name: &str) -> Option<Query> {
    Some(Query { principal: Some(name.to_owned()), ..Query::default() })
}

fn of_correlation(id: &str) -> Option<Query> {
    Some(Query { correlation: Some(id.to_owned()), ..Query::default() })
}

fn of_tag(key: u8, value: &str) -> Option<Query> {
    Some(Query { tags: vec![(key, value.to_owned())], ..Query::default() })
}

fn pair(event: &str, principal: &str) -> Option<Query> {
    Some(Query { types: types(event), ..of_principal(principal)? })
}

fn hour(it: &Sample) -> Query {
    let until_us = Some(it.at_us + HOUR_US);
    Query { since_us: Some(it.at_us), until_us, ..Query::default() }
}

fn tag(it: &Sample, wanted: u8) -> Option<&str> {
    it.tags.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.as_str())
}

fn types(name: &str) -> Vec<u16> {
    let all = [SessionEvent::catalogue(), LockEvent::catalogue(), DependencyEvent::catalogue()];
    let found = all.concat().into_iter().find(|(known, _)| *known == name);
    vec![found.unwrap_or_else(|| panic!("no event is named {name}")).1]
}
