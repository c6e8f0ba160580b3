//! [`LocalLog`]: the journal of one machine.
//!
//! ```text
//! submit ─► bounded channel ─► writer thread ─► segments ─► sink
//!                                   │ publish
//! scan · find · … ◄── view ◄────────┘        follower thread ─► sled
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::archive::Base;
use crate::block::Opener;
use crate::disk::{Disk, Held, RealDisk};
use crate::error::{OpenError, ReadError};
use crate::identify::identify;
use crate::kept;
use crate::keyring::Keyring;
use crate::layout::{self, Identity, Layout};
use crate::log::{
    Append, EventLog, Full, KeptWriter, LogStatus, Query, ReadLog, Sink, Snapshot, Visit,
};
use crate::merkle::{Forest, TreeHash};
use crate::record::{Cursor, Head, StreamId};
use crate::recover::{Opened, Place, Recovered, recover};
use crate::spare::Spares;
use crate::store::{Store, StoreBrake};
use crate::stored::VisitBlock;
use crate::unlock::check_keys;
use crate::view::{View, lock};
use crate::writer::{Bounds, Job, Parts, Shared, Writer};

/// How a journal is opened. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Make the journal if the directory is empty or missing. Default: true.
    pub create: bool,
    /// Appends that may wait for the writer. Default: 4,096.
    pub queue: usize,
    /// A segment that has reached this is sealed. Default: 16 MiB.
    pub segment_bytes: u64,
    /// A group with this many records or appends is closed. Default: 1,024.
    pub group_records: usize,
    /// A group with this many bytes is closed. Default: 1 MiB.
    pub group_bytes: usize,
    /// Stream heads the writer remembers, per generation of two. Default: 229,376 (at most
    /// 17 MB in all); more streams than that in turn cost an index lookup each.
    pub heads: usize,
    /// Zeroed segment files kept ready. Default: 2.
    pub spares: usize,
    /// Write behind to sled and answer queries from it. Default: true. Needs [`RealDisk`].
    pub store: bool,
    /// The store may be at most this many records behind before the writer waits for it.
    /// Default: 131,072.
    pub store_lag: u64,
    /// How long opening a store may take before it counts as hung. Default: 30 s.
    pub store_limit: Duration,
    /// Where the archive of dropped months lies. Default: where it lay when they were dropped.
    pub archive: Option<PathBuf>,
    /// The id of a journal that is made; random if `None`.
    pub journal_id: Option<[u8; 16]>,
    /// The keys of blocks at rest. Default: none, blocks lie in the plain.
    pub keyring: Keyring,
    /// Where files lie. Default: [`RealDisk`].
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            queue: 4096,
            segment_bytes: 16 << 20,
            group_records: 1024,
            group_bytes: 1 << 20,
            heads: 229_376,
            spares: 2,
            store: true,
            store_lag: 131_072,
            store_limit: Duration::from_secs(30),
            archive: None,
            journal_id: None,
            keyring: Keyring::default(),
            disk: Arc::new(RealDisk),
        }
    }
}

/// The journal of one machine: segments, and sled behind them.
#[derive(Debug)]
pub struct LocalLog {
    layout: Layout,
    disk: Arc<dyn Disk>,
    view: Arc<View>,
    forest: Arc<Forest>,
    shared: Arc<Shared>,
    queue: Sender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
    store: Option<Arc<Store>>,
    identity: Identity,
    opened: Opened,
    /// The directory is ours until this is dropped.
    held: Mutex<Option<Arc<Box<dyn Held>>>>,
}

