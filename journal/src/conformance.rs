//! What every [`EventLog`] must do, as functions that run against any of them.
//!
//! A log under test is a [`Bench`]: the log, its outcomes, and a way to let it work.

mod keeping;
mod moments;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{
    Append, Cursor, Draft, Envelope, EventLog, Head, MAX_RECORD_BYTES, MAX_TAGS, Outcome, Query,
    RecordRef, Refusal, Request, Sink, StreamId, Tag, Tags,
};

/// Collects outcomes.
#[derive(Debug, Clone, Default)]
pub struct Outcomes(Arc<Mutex<Vec<Outcome>>>);

impl Outcomes {
    /// All so far, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Outcomes {
    fn group(&mut self, _epoch: u32, outcomes: Vec<Outcome>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(outcomes);
    }
}

/// A log under test.
pub trait Bench {
    /// The log.
    fn log(&self) -> &dyn EventLog;
    /// Outcomes so far.
    fn outcomes(&self) -> Vec<Outcome>;
    /// Lets the log commit what is queued, or waits a little until it has.
    fn work(&mut self);
}

/// Submits and waits for the outcomes.
///
/// # Panics
/// If they do not come.
pub fn commit(bench: &mut dyn Bench, appends: Vec<Append>) -> Vec<Outcome> {
    let before = bench.outcomes().len();
    let wanted = before + appends.len();
    for append in appends {
        assert!(bench.log().submit(append).is_ok(), "the queue is full");
    }
    for _ in 0..10_000 {
        let outcomes = bench.outcomes();
        if outcomes.len() >= wanted {
            return outcomes.into_iter().skip(before).collect();
        }
        bench.work();
    }
    panic!("{wanted} outcomes expected, {} came", bench.outcomes().len());
}

/// A stream's name.
///
/// # Panics
/// If it is not one.
#[must_use]
pub fn stream(name: &str) -> StreamId {
    StreamId::parse(name).unwrap_or_else(|| panic!("{name} is no stream"))
}

/// An append of `count` small events.
#[must_use]
pub fn append(name: &str, expected_version: u64, count: u8, at_us: u64) -> Append {
    let draft = |index: u8| Draft {
        type_id: u16::from(index) + 1,
        schema: 1,
        tags: Tags::from_vec(vec![Tag { key: 1, value: "acme".into() }]),
        payload: format!("{name}:{}", expected_version + 1 + u64::from(index)).into_bytes(),
    };
    Append {
        activation: 1,
        stream: stream(name),
        expected_version,
        seen: None,
        envelope: Envelope {
            at_us,
            principal: "tester".into(),
            request: None,
            correlation: None,
            causation: None,
        },
        drafts: (0..count).map(draft).collect(),
    }
}

type Seen = Vec<(u64, String, u64, u64, Vec<u8>)>;

