//! The audit trail: every filter alone and combined, cursors, exports.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay::journal::{
    Append, Draft, Envelope, EventLog as _, LocalLog, MemoryLog, Options, Outcome, Query, ReadLog,
    Reader, StreamId, Tags,
};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, run};

const EVENTS: u64 = 3_000;

/// One of a few thousand events whose fields repeat with periods of their own.
fn nth(number: u64, versions: &mut BTreeMap<String, u64>) -> Append {
    let stream = match number % 5 {
        0 | 1 => "lock/hot".to_owned(),
        2 => format!("lock/{}", number % 7),
        3 => format!("session/default/{}", number % 101),
        _ => format!("dependency/{number}"),
    };
    let version = versions.entry(stream.clone()).or_default();
    *version += 1;
    Append {
        activation: 1,
        seen: None,
        stream: StreamId::parse(&stream).unwrap(),
        expected_version: *version - 1,
        envelope: Envelope {
            // Three events share a time.
            at_us: 1_000 + number / 3,
            principal: ["local", "system:timer", "system:gate", "é"][(number % 4) as usize].into(),
            request: None,
            correlation: (!number.is_multiple_of(3))
                .then(|| format!("order-{}", number % 11).into()),
            causation: None,
        },
        drafts: vec![Draft {
            type_id: u16::try_from(0x0301 + number % 6).unwrap(),
            schema: 1,
            tags: Tags::new(),
            payload: vec![0; (number % 90) as usize],
        }],
    }
}

/// All values of one filter, absent ones too.
fn queries() -> Vec<Query> {
    let mut queries = vec![Query::default()];
    let streams = ["lock/hot", "lock/3", "lock/never"];
    multiply(&mut queries, &streams, |query, stream| query.stream = StreamId::parse(stream));
    multiply(&mut queries, &[vec![0x0301], vec![0x0302, 0x0305]], |query, types| {
        query.types.clone_from(types);
    });
    multiply(&mut queries, &["system:timer"], |query, principal| {
        query.principal = Some((*principal).to_owned());
    });
    multiply(&mut queries, &["order-4"], |query, correlation| {
        query.correlation = Some((*correlation).to_owned());
    });
    multiply(&mut queries, &[1_250, 5_000], |query, at| query.since_us = Some(*at));
    multiply(&mut queries, &[1_600], |query, at| query.until_us = Some(*at));
    multiply(&mut queries, &[1_500], |query, position| query.after = *position);
    queries
}

fn multiply<T>(queries: &mut Vec<Query>, values: &[T], set: impl Fn(&mut Query, &T)) {
    for query in queries.clone() {
        for value in values {
            let mut query = query.clone();
            set(&mut query, value);
            queries.push(query);
        }
    }
}

/// The rule, written a second time.
fn wanted(query: &Query, position: u64, append: &Append) -> bool {
    let at_us = append.envelope.at_us;
    query.stream.as_ref().is_none_or(|it| *it == append.stream)
        && (query.types.is_empty() || query.types.contains(&append.drafts[0].type_id))
        && query.principal.as_ref().is_none_or(|it| **it == *append.envelope.principal)
        && query.correlation.as_ref().is_none_or(|it| {
            append.envelope.correlation.as_ref().is_some_and(|other| **it == **other)
        })
        && query.since_us.is_none_or(|since| at_us >= since)
        && query.until_us.is_none_or(|until| at_us <= until)
        && position > query.after
}

fn found(log: &dyn ReadLog, query: &Query, back: bool) -> Vec<u64> {
    let mut found = Vec::new();
    let mut take = |record: mainstay::journal::RecordRef<'_>| {
        found.push(record.position);
        ControlFlow::Continue(())
    };
    if back { log.find_back(query, &mut take) } else { log.find(query, &mut take) }.unwrap();
    found
}

#[test]
fn every_combination_of_filters_finds_what_a_scan_finds() {
    let directory = tempdir().unwrap();
    let options = Options { segment_bytes: 40_000, ..Options::default() };
    let (sink, settled) = std::sync::mpsc::channel();
    let sink = move |_: u32, outcomes: Vec<Outcome>| sink.send(outcomes.len()).unwrap();
    let log = LocalLog::open(directory.path(), &options, sink).unwrap();
    let memory = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
    let mut versions = BTreeMap::new();
    let appends: Vec<Append> = (0..EVENTS).map(|number| nth(number, &mut versions)).collect();
    let mut outcomes = 0;
    for append in &appends {
        memory.submit(append.clone()).unwrap();
        log.submit(append.clone()).unwrap();
        if outcomes + 500 < log.status().queued {
            outcomes += settled.recv().unwrap();
        }
    }
    while log.head().position < EVENTS {
        settled.recv().unwrap();
    }
    // Beside the writer, without its store and its index in memory.
    let reader = Reader::open(directory.path()).unwrap();
    let queries = queries();
    assert_eq!(queries.len(), 4 * 3 * 2 * 2 * 3 * 2 * 2);
    let mut some = 0;
    for query in &queries {
        let numbered = (1..).zip(&appends);
        let mut scan: Vec<u64> = numbered
            .filter(|(position, append)| wanted(query, *position, append))
            .map(|(position, _)| position)
            .collect();
        some += usize::from(!scan.is_empty());
        for log in [&log as &dyn ReadLog, &memory, &reader] {
            assert_eq!(found(log, query, false), scan, "{query:?}");
        }
        scan.reverse();
        assert_eq!(found(&log, query, true), scan, "{query:?} back");
    }
    assert!(some > 100, "hardly any query finds anything: {some}");
}

