//! Roots and proofs over the records are those of another implementation of RFC 6962, whatever lies
//! in `proofs/`; and nothing is proved that is not durable.

#![cfg(test)]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::merkle::{self, Frontier, TreeError, TreeHash, leaf_hash};
use mainstay_journal::{
    EventLog as _, LocalLog, MemoryLog, Options, ReadLog, Reader, Reading, Subscription, Writer,
};
use sha2::Sha256;

const RECORDS: u64 = 1400;

fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 60_000,
        store: false,
        disk: Arc::new(disk.clone()),
        journal_id: Some([9; 16]),
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> (LocalLog, Writer) {
    LocalLog::open_manual("/j", &options(disk), Outcomes::default()).unwrap()
}

/// A journal of several segments, none of which begins or ends with a piece of leaves.
fn journal(what: &str) -> SimDisk {
    let disk = SimDisk::default();
    let (log, mut writer) = open(&disk);
    fill(&log, what, &mut || {
        writer.turn();
    });
    drop(log);
    disk
}

fn fill(log: &dyn mainstay_journal::EventLog, what: &str, turn: &mut dyn FnMut()) {
    for n in 0..RECORDS / 2 {
        log.submit(append(&format!("s/{what}-{}", n % 3), n / 3 * 2, 2, n)).unwrap();
        turn();
    }
}

fn files(disk: &SimDisk, end: &str) -> Vec<PathBuf> {
    let mut files = disk.files();
    files.retain(|path| path.extension().is_some_and(|it| it == end));
    files
}

/// The roots of all sizes from 0 on, by the other implementation, and its tree.
fn other(log: &dyn ReadLog) -> (Vec<TreeHash>, MemoryBackedTree<Sha256, Vec<u8>>) {
    let mut tree = MemoryBackedTree::new();
    let root = |tree: &MemoryBackedTree<Sha256, Vec<u8>>| (*tree.root().as_bytes()).into();
    let mut roots = vec![root(&tree)];
    log.scan(1, u64::MAX, &mut |record| {
        tree.push(record.leaf());
        roots.push(root(&tree));
        ControlFlow::Continue(())
    })
    .unwrap();
    (roots, tree)
}

/// Asserts that every root and every proof of this log is the other implementation's.
#[track_caller]
fn same(log: &dyn ReadLog) {
    let (roots, tree) = other(log);
    let size = log.head().position;
    for (size, root) in (0..).zip(&roots) {
        assert_eq!(merkle::root(log, size).unwrap(), *root, "root of {size}");
    }
    for position in (1..=size).step_by(7).chain([size]) {
        let index = usize::try_from(position - 1).unwrap();
        let path = merkle::inclusion(log, position, size).unwrap();
        assert_eq!(
            path.concat(),
            tree.prove_inclusion(index).as_bytes(),
            "inclusion of {position}"
        );
    }
    for from in (1..size).step_by(11) {
        let more = usize::try_from(size - from).unwrap();
        let path = merkle::consistency(log, from, size).unwrap();
        assert_eq!(path.concat(), tree.prove_consistency(more).as_bytes(), "from {from}");
    }
}

/// The newest root, from a log that has not been asked before.
fn fresh_root(disk: &SimDisk) -> TreeHash {
    let (log, _writer) = open(disk);
    merkle::root(&log, RECORDS).unwrap()
}

