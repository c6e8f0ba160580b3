//! A journal with two months, a store, snapshots, leaf hashes and a kept file, and what it must answer.

use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append, stream};
use mainstay_journal::merkle::TreeHash;
use mainstay_journal::{
    EventLog as _, LocalLog, Options, ReadError, ReadLog as _, Snapshot, StoreStatus,
};

const STREAMS: u64 = 5;
/// Nodes over up to 32 records are asked for.
const LEVELS: u32 = 6;

/// What a journal was told to keep.
pub(crate) struct Truth {
    pub(crate) payloads: Vec<Vec<u8>>,
    kept: Vec<u8>,
    snapshot: Snapshot,
    /// Nodes of the tree over its records, by level and index.
    pub(crate) nodes: Vec<(u32, u64, TreeHash)>,
}

/// What came of opening a damaged one. Each is right; anything else fails the check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// Every answer is right.
    Whole,
    /// It says what it could not give.
    Named(String),
}

fn options() -> Options {
    Options {
        segment_bytes: 4_000,
        spares: 0,
        journal_id: Some([3; 16]),
        store_limit: Duration::from_secs(5),
        ..Options::default()
    }
}

/// Fills a directory: so many events, three of them in the newest group.
pub(crate) fn fill(directory: &Path, events: u64) -> Truth {
    let log = LocalLog::open(directory, &options(), Outcomes::default()).unwrap();
    for n in 0..events {
        // The second half of November 2026, then December.
        let at_us = 1_795_305_600_000_000 + n * (2_600_000_000_000 / events);
        let mut next = append(&format!("s/{}", n % STREAMS), n / STREAMS, 1, at_us);
        next.drafts[0].payload.resize(90, 7);
        next.drafts[0].payload.extend(n.to_le_bytes());
        log.submit(next).unwrap();
        log.wait_beyond(n, Duration::from_secs(10));
    }
    settle(&log);
    let head = log.stream_head(&stream("s/1"), u64::MAX).unwrap();
    let snapshot = Snapshot { stream: stream("s/1"), head, bytes: vec![9; 6_000] };
    log.keep_snapshot(snapshot.clone());
    let kept: Vec<u8> = (0..900_u32).flat_map(u32::to_le_bytes).collect();
    log.keep("checkpoint", &mut |file| file.write_all(&kept)).unwrap();
    let mut payloads = Vec::new();
    let read = log.scan(1, u64::MAX, &mut |record| {
        payloads.push(record.payload.to_vec());
        ControlFlow::Continue(())
    });
    read.unwrap();
    // Whoever asks makes the files of leaf hashes that are missing.
    let nodes = (0..LEVELS).flat_map(|level| (0..events >> level).map(move |index| (level, index)));
    let nodes = nodes.map(|(level, index)| (level, index, log.tree_node(level, index).unwrap()));
    let mut nodes: Vec<_> = nodes.collect();
    // Segment by segment: few of them stay open.
    nodes.sort_by_key(|(level, index, _)| (index + 1) << level);
    log.close();
    Truth { payloads, kept, snapshot, nodes }
}

/// Waits until the store has everything, or has given up.
fn settle(log: &LocalLog) -> StoreStatus {
    for _ in 0..2_000 {
        let store = log.status().store.unwrap();
        if store.reached == log.head().position && !store.rebuilding {
            return store;
        }
        log.wait_beyond(u64::MAX - 1, Duration::from_millis(2));
    }
    panic!("the store does not arrive: {:?}", log.status());
}

/// Opens a directory and holds every answer against the truth. With a whole store no event may be
/// missing at the end; without one, none in silence.
pub(crate) fn judge(directory: &Path, truth: &Truth, store_is_whole: bool) -> Result<Came, String> {
    let options = Options { create: false, ..options() };
    let log = match LocalLog::open(directory, &options, Outcomes::default()) {
        Ok(log) => log,
        Err(error) => return Ok(Came::Named(error.to_string())),
    };
    let mut named = answers(&log, truth)?;
    let noticed = log.opened().cut.is_some();
    let whole = truth.payloads.len() as u64;
    let head = log.head().position;
    if head > whole {
        return Err(format!("the head is {head}, {whole} events were written"));
    }
    if store_is_whole && head < whole {
        return Err(format!("{whole} events are in the store, and the head is {head}"));
    }
    if named.is_none() {
        let store = settle(&log);
        named = answers(&log, truth)?;
        if head < whole {
            let said = store.trouble.filter(|_| !noticed);
            named = named.or(said).or_else(|| noticed.then(|| "a tail was cut".to_owned()));
            if named.is_none() {
                return Err(format!("{whole} events were written, {head} are left, in silence"));
            }
        }
    }
    Ok(named.map_or(Came::Whole, Came::Named))
}

/// What could not be given; an error if anything that was given is wrong.
fn answers(log: &LocalLog, truth: &Truth) -> Result<Option<String>, String> {
    let mut named = None;
    let mut wrong = None;
    let mut next = 1_u64;
    let read = log.scan(1, u64::MAX, &mut |record| {
        let right = usize::try_from(record.position - 1).ok();
        let right = right.and_then(|index| truth.payloads.get(index));
        if record.position != next || right.is_none_or(|right| right != record.payload) {
            wrong = Some(format!("a wrong record at {next}: {record:?}"));
            return ControlFlow::Break(());
        }
        next += 1;
        ControlFlow::Continue(())
    });
    note(read, &mut named);
    for n in 0..STREAMS {
        let name = stream(&format!("s/{n}"));
        let mut version = 0;
        let read = log.read_stream(&name, u64::MAX, &mut |record| {
            version += 1;
            let right = usize::try_from(record.position - 1).ok();
            let right = right.and_then(|index| truth.payloads.get(index));
            if record.version != version || right.is_none_or(|right| right != record.payload) {
                wrong = Some(format!("a wrong record in {name:?}: {record:?}"));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        note(read, &mut named);
    }
    let head = log.head().position;
    for (level, index, right) in
        truth.nodes.iter().filter(|(level, index, _)| (index + 1) << level <= head)
    {
        match log.tree_node(*level, *index) {
            Ok(node) if node != *right => {
                wrong = Some(format!("a wrong node {index} of level {level}"));
            },
            node => note(node.map(drop), &mut named),
        }
    }
    if let Some(snapshot) = log.snapshot(&truth.snapshot.stream)
        && snapshot != truth.snapshot
    {
        wrong = Some("a wrong snapshot".to_owned());
    }
    let mut kept = Vec::new();
    // No file, or a damaged piece: it is made again by whoever kept it.
    if let Ok(Some(mut file)) = log.kept("checkpoint")
        && file.read_to_end(&mut kept).is_ok()
        && kept != truth.kept
    {
        wrong = Some("wrong bytes in the kept file".to_owned());
    }
    wrong.map_or(Ok(named), Err)
}

fn note(read: Result<(), ReadError>, named: &mut Option<String>) {
    if let Err(error) = read {
        named.get_or_insert(error.to_string());
    }
}

/// Every file below a directory, in order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}