fn collect(read: impl FnOnce(crate::Visit<'_>) -> Result<(), crate::ReadError>) -> Seen {
    let mut seen = Seen::new();
    let done = read(&mut |record| {
        let payload = record.payload.to_vec();
        seen.push((
            record.position,
            record.stream.into(),
            record.version,
            record.previous,
            payload,
        ));
        ControlFlow::Continue(())
    });
    assert!(done.is_ok(), "{done:?}");
    seen
}

/// Every case, one after the other, each on a fresh log.
pub fn all(make: &mut dyn FnMut() -> Box<dyn Bench>) {
    for case in CASES {
        case(&mut *make());
    }
}

/// One case.
pub type Case = fn(&mut dyn Bench);

/// All cases.
pub const CASES: [Case; 15] = [
    keeping::streams_read_between_two_of_their_records,
    keeping::what_is_kept_is_read_back,
    keeping::what_a_caller_has_seen_does_not_replace_what_the_log_knows,
    positions_are_gap_free_and_outcomes_in_order,
    a_wrong_version_is_a_conflict,
    a_refused_activation_stays_refused,
    too_large_is_refused_without_harm,
    every_field_reads_back,
    scan_keeps_its_range,
    streams_read_in_order,
    find_agrees_with_a_scan,
    a_visit_can_end_early,
    time_never_falls,
    moments::a_time_is_a_position,
    waiting_ends_with_news_or_time,
];

fn positions_are_gap_free_and_outcomes_in_order(bench: &mut dyn Bench) {
    assert_eq!(bench.log().head().position, 0);
    let appends = (0..100).map(|n| append(&format!("a/{n}"), 0, 1 + n % 3, 10)).collect();
    let mut next = 1;
    for (n, outcome) in commit(bench, appends).into_iter().enumerate() {
        let count = 1 + u32::try_from(n % 3).unwrap_or_default();
        assert_eq!(outcome, Outcome::Committed { first: next, count });
        next += u64::from(count);
    }
    assert_eq!(bench.log().head().position, next - 1);
    let seen = collect(|visit| bench.log().scan(1, u64::MAX, visit));
    let positions: Vec<u64> = seen.iter().map(|record| record.0).collect();
    assert_eq!(positions, (1..next).collect::<Vec<_>>());
}

fn a_wrong_version_is_a_conflict(bench: &mut dyn Bench) {
    let other = |expected, activation| Append { activation, ..append("a/1", expected, 1, 1) };
    let outcomes = commit(bench, vec![other(0, 1), other(0, 2), other(5, 3), other(1, 4)]);
    let conflict = |expected| Outcome::Refused(Refusal::Conflict { expected, actual: 1 });
    let wanted = [
        Outcome::Committed { first: 1, count: 1 },
        conflict(0),
        conflict(5),
        Outcome::Committed { first: 2, count: 1 },
    ];
    assert_eq!(outcomes, wanted);
}

fn a_refused_activation_stays_refused(bench: &mut dyn Bench) {
    let other = |expected, activation| Append { activation, ..append("a/1", expected, 1, 1) };
    let elsewhere = Append { activation: 7, ..append("a/2", 0, 1, 1) };
    let appends = vec![other(3, 7), other(0, 7), other(0, 8), elsewhere];
    let outcomes = commit(bench, appends);
    assert!(matches!(outcomes.first(), Some(Outcome::Refused(Refusal::Conflict { .. }))));
    assert_eq!(outcomes.get(1), Some(&Outcome::Refused(Refusal::Superseded)));
    assert_eq!(outcomes.get(2), Some(&Outcome::Committed { first: 1, count: 1 }));
    assert_eq!(outcomes.get(3), Some(&Outcome::Committed { first: 2, count: 1 }));
    let later = commit(bench, vec![other(1, 7), other(1, 8)]);
    assert_eq!(later.first(), Some(&Outcome::Refused(Refusal::Superseded)));
    assert_eq!(later.get(1), Some(&Outcome::Committed { first: 3, count: 1 }));
}

fn too_large_is_refused_without_harm(bench: &mut dyn Bench) {
    let mut huge = append("a/1", 0, 2, 1);
    huge.drafts.iter_mut().for_each(|draft| draft.payload = vec![7; MAX_RECORD_BYTES]);
    let mut tagged = append("a/2", 0, 1, 1);
    let tag = Tag { key: 1, value: "x".into() };
    tagged.drafts.iter_mut().for_each(|draft| draft.tags = vec![tag.clone(); MAX_TAGS + 1].into());
    let empty = append("a/3", 0, 0, 1);
    let mut long = append("a/4", 0, 1, 1);
    long.envelope.principal = "p".repeat(5000).into();
    let mut many = append("a/5", 0, 200, 1);
    many.drafts.iter_mut().for_each(|draft| draft.payload = vec![7; 8192]);
    let fine = append("a/6", 0, 1, 1);
    let outcomes = commit(bench, vec![huge, tagged, empty, long, many, fine]);
    for outcome in outcomes.iter().take(5) {
        assert!(matches!(outcome, Outcome::Refused(Refusal::TooLarge(_))), "{outcome:?}");
    }
    assert_eq!(outcomes.get(5), Some(&Outcome::Committed { first: 1, count: 1 }));
}

fn every_field_reads_back(bench: &mut dyn Bench) {
    let mut full = append("kind/id/with/slashes", 0, 1, 99);
    full.envelope.request = Some(Request { id: "r-1".into(), fingerprint: u64::MAX });
    full.envelope.correlation = Some("trace".into());
    full.envelope.causation = Some(Cursor { epoch: 3, position: 12 });
    let tags = (0..4).map(|key| Tag { key, value: format!("v{key}").into() });
    let largest = vec![0xAB; 32_000];
    for draft in &mut full.drafts {
        draft.tags = tags.clone().collect();
        draft.schema = 9;
        draft.payload.clone_from(&largest);
    }
    commit(bench, vec![append("a/1", 0, 1, 1), full, append("a/2", 0, 1, 100)]);
    let mut count = 0;
    let done = bench.log().scan(2, 2, &mut |record: RecordRef<'_>| {
        count += 1;
        assert_eq!(record.position, 2);
        assert_eq!(record.stream, "kind/id/with/slashes");
        assert_eq!((record.type_id, record.schema, record.at_us), (1, 9, 99));
        assert_eq!((record.version, record.previous), (1, 0));
        assert_eq!(record.principal, "tester");
        assert_eq!(record.request, Some(("r-1", u64::MAX)));
        assert_eq!(record.correlation, Some("trace"));
        assert_eq!(record.causation, Some(Cursor { epoch: 3, position: 12 }));
        let tags: Vec<_> = record.tags().collect();
        assert_eq!(tags, [(0, "v0"), (1, "v1"), (2, "v2"), (3, "v3")]);
        assert_eq!(record.payload, largest);
        ControlFlow::Continue(())
    });
    assert!(done.is_ok() && count == 1);
}

