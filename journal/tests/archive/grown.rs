//! A journal of four months, and what must hold of it once the first ones were dropped.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use mainstay_journal::archive::{
    ArchiveError, ArchiveOptions, Before, Fold, archive, check, drop_months,
};
use mainstay_journal::conformance::{Outcomes, append, stream};
use mainstay_journal::disk::Disk;
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::merkle::{self};
use mainstay_journal::{
    Head, LocalLog, Options, Query, ReadError, ReadLog, Reader, Reading, RecordRef, Snapshot,
    StreamId, Turn, VerifyOptions, Writer, verify,
};

/// 2026-08-01, and a day.
pub(crate) const START_US: u64 = 1_785_542_400_000_000;
pub(crate) const DAY_US: u64 = 86_400_000_000;
pub(crate) const JOURNAL: &str = "/j";
pub(crate) const ARCHIVE: &str = "/far/away/archive";

/// Events of a journal: one every six hours from August on, on streams of which some are of one month
/// only.
pub(crate) fn event(n: u64) -> (String, u64) {
    let day = n / 4;
    let name = match n % 4 {
        0 => "s/always".to_owned(),
        1 => format!("s/of-{}", day / 30),
        _ => format!("s/{}", n % 23),
    };
    (name, START_US + n * DAY_US / 4)
}

pub(crate) fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 4_000,
        store: false,
        spares: 0,
        disk: Arc::new(disk.clone()),
        journal_id: Some([7; 16]),
        ..Options::default()
    }
}

/// Appends events up to the `upto`th, as many as a group takes at once.
pub(crate) fn fill(log: &LocalLog, writer: &mut Writer, upto: u64) -> usize {
    let mut committed = 0;
    let outcomes = log.head().position;
    for n in outcomes..upto {
        let (name, at_us) = event(n);
        let version = log.stream_head(&stream(&name), u64::MAX).unwrap().version;
        let mut next = append(&name, version, 1, at_us);
        next.activation = n + 1;
        mainstay_journal::EventLog::submit(log, next).unwrap();
        while let Turn::Group(count) = writer.turn() {
            committed += count;
        }
    }
    committed
}

pub(crate) fn open(disk: &SimDisk) -> (LocalLog, Writer) {
    LocalLog::open_manual(JOURNAL, &options(disk), Outcomes::default()).unwrap()
}

/// A journal from August to the end of November.
pub(crate) fn grown(disk: &SimDisk) {
    let (log, mut writer) = open(disk);
    assert_eq!(fill(&log, &mut writer, EVENTS), 480);
}

pub(crate) const EVENTS: u64 = 480;

pub(crate) type Row = (u64, String, u64, u64, u64);

pub(crate) fn row(record: &RecordRef<'_>) -> Row {
    let RecordRef { position, version, previous, at_us, .. } = *record;
    (position, record.stream.to_owned(), version, previous, at_us)
}