impl LocalLog {
    /// Opens a journal; a thread writes. `sink` is called on that thread.
    ///
    /// # Errors
    /// See [`OpenError`]; each says what to do.
    pub fn open(
        directory: impl AsRef<Path>,
        options: &Options,
        sink: impl Sink,
    ) -> Result<Self, OpenError> {
        let (log, writer) = Self::prepare(directory.as_ref(), options, Box::new(sink), true)?;
        let path = directory.as_ref();
        let thread = std::thread::Builder::new().name("journal-writer".into());
        let thread = thread.spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::io("start a writer for", path, error))?;
        *lock(&log.writer) = Some(thread);
        Ok(log)
    }

    /// Opens a journal whose writer is driven by hand: nothing becomes durable, and the sink is
    /// not called, but in [`Writer::turn`]. No spare files are made.
    ///
    /// # Errors
    /// See [`LocalLog::open`].
    pub fn open_manual(
        directory: impl AsRef<Path>,
        options: &Options,
        sink: impl Sink,
    ) -> Result<(Self, Writer), OpenError> {
        Self::prepare(directory.as_ref(), options, Box::new(sink), false)
    }

    fn prepare(
        directory: &Path,
        options: &Options,
        sink: Box<dyn Sink>,
        threads: bool,
    ) -> Result<(Self, Writer), OpenError> {
        let layout = Layout { root: directory.to_path_buf() };
        let disk = Arc::clone(&options.disk);
        let (identity, held) = identify(&*disk, &layout, options)?;
        let opener = Opener { journal: identity.journal, keyring: options.keyring.clone() };
        check_keys(&*disk, &layout, &opener)?;
        let archive = options.archive.as_deref();
        let base = Base::read(&*disk, &layout, &identity, &options.keyring, archive)?;
        let zero_to = (threads && options.spares > 0).then_some(options.segment_bytes);
        let store = start_store(&*disk, &layout, &opener, options)?;
        let place = Place { disk: &disk, layout: &layout, opener: &opener, base: base.as_deref() };
        let recovered = recover(&place, &identity, zero_to, store.as_ref());
        let recovered = recovered.inspect_err(|_| stop(store.as_ref()))?;
        let view = View::new(opener, recovered.segments.clone(), recovered.head);
        let view = Arc::new(view);
        let forest = Forest::new(Arc::clone(&disk), layout.clone(), true);
        forest.begin(base.as_deref());
        let forest = Arc::new(forest);
        view.set_base(base);
        index_open(&view, &recovered).inspect_err(|_| stop(store.as_ref()))?;
        if let Some(store) = &store {
            view.set_second(Some(Arc::clone(store) as _));
            store.give(&view, &forest);
        }
        let spares = if threads {
            Spares::start(Arc::clone(&disk), layout.clone(), options.spares, options.segment_bytes)
        } else {
            Spares::none()
        };
        let shared = Arc::new(Shared::default());
        let (queue, inbox) = bounded(options.queue);
        let bounds = Bounds {
            group_records: options.group_records.max(1),
            group_bytes: options.group_bytes.max(1),
            segment_bytes: options.segment_bytes,
            heads: options.heads,
        };
        let (kept, files) = (layout.clone(), Arc::clone(&disk));
        let parts = Parts {
            inbox,
            sink,
            view: Arc::clone(&view),
            shared: Arc::clone(&shared),
            disk,
            layout,
            bounds,
            spares,
            brake: store.as_ref().map(|store| {
                let brake = StoreBrake { store: Arc::clone(store), lag: options.store_lag };
                Box::new(brake) as _
            }),
            held: Arc::clone(&held),
        };
        let writer = Writer::new(parts, &recovered);
        let log = Self {
            layout: kept,
            disk: files,
            view,
            forest,
            shared,
            queue,
            writer: Mutex::new(None),
            store,
            identity,
            opened: recovered.opened,
            held: Mutex::new(Some(held)),
        };
        Ok((log, writer))
    }

    /// Who this journal is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What opening found and did.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Commits what is queued, then ends the writer and the store and gives the directory free.
    /// Later appends come back as [`Full`]; reads go on, from the segments. Dropping does the same.
    /// With a writer driven by hand, its next turns do it.
    pub fn close(&self) {
        let _ = self.queue.send(Job::Close);
        if let Some(thread) = lock(&self.writer).take() {
            let _ = thread.join();
            self.end_store();
            drop(lock(&self.held).take());
        }
    }

    fn end_store(&self) {
        self.view.set_second(None);
        if let Some(store) = &self.store {
            store.ask_to_stop();
        }
        self.view.close();
        stop(self.store.as_ref());
    }
}