#[test]
fn every_root_and_proof_is_that_of_another_implementation() {
    let disk = journal("a");
    assert!(files(&disk, "seg").len() > 3, "one segment proves little");
    // First without the files of leaves, then with them, then by a reader.
    for _ in 0..2 {
        let (log, _writer) = open(&disk);
        same(&log);
        assert_eq!(files(&disk, "leaves").len(), files(&disk, "seg").len() - 1);
    }
    same(&Reader::open_with("/j", Reading { disk: Arc::new(disk), ..Reading::default() }).unwrap());
    let memory = MemoryLog::immediate(Outcomes::default());
    fill(&memory, "a", &mut || {});
    let (roots, _) = other(&memory);
    let mut frontier = Frontier::default();
    memory
        .scan(1, u64::MAX, &mut |record| {
            frontier.push(leaf_hash(&record));
            let size = usize::try_from(frontier.size()).unwrap();
            assert_eq!(Some(&frontier.root()), roots.get(size));
            ControlFlow::Continue(())
        })
        .unwrap();
    for size in [0, 1, 255, 256, 257, 1024, RECORDS] {
        let expected = roots.get(usize::try_from(size).unwrap());
        assert_eq!(Some(&merkle::root(&memory, size).unwrap()), expected);
    }
}

#[test]
fn proofs_follow_a_journal_that_grows() {
    let disk = SimDisk::default();
    let (log, mut writer) = open(&disk);
    let mut frontier = Frontier::default();
    let mut follow = Subscription::new(&log, 0);
    fill(&log, "a", &mut || {
        writer.turn();
        follow
            .next(std::time::Duration::ZERO, &mut |record| {
                frontier.push(leaf_hash(&record));
                ControlFlow::Continue(())
            })
            .unwrap();
        let size = frontier.size();
        assert_eq!(merkle::root(&log, size).unwrap(), frontier.root(), "root of {size}");
    });
    assert_eq!(frontier.size(), RECORDS);
    assert_eq!(files(&disk, "leaves").len(), files(&disk, "seg").len() - 1);
}

#[test]
fn a_proof_covers_durable_records_only() {
    let disk = SimDisk::default();
    let (log, mut writer) = open(&disk);
    log.submit(append("s/a", 0, 2, 1)).unwrap();
    writer.turn();
    let root = merkle::root(&log, 2).unwrap();
    log.submit(append("s/a", 2, 2, 2)).unwrap();
    let beyond = merkle::root(&log, 4).unwrap_err();
    assert!(matches!(beyond, TreeError::Beyond { asked: 4, durable: 2 }), "{beyond:?}");
    assert!(matches!(merkle::inclusion(&log, 3, 4), Err(TreeError::Beyond { .. })));
    assert!(matches!(merkle::consistency(&log, 2, 4), Err(TreeError::Beyond { .. })));
    let node = log.tree_node(1, 1).unwrap_err().to_string();
    assert!(node.contains("position 3: it is not durable"), "{node}");
    writer.turn();
    assert_eq!(merkle::root(&log, 2).unwrap(), root);
    assert_ne!(merkle::root(&log, 4).unwrap(), root);
    let outside = merkle::inclusion(&log, 3, 2).unwrap_err();
    assert!(matches!(outside, TreeError::Outside { position: 3, size: 2 }), "{outside:?}");
    assert!(matches!(merkle::inclusion(&log, 0, 2), Err(TreeError::Outside { .. })));
    assert!(matches!(merkle::consistency(&log, 3, 2), Err(TreeError::Shrinks { .. })));
}

#[test]
fn what_was_proved_once_is_there_after_a_power_cut() {
    let disk = SimDisk::default();
    let (log, mut writer) = open(&disk);
    let mut proved = Vec::new();
    for n in 0..200 {
        log.submit(append(&format!("s/{}", n % 3), n / 3 * 2, 2, n)).unwrap();
        if n % 3 == 0 {
            writer.turn();
        }
        // Whatever is on its way, or being written.
        let size = log.head().position;
        proved.push((size, merkle::root(&log, size).unwrap()));
        if n % 20 == 0 {
            for (seed, loss) in [Loss::All, Loss::Some, Loss::Torn].into_iter().enumerate() {
                let after = open(&disk.power_cut(loss, seed as u64)).0;
                let (size, root) = proved.last().unwrap();
                assert_eq!(merkle::root(&after, *size).unwrap(), *root, "of {size}");
            }
        }
    }
    assert!(proved.iter().all(|(size, root)| merkle::root(&log, *size).unwrap() == *root));
}