fn fill(bench: &mut dyn Bench) {
    let mut versions = std::collections::BTreeMap::<String, u64>::new();
    for round in 0..8_u64 {
        let mut appends = Vec::new();
        for n in 0..50_u64 {
            // One stream in every append of a round, others now and then.
            let name = if n % 5 == 0 { "hot/one".into() } else { format!("s/{}", (n * 7) % 23) };
            let version = versions.entry(name.clone()).or_default();
            let count = u8::try_from(1 + n % 4).unwrap_or(1);
            let mut append = append(&name, *version, count, 1000 + round * 100 + n);
            append.envelope.principal = format!("p{}", n % 3).into();
            append.envelope.correlation = (n % 4 == 0).then(|| format!("c{round}").into());
            for draft in &mut append.drafts {
                draft.tags.push(Tag { key: 2, value: format!("t{}", n % 6).into() });
            }
            *version += u64::from(count);
            appends.push(append);
        }
        commit(bench, appends);
    }
}

fn scan_keeps_its_range(bench: &mut dyn Bench) {
    fill(bench);
    let log = bench.log();
    let head = log.head().position;
    let all = collect(|visit| log.scan(0, u64::MAX, visit));
    assert_eq!(all.len() as u64, head);
    for (from, to) in [(1, 1), (2, 17), (16, 16), (head, head), (head, head + 5), (5, 4)] {
        let seen = collect(|visit| log.scan(from, to, visit));
        let wanted: Seen =
            all.iter().filter(|record| (from..=to).contains(&record.0)).cloned().collect();
        assert_eq!(seen, wanted, "{from}..={to}");
    }
    assert!(collect(|visit| log.scan(head + 1, u64::MAX, visit)).is_empty());
}

fn streams_read_in_order(bench: &mut dyn Bench) {
    fill(bench);
    let log = bench.log();
    let head = log.head().position;
    let all = collect(|visit| log.scan(1, head, visit));
    for name in ["hot/one", "s/0", "s/1", "s/22", "s/nobody"] {
        for upto in [0, 1, head / 3, head / 2, head, u64::MAX] {
            let wanted: Seen =
                all.iter().filter(|record| record.1 == name && record.0 <= upto).cloned().collect();
            assert_eq!(collect(|visit| log.read_stream(&stream(name), upto, visit)), wanted);
            let last = wanted
                .last()
                .map_or(Head::default(), |record| Head { version: record.2, position: record.0 });
            assert_eq!(log.stream_head(&stream(name), upto).ok(), Some(last));
            let chain: Vec<u64> = wanted.iter().map(|record| record.3).collect();
            let before = std::iter::once(0).chain(wanted.iter().map(|record| record.0));
            assert_eq!(chain, before.take(wanted.len()).collect::<Vec<_>>());
        }
    }
}