pub(crate) fn rows(
    read: impl FnOnce(mainstay_journal::Visit<'_>) -> Result<(), ReadError>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    read(&mut |record| {
        rows.push(row(&record));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

pub(crate) fn all(log: &dyn ReadLog) -> Vec<Row> {
    rows(|visit| log.scan(1, u64::MAX, visit))
}

/// A fold that counts: the state is the sum of a stream's positions.
#[derive(Default)]
pub(crate) struct Sums(BTreeMap<StreamId, (Head, u64)>);

pub(crate) fn state(stream: StreamId, head: Head, sum: u64) -> Snapshot {
    Snapshot { stream, head, bytes: sum.to_le_bytes().to_vec() }
}

impl Fold for Sums {
    fn take(&mut self, record: &RecordRef<'_>, before: Before<'_>) -> Result<(), String> {
        let name = stream(record.stream);
        let (head, sum) = match self.0.get(&name) {
            Some(known) => *known,
            None => match before(&name).map_err(|error| error.to_string())? {
                Some(old) => (old.head, u64::from_le_bytes(old.bytes.try_into().unwrap())),
                None => (Head::default(), 0),
            },
        };
        assert_eq!((record.version, record.previous), (head.version + 1, head.position));
        let head = Head { version: record.version, position: record.position };
        self.0.insert(name, (head, sum + record.position));
        Ok(())
    }

    fn next_state(&mut self) -> Result<Option<Snapshot>, String> {
        Ok(self.0.pop_first().map(|(stream, (head, sum))| state(stream, head, sum)))
    }
}

pub(crate) fn on(disk: &SimDisk) -> ArchiveOptions {
    ArchiveOptions { disk: Arc::new(disk.clone()), ..ArchiveOptions::default() }
}

pub(crate) fn put_away(disk: &SimDisk, before: &str) -> Result<u64, ArchiveError> {
    let (data, to) = (Path::new(JOURNAL), Path::new(ARCHIVE));
    let done = archive(data, to, before, &on(disk), &mut Sums::default(), &mut |_, _| {})?;
    Ok(done.head.position)
}

pub(crate) fn drop_them(disk: &SimDisk) -> Result<u64, ArchiveError> {
    let (data, from) = (Path::new(JOURNAL), Path::new(ARCHIVE));
    let checked = check(data, from, &on(disk), &mut |_, _| {})?;
    drop_months(data, from, &checked, &on(disk)).map(|done| done.head.position)
}

pub(crate) fn reader(disk: &SimDisk) -> Reader {
    let disk = Arc::new(disk.clone());
    Reader::open_with(JOURNAL, Reading { disk, ..Reading::default() }).unwrap()
}

pub(crate) fn without_archive(disk: &SimDisk) {
    for path in disk.files().iter().filter(|path| path.starts_with(ARCHIVE)) {
        disk.remove(path).unwrap();
    }
}

/// What a fold of all events up to a position gives, by stream.
pub(crate) fn sums(rows: &[Row], upto: u64) -> BTreeMap<String, (Head, u64)> {
    let mut sums = BTreeMap::<String, (Head, u64)>::new();
    for (position, stream, version, ..) in rows.iter().filter(|row| row.0 <= upto) {
        let known = sums.entry(stream.clone()).or_default();
        *known = (Head { version: *version, position: *position }, known.1 + position);
    }
    sums
}

/// Everything that must hold of a journal that dropped its first months, whether the archive is there
/// or not.
pub(crate) fn holds(log: &dyn ReadLog, whole: &[Row]) {
    let base = log.base().unwrap();
    let dropped = base.head().position;
    let sums = sums(whole, dropped);
    let mut states = Vec::new();
    base.states("", &mut |found| {
        states.push(found);
        ControlFlow::Continue(())
    })
    .unwrap();
    let expected = sums.iter().map(|(name, (head, sum))| state(stream(name), *head, *sum));
    assert_eq!(states, expected.collect::<Vec<_>>());

    let behind: Vec<_> = whole.iter().filter(|row| row.0 > dropped).cloned().collect();
    assert_eq!(rows(|visit| log.scan(dropped + 1, u64::MAX, visit)), behind);
    for name in whole.iter().map(|row| &row.1).collect::<std::collections::BTreeSet<_>>() {
        let last = whole.iter().rfind(|row| row.1 == *name).unwrap();
        let head = log.stream_head(&stream(name), u64::MAX).unwrap();
        assert_eq!((head.position, head.version), (last.0, last.2), "{name}");
        // From what is kept of it to its end.
        let from = base.state(&stream(name)).unwrap().map(|state| state.head).unwrap_or_default();
        let mut found = Vec::new();
        let met = log.read_between(&stream(name), from, head, &mut |record| {
            found.push(row(&record));
            ControlFlow::Continue(())
        });
        assert!(met.unwrap_or_else(|error| panic!("{name} {from:?} {head:?}: {error}")), "{name}");
        let expected = behind.iter().filter(|row| row.1 == *name).cloned();
        assert_eq!(found, expected.collect::<Vec<_>>(), "{name}");
    }
    let unknown = log.stream_head(&stream("s/unknown"), u64::MAX).unwrap();
    assert_eq!(unknown, Head::default());
    let since = Query { since_us: Some(behind[0].4), ..Query::default() };
    assert_eq!(rows(|visit| log.find(&since, visit)), behind);
}

/// Roots and proofs of a tree over all records: those of sizes behind what was dropped.
pub(crate) fn proves(log: &dyn ReadLog, whole: &dyn ReadLog) {
    let dropped = log.base().unwrap().head().position;
    for size in [dropped, dropped + 1, dropped + 17, EVENTS] {
        assert_eq!(merkle::root(log, size).unwrap(), merkle::root(whole, size).unwrap());
        let from = merkle::consistency(log, size, EVENTS).unwrap();
        assert_eq!(from, merkle::consistency(whole, size, EVENTS).unwrap());
    }
    for position in [dropped + 1, dropped + 2, dropped + 40, EVENTS] {
        let path = merkle::inclusion(log, position, EVENTS).unwrap();
        assert_eq!(path, merkle::inclusion(whole, position, EVENTS).unwrap());
    }
}

/// No findings; how many records were checked.
pub(crate) fn verified(disk: &SimDisk) -> (u64, bool) {
    let options = VerifyOptions { disk: Arc::new(disk.clone()), ..VerifyOptions::default() };
    let report = verify(JOURNAL, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    assert!(report.is_good(), "{:?}", report.findings);
    (report.records, report.archive_checked)
}
