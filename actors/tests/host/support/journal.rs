//! A journal on a simulated disk, committed by hand within `submit`, behind a fault.
//!
//! ```text
//!   host ─► FaultyLog ─► Turning ─► LocalLog + Writer::turn ─► SimDisk
//! ```
//!
//! No thread of its own, so that a paused clock sees the same order each time. A reboot opens
//! what the disk has after a power cut.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix::System;
use mainstay_actors::host::{Host, HostOptions, OpenLog, Restore, record_restore};
use mainstay_actors::time::Timestamp;
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::{
    Append, Cursor, EventLog, FaultyLog, FaultySink, Full, Head, Identity, KeptWriter, LocalLog,
    LogStatus, Options, Outcome, Query, ReadError, ReadLog, Snapshot, StreamId, Visit, Writer,
};

/// Runs a test inside an actix System whose clock stands still until everybody waits for it.
pub(crate) fn virtually<T>(test: impl Future<Output = T>) -> T {
    let system = System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    });
    system.block_on(test)
}

/// The journal of a host under test.
type Faults = Arc<FaultyLog<Turning>>;

/// A disk and the options of the hosts over it.
#[derive(Default)]
pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) options: HostOptions,
    pub(crate) shelf: Arc<Shelf>,
}

/// In place of the store: snapshots, and how many records were read for entities.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) snapshots: Mutex<HashMap<StreamId, Snapshot>>,
    pub(crate) read: AtomicU64,
}

impl Rig {
    /// A host on the current arbiter, ready, with the journal's faults in reach.
    pub(crate) async fn start(&self) -> (Host, Faults) {
        let (host, faults) = self.try_start().await;
        host.ready().await.unwrap();
        (host, faults.unwrap())
    }

    /// As [`Rig::start`], and the start may fail.
    pub(crate) async fn try_start(&self) -> (Host, Option<Faults>) {
        let opened = Arc::new(OnceLock::new());
        let (disk, slot, shelf) = (self.disk.clone(), opened.clone(), self.shelf.clone());
        let open: OpenLog = Box::new(move |mut sink| {
            let sink = FaultySink::new(move |epoch, outcomes: Vec<Outcome>| {
                sink.group(epoch, outcomes);
            });
            let (log, writer) = LocalLog::open_manual("/journal", &sized(&disk), sink.clone())?;
            let log = Turning { log, writer: Mutex::new(writer), shelf };
            let log = Arc::new(FaultyLog::new(log, sink));
            assert!(slot.set(log.clone()).is_ok());
            Ok(log as Arc<dyn EventLog>)
        });
        let host = Host::open_here(open, self.options.clone()).await;
        (host, opened.get().cloned())
    }

    /// The power goes, and what was durable is restored as the next epoch.
    pub(crate) fn restored(&self, epoch: u32, floor: Timestamp) -> Self {
        let rig = self.after_cut();
        let journal = Path::new("/journal");
        Identity { journal: [7; 16], epoch }.plant(&rig.disk, journal).unwrap();
        let sink = |_: u32, _: Vec<Outcome>| {};
        let (log, writer) = LocalLog::open_manual(journal, &sized(&rig.disk), sink).unwrap();
        let log = Turning { log, writer: Mutex::new(writer), shelf: rig.shelf.clone() };
        let fork = log.head();
        let restore = Restore { fork, source: "the backup of a test".to_owned(), floor };
        let at = record_restore(&log, restore, Timestamp::default()).unwrap();
        assert_eq!(at, Cursor { epoch, position: fork.position + 1 });
        rig
    }

    /// The power goes: what was not synced is lost. The next start sees the rest.
    pub(crate) fn cut(self) -> Self {
        self.after_cut()
    }

    /// As [`Rig::cut`], and the disk is there to be cut again.
    pub(crate) fn after_cut(&self) -> Self {
        let disk = self.disk.power_cut(Loss::All, 1);
        Self { disk, options: self.options.clone(), shelf: self.shelf.clone() }
    }
}

fn sized(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 64 * 1024,
        store: false,
        spares: 0,
        disk: Arc::new(disk.clone()),
        journal_id: Some([7; 16]),
        ..Options::default()
    }
}

/// Commits within `submit`, one group an append.
#[derive(Debug)]
pub(crate) struct Turning {
    log: LocalLog,
    writer: Mutex<Writer>,
    shelf: Arc<Shelf>,
}

impl EventLog for Turning {
    fn keep_snapshot(&self, snapshot: Snapshot) {
        self.shelf.snapshots.lock().unwrap().insert(snapshot.stream.clone(), snapshot);
    }

    fn keep(&self, name: &str, write: KeptWriter<'_>) -> std::io::Result<()> {
        self.log.keep(name, write)
    }

    fn submit(&self, append: Append) -> Result<(), Full> {
        self.log.submit(append)?;
        self.writer.lock().unwrap().turn();
        Ok(())
    }
}

impl ReadLog for Turning {
    fn head(&self) -> Cursor {
        self.log.head()
    }

    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.scan(from, to, visit)
    }

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.log.stream_head(stream, upto)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.read_stream(stream, upto, visit)
    }

    fn read_between(
        &self,
        stream: &StreamId,
        after: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        self.log.read_between(stream, after, upto, &mut |record| {
            self.shelf.read.fetch_add(1, Ordering::Relaxed);
            visit(record)
        })
    }

    fn snapshot(&self, stream: &StreamId) -> Option<Snapshot> {
        self.shelf.snapshots.lock().unwrap().get(stream).cloned()
    }

    fn kept(&self, name: &str) -> std::io::Result<Option<Box<dyn std::io::Read + Send>>> {
        self.log.kept(name)
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.find_back(query, visit)
    }

    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        self.log.epoch_at(position)
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        self.log.wait_beyond(position, limit)
    }

    fn status(&self) -> LogStatus {
        self.log.status()
    }
}