fn queries() -> Vec<Query> {
    let base = Query::default;
    vec![
        base(),
        Query { stream: Some(stream("s/3")), ..base() },
        Query { types: vec![2], ..base() },
        Query { types: vec![3, 4], principal: Some("p1".into()), ..base() },
        Query { principal: Some("p2".into()), after: 300, ..base() },
        Query { correlation: Some("c4".into()), ..base() },
        Query { correlation: Some("c4".into()), types: vec![9], ..base() },
        Query { tags: vec![(1, "acme".into()), (2, "t3".into())], ..base() },
        Query { tags: vec![(2, "acme".into())], ..base() },
        Query { since_us: Some(1310), until_us: Some(1349), ..base() },
        Query { since_us: Some(1749), ..base() },
        Query { until_us: Some(1001), ..base() },
        Query { since_us: Some(99_999), ..base() },
        Query { stream: Some(stream("hot/one")), since_us: Some(1500), after: 20, ..base() },
        Query { after: u64::MAX, ..base() },
    ]
}

fn find_agrees_with_a_scan(bench: &mut dyn Bench) {
    fill(bench);
    let log = bench.log();
    for query in queries() {
        let mut wanted = Vec::new();
        let done = log.scan(1, u64::MAX, &mut |record| {
            if crate::terms::matches(&query, &record) {
                wanted.push(record.position);
            }
            ControlFlow::Continue(())
        });
        assert!(done.is_ok());
        let found = collect(|visit| log.find(&query, visit));
        let found: Vec<u64> = found.iter().map(|record| record.0).collect();
        assert_eq!(found, wanted, "{query:?}");
        let back = collect(|visit| log.find_back(&query, visit));
        let back: Vec<u64> = back.iter().map(|record| record.0).collect();
        wanted.reverse();
        assert_eq!(back, wanted, "{query:?} back");
    }
}

type Read<'r> = Box<dyn Fn(crate::Visit<'_>) -> Result<(), crate::ReadError> + 'r>;

fn a_visit_can_end_early(bench: &mut dyn Bench) {
    fill(bench);
    let log = bench.log();
    let all = Query::default();
    let tagged = Query { tags: vec![(1, "acme".into())], ..Query::default() };
    let hot = stream("hot/one");
    let reads: [Read<'_>; 6] = [
        Box::new(|visit| log.scan(1, u64::MAX, visit)),
        Box::new(|visit| log.read_stream(&hot, u64::MAX, visit)),
        Box::new(|visit| log.find(&all, visit)),
        Box::new(|visit| log.find_back(&all, visit)),
        Box::new(|visit| log.find(&tagged, visit)),
        Box::new(|visit| log.find_back(&tagged, visit)),
    ];
    for read in reads {
        let mut count = 0;
        let done = read(&mut |_| {
            count += 1;
            if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(done.is_ok() && count == 3, "{count} visited");
    }
}

fn time_never_falls(bench: &mut dyn Bench) {
    commit(bench, vec![append("a/1", 0, 1, 50), append("a/2", 0, 1, 40), append("a/3", 0, 1, 60)]);
    let mut times = Vec::new();
    let done = bench.log().scan(1, 3, &mut |record| {
        times.push(record.at_us);
        ControlFlow::Continue(())
    });
    assert!(done.is_ok());
    assert_eq!(times, [50, 50, 60]);
}

fn waiting_ends_with_news_or_time(bench: &mut dyn Bench) {
    commit(bench, vec![append("a/1", 0, 2, 1)]);
    let log = bench.log();
    assert_eq!(log.wait_beyond(0, Duration::from_mins(1)).position, 2);
    assert_eq!(log.wait_beyond(1, Duration::from_mins(1)).position, 2);
    assert_eq!(log.wait_beyond(2, Duration::from_millis(1)).position, 2);
}