fn load(client: &Client) {
    for number in 0..6 {
        let lock = format!("/api/v1/locks/room-{number}");
        let correlation = format!("order-{}", number % 2);
        let headers = [("x-request-id", correlation.as_str())];
        let body = json!({ "owner": "ann, \"the\"\nfirst; =1+1", "ttl_ms": 600_000 });
        client.try_json("POST", &format!("{lock}/acquire"), &headers, &body).unwrap().expect(200);
        let body = json!({ "reason": "ünï, \"code\"" });
        client.post(&format!("{lock}/force-release"), &body).expect(200);
    }
}

fn lines(arguments: &[&str]) -> Vec<Value> {
    let ended = run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn filters_mean_the_same_offline_and_online_and_pages_add_up() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start(directory.path());
    load(&server.client());
    let url = format!("http://{}", server.address());
    let all = lines(&["audit", "--json", "--data", data]);
    let time = all[all.len() / 2]["at"].as_str().unwrap();
    let filters: [&[&str]; 7] = [
        &["--stream", "lock/room-3"],
        &["--type", "LeaseGranted,LeaseRevoked"],
        &["--principal", "local"],
        &["--correlation", "order-1"],
        &["--since", time],
        &["--until", time],
        &["--after", "4"],
    ];
    for chosen in 0..1_u32 << filters.len() {
        let picked = filters.iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0);
        let picked: Vec<&str> = picked.flat_map(|(_, filter)| filter.iter().copied()).collect();
        // Each of the seven alone and all pairs; of larger sets every eighth.
        if chosen.count_ones() > 2 && chosen % 8 != 0 {
            continue;
        }
        let offline = lines(&[&["audit", "--json", "--data", data], picked.as_slice()].concat());
        let online = lines(&[&["audit", "--json", "--server", &url], picked.as_slice()].concat());
        assert_eq!(offline, online, "{picked:?}");
    }
    let mut paged = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page = lines(&["audit", "--json", "--data", data, "--limit", "5", "--after", &after]);
        let Some(last) = page.last() else { break };
        after = format!("{}-{}", last["epoch"], last["position"]);
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

#[test]
fn an_export_holds_every_event_and_a_file_that_is_there_is_kept() {
    let directory = tempdir().unwrap();
    let out = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start(directory.path());
    load(&server.client());
    let url = format!("http://{}", server.address());
    let file = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let (csv, jsonl) = (file("events.csv"), file("events.jsonl"));
    let all = lines(&["audit", "--json", "--data", data]);
    for (path, way) in [(&csv, ["--data", data]), (&jsonl, ["--server", url.as_str()])] {
        let ended = run(["audit", "--export", path, way[0], way[1]]);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{} events", all.len())), "{}", ended.stderr);
    }
    let exported = std::fs::read_to_string(&jsonl).unwrap();
    let exported = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(exported.collect::<Vec<_>>(), all);
    let mut rows = csv::Reader::from_path(&csv).unwrap();
    let names = rows.headers().unwrap().clone();
    for (row, event) in rows.records().zip(&all) {
        for (name, cell) in names.iter().zip(row.unwrap().iter()) {
            let wanted = match &event[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, wanted, "{name} of {event}");
        }
    }
    let before = std::fs::read(&csv).unwrap();
    let again = ["audit", "--export", &csv, "--type", "LeaseGranted", "--data", data];
    let refused = run(again);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&csv).unwrap(), before);
    assert_eq!(run(again.iter().chain(&["--yes"])).code, 0);
    assert!(std::fs::read(&csv).unwrap().len() < before.len());
    let nowhere = run(["audit", "--export", &file("no/where.csv"), "--data", data]);
    assert_eq!(nowhere.code, 1, "{}", nowhere.stderr);
    let mut left: Vec<_> =
        std::fs::read_dir(out.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["events.csv", "events.jsonl"]);
}

#[test]
fn what_never_was_is_no_failure_and_is_told() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Server::start(directory.path());
    let url = format!("http://{}", server.address());
    for way in [["--data", data], ["--server", url.as_str()]] {
        for filter in [
            ["--stream", "lock/never"],
            ["--principal", "nobody"],
            ["--correlation", "never"],
            ["--until", "1971-01-01T00:00:00Z"],
            ["--since", "2099-01-01T00:00:00Z"],
        ] {
            let ended = run(["audit"].iter().chain(&way).chain(&filter));
            assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{filter:?}");
            assert_eq!(ended.stderr, "no event matches\n", "{filter:?}");
        }
    }
}
