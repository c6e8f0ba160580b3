//! Segments are of one month, so times tell which files a query needs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::disk::{Disk, DiskFile, Held, RealDisk};
use mainstay_journal::{LocalLog, Options, Outcome, Query, ReadLog, Reader, Reading, Turn};

use crate::grown::*;

/// Tells which files were opened.
#[derive(Debug, Clone, Default)]
struct Watched(Arc<Mutex<Vec<PathBuf>>>);

impl Disk for Watched {
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.0.lock().unwrap().push(path.to_path_buf());
        RealDisk.open(path, write)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }

    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        RealDisk.create_dir(directory)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_dir(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        RealDisk.lock(path)
    }
}

#[test]
fn a_segment_holds_records_of_one_month() {
    let disk = SimDisk::default();
    let (log, mut writer) = open(&disk);
    // Three months in one group of the queue, and one that is refused between them.
    let times = [0, 1, 40, 41, 70].map(|day| START_US + day * DAY_US);
    for (n, at_us) in (0..).zip(times) {
        mainstay_journal::EventLog::submit(&log, append("s/1", n, 1, at_us)).unwrap();
        let mut late = append("s/2", 9, 1, at_us + DAY_US);
        late.activation = 100 + n;
        mainstay_journal::EventLog::submit(&log, late).unwrap();
    }
    while writer.turn() != Turn::Idle {}
    assert_eq!(log.head().position, 5);
    let mut segments = disk.files();
    segments.retain(|path| path.extension().is_some_and(|it| it == "seg"));
    assert_eq!(
        segments,
        [
            "/j/segments/2026-08/00000000000000000001.seg",
            "/j/segments/2026-09/00000000000000000003.seg",
            "/j/segments/2026-10/00000000000000000005.seg"
        ]
        .map(PathBuf::from)
    );
    // And after a start in the same month, in the next one.
    drop((log, writer));
    let disk = disk.power_cut(Loss::All, 1);
    let (log, mut writer) = open(&disk);
    for (version, day) in [(5, 71), (6, 100)] {
        mainstay_journal::EventLog::submit(
            &log,
            append("s/1", version, 1, START_US + day * DAY_US),
        )
        .unwrap();
    }
    while writer.turn() != Turn::Idle {}
    assert_eq!((log.head().position, log.status().segments), (7, 4));
    drop((log, writer));
    assert_eq!(verified(&disk).0, 7);
}

#[test]
fn a_query_with_times_touches_the_files_of_its_months_only() {
    let directory = tempfile::tempdir().unwrap();
    let watched = Watched::default();
    let outcomes = Outcomes::default();
    let options = Options {
        segment_bytes: 4_000,
        spares: 0,
        store: false,
        disk: Arc::new(watched.clone()),
        ..Options::default()
    };
    let (log, mut writer) =
        LocalLog::open_manual(directory.path(), &options, outcomes.clone()).unwrap();
    fill(&log, &mut writer, EVENTS);
    assert!(outcomes.all().iter().all(|outcome| matches!(outcome, Outcome::Committed { .. })));
    let day = |day: u64| START_US + day * DAY_US;
    for (since, until, months, count) in [
        (day(31), day(60), &["2026-09"][..], 117),
        (day(31) + 1, day(40), &["2026-09"], 36),
        (day(31) - 1, day(31), &["2026-08", "2026-09"], 1),
        (day(30), day(31) - 1, &["2026-08"], 4),
        (day(45), day(70), &["2026-09", "2026-10"], 101),
        (day(31), day(61) - 1, &["2026-09"], 120),
    ] {
        for back in [false, true] {
            for principal in [None, Some("tester".to_owned())] {
                let (since_us, until_us) = (Some(since), Some(until));
                let query = Query { since_us, until_us, principal, ..Query::default() };
                // As after a start: nothing is open.
                let disk = Arc::new(watched.clone());
                let reading = Reading { disk, ..Reading::default() };
                let reader = Reader::open_with(directory.path(), reading).unwrap();
                watched.0.lock().unwrap().clear();
                let found = rows(|visit| {
                    if back { reader.find_back(&query, visit) } else { reader.find(&query, visit) }
                });
                assert_eq!(found.len(), count, "{since} {until}");
                let opened = watched.0.lock().unwrap().clone();
                let month = |path: &PathBuf| {
                    let parts: Vec<_> =
                        path.iter().rev().filter_map(|part| part.to_str()).collect();
                    parts[1].to_owned()
                };
                let touched: std::collections::BTreeSet<_> = opened.iter().map(month).collect();
                assert_eq!(touched.into_iter().collect::<Vec<_>>(), months, "{since} {until}");
            }
        }
    }
}
