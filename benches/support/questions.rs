//! What an audit asks: every filter alone.
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
    ("stream, long", |_| Some(of_stream("dependency/payments"))),
    ("stream, unknown", |it| Some(of_stream(&format!("lock/nobody-{}", it.position)))),
    ("type, common", |_| Some(of_type("SessionPatched"))),
    ("type, rare", |_| Some(of_type("BreakerHalfOpened"))),
    ("principal, common", |_| Some(of_principal("svc-000"))),
    ("principal, of a record", |it| Some(of_principal(&it.principal))),
    ("principal, rare", |_| Some(of_principal("svc-999"))),
    ("correlation", |it| Some(of_correlation(it.correlation.as_ref()?))),
    ("correlation, unknown", |it| Some(of_correlation(&format!("nothing-{}", it.position)))),
    ("tag, common: tenant", |_| Some(of_tag(tags::TENANT, "acme"))),
    ("tag: owner", |it| Some(of_tag(tags::OWNER, tag(it, tags::OWNER)?))),
    ("tag: subject", |it| Some(of_tag(tags::SUBJECT, tag(it, tags::SUBJECT)?))),
    ("an hour", |it| Some(hour(it))),
    ("after", |it| Some(Query { after: it.position, ..Query::default() })),
    ("everything", |_| Some(Query::default())),
];

fn of_stream(name: &str) -> Query {
    Query { stream: StreamId::parse(name), ..Query::default() }
}

fn of_type(name: &str) -> Query {
    Query { types: types(name), ..Query::default() }
}

pub(crate) fn of_principal(name: &str) -> Query {
    Query { principal: Some(name.to_owned()), ..Query::default() }
}

fn of_correlation(id: &str) -> Query {
    Query { correlation: Some(id.to_owned()), ..Query::default() }
}

pub(crate) fn of_tag(key: u8, value: &str) -> Query {
    Query { tags: vec![(key, value.to_owned())], ..Query::default() }
}

pub(crate) fn hour(it: &Sample) -> Query {
    let until_us = Some(it.at_us + HOUR_US);
    Query { since_us: Some(it.at_us), until_us, ..Query::default() }
}

fn tag(it: &Sample, wanted: u8) -> Option<&str> {
    it.tags.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.as_str())
}

pub(crate) fn types(name: &str) -> Vec<u16> {
    let all = [SessionEvent::catalogue(), LockEvent::catalogue(), DependencyEvent::catalogue()];
    let found = all.concat().into_iter().find(|(known, _)| *known == name);
    vec![found.unwrap_or_else(|| panic!("no event is named {name}")).1]
}