impl Drop for LocalLog {
    fn drop(&mut self) {
        if lock(&self.writer).is_some() {
            self.close();
        } else {
            self.end_store();
        }
    }
}

fn stop(store: Option<&Arc<Store>>) {
    if let Some(store) = store {
        store.stop();
    }
}

fn start_store(
    disk: &dyn Disk,
    layout: &Layout,
    opener: &Opener,
    options: &Options,
) -> Result<Option<Arc<Store>>, OpenError> {
    if !options.store {
        return Ok(None);
    }
    let newest = layout::list_segments(disk, layout)?.pop().map(|(month, _)| month);
    Ok(Some(Store::start(layout.clone(), opener.clone(), newest, options.store_limit)))
}

/// Makes the open segment's index from its records.
fn index_open(view: &View, recovered: &Recovered) -> Result<(), OpenError> {
    let open = recovered.segments.last().filter(|_| recovered.file.is_some());
    let Some(open) = open else { return Ok(()) };
    let postings = view.index(open, recovered.head.position).map_err(|error| {
        let (path, reason) = (open.path.clone(), error.to_string());
        OpenError::Damaged { path, offset: 0, position: open.first, reason }
    })?;
    *lock(&open.postings) = Some(postings);
    Ok(())
}

impl ReadLog for LocalLog {
    fn head(&self) -> Cursor {
        self.view.head()
    }

    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.scan(from, to, visit)
    }

    fn blocks(&self, from: u64, to: u64, visit: VisitBlock<'_>) -> Result<(), ReadError> {
        self.view.stored(from, to, visit)
    }

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.view.stream_head(stream, upto)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.read_stream(stream, upto, visit)
    }

    fn read_between(
        &self,
        stream: &StreamId,
        after: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        self.view.read_between(stream, after, upto, visit)
    }

    fn snapshot(&self, stream: &StreamId) -> Option<Snapshot> {
        self.view.snapshot(stream)
    }

    fn base(&self) -> Option<Arc<Base>> {
        self.view.base()
    }

    fn kept(&self, name: &str) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        kept::read(&*self.disk, &self.layout.kept(name), &self.view.opener.keyring)
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.view.find_back(query, visit)
    }

    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        self.view.epoch_at(position)
    }

    fn tree_node(&self, level: u32, index: u64) -> Result<TreeHash, ReadError> {
        self.forest.node(&self.view, level, index)
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        self.view.wait_beyond(position, limit)
    }

    fn status(&self) -> LogStatus {
        let (sync_p50_us, sync_p99_us) = self.shared.syncs.percentiles();
        LogStatus {
            head: self.view.head(),
            refusing: lock(&self.shared.refusing).clone(),
            queued: self.queue.len(),
            store: self.store.as_ref().map(|store| {
                let mut status = store.status();
                status.trouble = status.trouble.or_else(|| self.view.trouble());
                status
            }),
            size_bytes: self.view.size_bytes(),
            segments: self.view.own_segments(),
            sync_p50_us,
            sync_p99_us,
        }
    }
}

impl EventLog for LocalLog {
    fn keep_snapshot(&self, snapshot: Snapshot) {
        if let Some(store) = &self.store {
            store.keep_snapshot(snapshot);
        }
    }

    fn keep(&self, name: &str, write: KeptWriter<'_>) -> io::Result<()> {
        kept::write(&*self.disk, &self.layout.kept(name), &self.view.opener.keyring, write)
    }

    fn close(&self) {
        Self::close(self);
    }

    fn submit(&self, append: Append) -> Result<(), Full> {
        self.queue.try_send(Job::Append(append)).map_err(|error| match error {
            TrySendError::Full(Job::Append(append))
            | TrySendError::Disconnected(Job::Append(append)) => Full(append),
            // Only appends were sent here.
            TrySendError::Full(Job::Close) | TrySendError::Disconnected(Job::Close) => {
                unreachable!("an append went in")
            },
        })
    }
}