#[test]
fn damaged_leaves_are_not_believed_and_made_again() {
    let disk = journal("a");
    let root = fresh_root(&disk);
    for path in files(&disk, "leaves") {
        let good = disk.bytes(&path).unwrap();
        for at in (0..good.len()).step_by(487).chain([0, 40, 80, good.len() - 1]) {
            disk.tamper(&path, |bytes| *bytes.get_mut(at).unwrap() ^= 0x10);
            let (log, _writer) = open(&disk);
            // The byte may be of a leaf that no root needs: ask for all of them.
            for leaf in 0..RECORDS {
                log.tree_node(0, leaf).unwrap();
            }
            assert_eq!(merkle::root(&log, RECORDS).unwrap(), root, "byte {at}");
            let healed = disk.bytes(&path).unwrap() == good;
            assert!(healed, "byte {at} of {} was not healed", path.display());
        }
        disk.tamper(&path, |bytes| bytes.truncate(60));
        assert_eq!(fresh_root(&disk), root, "a file that was cut");
    }
}

#[test]
fn leaves_of_another_history_are_not_believed() {
    // Same journal, same positions, same lengths, a chain of its own.
    let (ours, theirs) = (journal("a"), journal("b"));
    let (root, other_root) = (fresh_root(&ours), fresh_root(&theirs));
    assert_ne!(root, other_root);
    for path in files(&theirs, "leaves") {
        let bytes = theirs.bytes(&path).unwrap();
        ours.tamper(&path, |ours| *ours = bytes);
    }
    assert_eq!(fresh_root(&ours), root);
}

#[test]
fn a_reader_makes_no_files() {
    let disk = journal("a");
    let reader =
        Reader::open_with("/j", Reading { disk: Arc::new(disk.clone()), ..Reading::default() })
            .unwrap();
    let root = merkle::root(&reader, RECORDS).unwrap();
    assert!(files(&disk, "leaves").is_empty());
    assert_eq!(fresh_root(&disk), root);
}

#[test]
#[ignore = "a timing: cargo test --release -p mainstay-journal --test proofs cost -- --ignored --nocapture"]
fn the_cost_of_proofs_over_ten_million_records() {
    const MILLIONS: u64 = 10;
    const EACH: u8 = 16;
    let directory = tempfile::tempdir().unwrap();
    let options = Options { store: false, spares: 0, ..Options::default() };
    let make = || LocalLog::open(directory.path(), &options, Outcomes::default()).unwrap();
    let log = make();
    for n in 0..MILLIONS * 1_000_000 / u64::from(EACH) {
        let stream = format!("session/default/0193-{}", n % 1000);
        let mut next = append(&stream, n / 1000 * u64::from(EACH), EACH, n);
        while let Err(full) = log.submit(next) {
            next = full.0;
            std::thread::yield_now();
        }
    }
    log.wait_beyond(MILLIONS * 1_000_000 - 1, std::time::Duration::from_mins(1));
    log.close();
    drop(log);
    for what in ["no leaves kept", "leaves kept, none known"] {
        let log = make();
        let (size, segments) = (log.head().position, log.status().segments);
        println!("{what}: {size} records in {segments} segments");
        timed("the first root", || _ = merkle::root(&log, size).unwrap());
        timed("the next root", || _ = merkle::root(&log, size).unwrap());
        for position in [1, size / 3, size / 2 + 77, size] {
            let prove = || _ = merkle::inclusion(&log, position, size).unwrap();
            timed(&format!("inclusion of {position}"), prove);
        }
        timed("inclusion in the same segment", || {
            _ = merkle::inclusion(&log, size / 3 + 9, size).unwrap();
        });
        timed("consistency", || _ = merkle::consistency(&log, size / 5 * 2 + 1, size).unwrap());
    }
}

fn timed(what: &str, work: impl FnOnce()) {
    #[expect(clippy::disallowed_methods, reason = "a timing")]
    let started = std::time::Instant::now();
    work();
    println!("  {what}: {:?}", started.elapsed());
}
