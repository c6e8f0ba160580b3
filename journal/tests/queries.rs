//! Queries over lists of many chunks agree with a scan: alone and combined, both ways, page by
//! page, with the store and without it.

#![cfg(test)]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::{
    EventLog as _, LocalLog, Options, Query, ReadLog as _, RecordRef, StreamId, Tag,
};

const RECORDS: u64 = 8_000;
const START_US: u64 = 1_795_305_600_000_000;

/// A few segments, so that a common term has several chunks in each, and the last one is open.
fn open(directory: &Path) -> LocalLog {
    let options =
        Options { segment_bytes: 160_000, group_records: 256, spares: 0, ..Options::default() };
    LocalLog::open(directory, &options, Outcomes::default()).unwrap()
}

/// Numbers that look like chance.
fn noise(n: u64) -> u64 {
    (n ^ (n >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

fn fill(directory: &Path) {
    let log = open(directory);
    let mut versions = std::collections::BTreeMap::<String, u64>::new();
    for n in 0..RECORDS {
        let name = if n % 3 == 0 { "s/hot".to_owned() } else { format!("s/{}", noise(n) % 700) };
        let version = versions.entry(name.clone()).or_default();
        let mut next = append(&name, *version, 1, START_US + n * 1_000);
        *version += 1;
        next.envelope.principal = format!("p{}", noise(n + 1) % 3).into();
        next.envelope.correlation = Some(format!("c{}", noise(n + 2) % 4_000).into());
        next.drafts[0].type_id = u16::try_from(noise(n + 3) % 5).unwrap();
        // One tag in the first half only, one rare: lists of unlike length and place.
        let half = if n < RECORDS / 2 { "early" } else { "late" };
        let tags = [(1, half.to_owned()), (2, format!("t{}", noise(n + 4) % 100))];
        next.drafts[0].tags =
            tags.map(|(key, value)| Tag { key, value: value.into() }).into_iter().collect();
        let mut rest = Some(next);
        while let Some(append) = rest.take() {
            if let Err(full) = log.submit(append) {
                log.wait_beyond(log.head().position, Duration::from_secs(10));
                rest = Some(full.0);
            }
        }
    }
    log.wait_beyond(RECORDS - 1, Duration::from_secs(10));
    settle(&log);
    assert!(log.status().segments >= 4, "{} segments", log.status().segments);
}

/// Waits until the store has everything.
fn settle(log: &LocalLog) {
    for _ in 0..2_000 {
        let store = log.status().store.unwrap();
        if store.reached == log.head().position && !store.rebuilding {
            return;
        }
        log.wait_beyond(u64::MAX - 1, Duration::from_millis(5));
    }
    panic!("the store does not arrive: {:?}", log.status().store);
}

/// The nth query: each filter is there or not.
fn query(n: u64) -> Query {
    let has = |field: u64, share: u64| noise(n * 16 + field).is_multiple_of(share);
    let pick = |field: u64, bound: u64| noise(n * 16 + 8 + field) % bound;
    let stream = if has(6, 2) { "s/hot".to_owned() } else { format!("s/{}", pick(0, 800)) };
    let mut tags = Vec::new();
    if has(4, 3) {
        tags.push((1, if pick(4, 2) == 0 { "early".into() } else { "late".into() }));
    }
    if has(5, 4) {
        tags.push((2, format!("t{}", pick(5, 110))));
    }
    let types = (0..=pick(1, 3)).map(|more| u16::try_from((pick(2, 6) + more) % 6).unwrap());
    Query {
        stream: has(0, 4).then(|| StreamId::parse(&stream).unwrap()),
        types: if has(1, 2) { types.collect() } else { Vec::new() },
        principal: has(2, 3).then(|| format!("p{}", pick(3, 4))),
        correlation: has(3, 8).then(|| format!("c{}", pick(6, 4_100))),
        tags,
        since_us: has(7, 5).then(|| START_US + pick(7, RECORDS) * 1_000),
        until_us: has(8, 5).then(|| START_US + pick(8, RECORDS) * 1_000),
        after: if has(9, 4) { pick(9, RECORDS) } else { 0 },
    }
}

fn matches(query: &Query, record: &RecordRef<'_>) -> bool {
    let tagged = |(key, value): &(u8, String)| record.tags().any(|tag| tag == (*key, value));
    record.position > query.after
        && query.stream.as_ref().is_none_or(|stream| stream.as_str() == record.stream)
        && (query.types.is_empty() || query.types.contains(&record.type_id))
        && query.principal.as_deref().is_none_or(|name| name == record.principal)
        && query.correlation.as_deref().is_none_or(|id| record.correlation == Some(id))
        && query.tags.iter().all(tagged)
        && query.since_us.is_none_or(|since| record.at_us >= since)
        && query.until_us.is_none_or(|until| record.at_us <= until)
}

fn wanted(log: &LocalLog, queries: &[Query]) -> Vec<Vec<u64>> {
    let mut wanted = vec![Vec::new(); queries.len()];
    log.scan(1, u64::MAX, &mut |record| {
        for (query, positions) in queries.iter().zip(&mut wanted) {
            if matches(query, &record) {
                positions.push(record.position);
            }
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    wanted
}

/// At most `limit` positions.
fn found(log: &LocalLog, query: &Query, back: bool, limit: usize) -> Vec<u64> {
    let mut positions = Vec::new();
    let mut visit = |record: RecordRef<'_>| {
        positions.push(record.position);
        if positions.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let done = if back { log.find_back(query, &mut visit) } else { log.find(query, &mut visit) };
    done.unwrap();
    positions
}

#[track_caller]
fn agree(log: &LocalLog, queries: &[Query], wanted: &[Vec<u64>]) {
    for (query, wanted) in queries.iter().zip(wanted) {
        assert_eq!(found(log, query, false, usize::MAX), *wanted, "{query:?}");
        let mut back = found(log, query, true, usize::MAX);
        back.reverse();
        assert_eq!(back, *wanted, "{query:?} newest first");
    }
}

#[test]
fn any_query_agrees_with_a_scan_with_and_without_the_store() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let log = open(directory.path());
    settle(&log);
    let queries: Vec<Query> = (0..200).map(query).collect();
    let wanted = wanted(&log, &queries);
    let full = wanted.iter().filter(|positions| positions.len() > 1_000).count();
    let some = wanted.iter().filter(|positions| !positions.is_empty()).count();
    assert!(full > 10 && some > 80, "{full} long answers, {some} that are not empty");
    agree(&log, &queries, &wanted);
    assert_eq!(log.status().store.unwrap().trouble, None);
    log.close();
    agree(&log, &queries[..30], &wanted[..30]);
}

#[test]
fn pages_cut_by_a_cursor_are_the_whole_answer() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let log = open(directory.path());
    settle(&log);
    for n in (0..40).filter(|n| query(*n).after == 0) {
        let whole = found(&log, &query(n), false, usize::MAX);
        let mut pages = Vec::new();
        let mut next = query(n);
        loop {
            let page = found(&log, &next, false, 97);
            let Some(last) = page.last() else { break };
            next.after = *last;
            pages.extend(page);
        }
        assert_eq!(pages, whole, "{:?}", query(n));
    }
}
