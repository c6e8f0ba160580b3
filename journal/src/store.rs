//! The other copy: sled databases, one a month, written behind the segments by one thread.
//!
//! ```text
//! view (durable blocks) ─► follower ─► blocks ─► mark     every block as stored
//!                             └─ on seal ─► runs ─► filter  the segment's index
//! reads: filter ─► runs ─► offsets      repair: blocks by position, checked by their hash
//! ```
//!
//! | a database that | is |
//! |---|---|
//! | does not open, panics, hangs, was being opened when the process died | set aside, made again |
//! | is of another journal, or is not where its mark says | set aside, made again |
//! | gives a wrong chunk or block | not believed; the piece is made again |
//!
//! sled's own flush issues no `fsync`, so its file is synced here; the segments carry the promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::block::{Opener, Stored};
use crate::keyring::Keyring;
use crate::layout::Layout;
use crate::log::{Snapshot, StoreStatus};
use crate::merkle::Forest;
use crate::record::StreamId;
use crate::segment::Segment;
use crate::sieve::Filter;
use crate::view::{Second, View, lock};
use crate::writer::Brake;

mod follow;
mod fresh;
mod hint;
mod month;
pub(crate) mod pile;
pub(crate) mod run;
mod snapshot;

use hint::Hint;
pub(crate) use month::{Month, set_aside};
use run::{From, Stretch, Way};

/// Most older months whose database stays open.
const OPEN_MONTHS: usize = 3;
/// After so long without progress the writer does not wait for the store any more.
const STUCK: Duration = Duration::from_secs(5);

/// All databases, and how far they are.
pub(crate) struct Store {
    layout: Layout,
    journal: [u8; 16],
    /// Snapshots are sealed under it; blocks come as they are.
    keyring: Keyring,
    limit: Duration,
    months: Mutex<BTreeMap<String, Arc<Month>>>,
    opening: Mutex<()>,
    state: Mutex<State>,
    moved: Condvar,
    /// Snapshots that wait to be written.
    snapshots: Mutex<snapshot::Pending>,
    /// What was written since the follower looked.
    fresh: Mutex<fresh::Fresh>,
    /// Months whose mark was held against the segments.
    checked: Mutex<BTreeSet<String>>,
    hint: Hint,
    stop: AtomicBool,
    view: Mutex<Option<Sender<Followed>>>,
    ended: Mutex<Option<Receiver<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is followed, and whose leaves are hashed on the way.
type Followed = (Arc<View>, Arc<Forest>);

#[derive(Debug, Default)]
struct State {
    /// The newest month's database was tried: it is open, or will be made again.
    tried: bool,
    reached: u64,
    rebuilding: bool,
    /// It was near the head once, so the writer waits for it.
    following: bool,
    trouble: Option<String>,
    /// Blocks that were found wrong: month, segment, position.
    heal: Vec<(String, u64)>,
    /// Segments whose run was found wrong.
    reindex: Vec<u64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Runs sled code: an error or a panic is a text.
pub(crate) fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("sled panicked".into()),
    }
}

impl Store {
    /// Starts the thread; it opens the newest month at once and follows when it gets a view.
    pub(crate) fn start(
        layout: Layout,
        opener: Opener,
        newest: Option<String>,
        limit: Duration,
    ) -> Arc<Self> {
        let (give_view, view) = bounded(1);
        let (end, ended) = bounded(1);
        let store = Arc::new(Self {
            journal: opener.journal,
            keyring: opener.keyring,
            limit,
            months: Mutex::default(),
            opening: Mutex::default(),
            state: Mutex::default(),
            moved: Condvar::new(),
            snapshots: Mutex::default(),
            fresh: Mutex::default(),
            checked: Mutex::default(),
            hint: Hint::open(&layout),
            layout,
            stop: AtomicBool::new(false),
            view: Mutex::new(Some(give_view)),
            ended: Mutex::new(Some(ended)),
            thread: Mutex::default(),
        });
        let follower = Arc::clone(&store);
        let run = move || {
            if let Some(newest) = newest
                && let Err(reason) = follower.open_month(&newest, false)
            {
                follower.trouble(reason);
            }
            follower.update(|state| state.tried = true);
            if let Ok((view, forest)) = view.recv() {
                follower.follow(&view, &forest);
            }
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("journal-store".into()).spawn(run);
        *lock(&store.thread) = thread.ok();
        store
    }

    /// Waits until the newest month was tried.
    pub(crate) fn wait_tried(&self, limit: Duration) {
        let state = lock(&self.state);
        let waited = self.moved.wait_timeout_while(state, limit, |state| !state.tried);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether the store may hold a position, as far as can be told without opening it.
    pub(crate) fn may_hold(&self, position: u64) -> bool {
        self.hint.at_open.is_none_or(|reached| reached >= position)
    }

    /// Begins to follow.
    pub(crate) fn give(&self, view: &Arc<View>, forest: &Arc<Forest>) {
        if let Some(sender) = lock(&self.view).take() {
            let _ = sender.send((Arc::clone(view), Arc::clone(forest)));
        }
    }

    pub(crate) fn status(&self) -> StoreStatus {
        let state = lock(&self.state);
        StoreStatus {
            reached: state.reached,
            rebuilding: state.rebuilding,
            trouble: state.trouble.clone(),
        }
    }

    /// The thread ends when it is woken next.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Ends the thread after what is durable is stored, or after a while.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        lock(&self.view).take();
        let ended = lock(&self.ended).take();
        let thread = lock(&self.thread).take();
        let in_time = ended.is_some_and(|ended| {
            // A dropped sender is an end too.
            ended.recv_timeout(STUCK * 2) != Err(crossbeam_channel::RecvTimeoutError::Timeout)
        });
        if let Some(thread) = thread.filter(|_| in_time) {
            let _ = thread.join();
        }
        lock(&self.months).clear();
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.moved.notify_all();
    }

    fn trouble(&self, trouble: String) {
        self.update(|state| {
            if state.trouble.as_ref() != Some(&trouble) {
                tracing::warn!(%trouble, "journal store");
                state.trouble = Some(trouble);
            }
        });
    }

    /// The database of a month, opened if need be. Readers do not wait for another's opening.
    fn month(&self, name: &str) -> Option<Arc<Month>> {
        if let Some(month) = lock(&self.months).get(name) {
            return Some(Arc::clone(month));
        }
        let opening = self.opening.try_lock().ok()?;
        if self.stop.load(Ordering::Acquire) || !self.layout.store().join(name).is_dir() {
            return None;
        }
        let opened = self.open_locked(name, false);
        drop(opening);
        opened.map_err(|reason| self.trouble(reason)).ok()
    }

    /// Opens a month's database; `fresh` makes it if it is not there.
    fn open_month(&self, name: &str, fresh: bool) -> Result<Arc<Month>, String> {
        let _opening = lock(&self.opening);
        if let Some(month) = lock(&self.months).get(name) {
            return Ok(Arc::clone(month));
        }
        self.open_locked(name, fresh)
    }

    fn open_locked(&self, name: &str, fresh: bool) -> Result<Arc<Month>, String> {
        let there = self.layout.store().join(name).is_dir();
        if !there && !fresh {
            return Err(format!("store {name} is missing and made again"));
        }
        let opened = Month::open(&self.layout, name, &self.journal, self.limit);
        let month = match opened {
            Ok(month) => Arc::new(month),
            Err(reason) => {
                let aside = month::set_aside(&self.layout, name);
                return Err(format!("store {name} is made again: {reason}{aside}"));
            },
        };
        let mut months = lock(&self.months);
        months.insert(name.to_owned(), Arc::clone(&month));
        if months.len() > OPEN_MONTHS + 1 {
            // The newest is the one being written.
            months.pop_first();
        }
        Ok(month)
    }

    fn give_up(&self, name: &str, reason: &str) {
        lock(&self.months).remove(name);
        lock(&self.checked).remove(name);
        self.hint.set(0);
        // Everything of this month has to come again.
        self.update(|state| (state.reached, state.following) = (0, false));
        let aside = month::set_aside(&self.layout, name);
        self.trouble(format!("store {name} is made again: {reason}{aside}"));
    }
}

impl Second for Store {
    fn snapshot(&self, month: &str, stream: &StreamId) -> Option<Snapshot> {
        self.find_snapshot(month, stream)
    }

    fn block_at(&self, month: &str, position: u64) -> Option<Vec<u8>> {
        // Nobody else can give it: this is worth waiting for an opening.
        self.wait_tried(self.limit);
        let there = self.layout.store().join(month).is_dir();
        let database = there.then(|| self.open_month(month, false).ok()).flatten()?;
        let found = guarded(|| database.block_at(position));
        let bytes = match found {
            Ok(bytes) => bytes?,
            Err(reason) => {
                self.trouble(format!("store {month}: {reason}"));
                return None;
            },
        };
        if let Ok(block) = Stored::parse(&bytes, &self.journal) {
            // Another block whole is no fault: this one has not arrived.
            let inside = (block.header.first..=block.header.last()).contains(&position);
            return inside.then_some(bytes);
        }
        self.trouble(format!("store {month}: the block at position {position} is wrong"));
        self.update(|state| state.heal.push((month.to_owned(), position)));
        None
    }

    fn filter(&self, segment: &Segment) -> Option<Filter> {
        self.of_run(segment, |month| run::filter(month, segment)).flatten()
    }

    fn stretch(&self, segment: &Segment, term: u64, from: From, way: Way) -> Option<Stretch> {
        self.of_run(segment, |month| {
            let known = segment.run_chunks.get().is_some();
            let there = known || run::filter(month, segment)?.is_some();
            there.then(|| run::stretch(month, segment, term, from, way)).transpose()
        })
        .flatten()
    }
}

impl Store {
    /// Reads from a segment's run; one that is wrong is made again.
    fn of_run<T>(
        &self,
        segment: &Segment,
        read: impl FnOnce(&Month) -> Result<T, String>,
    ) -> Option<T> {
        let month = self.month(&segment.month)?;
        match guarded(|| Ok(read(&month))) {
            Ok(Ok(found)) => Some(found),
            Ok(Err(reason)) | Err(reason) => {
                let first = segment.first;
                self.trouble(format!("store {}, run {first}: {reason}", segment.month));
                self.update(|state| state.reindex.push(first));
                None
            },
        }
    }
}

/// Bounds how far the store may lag behind.
#[derive(Debug)]
pub(crate) struct StoreBrake {
    pub(crate) store: Arc<Store>,
    pub(crate) lag: u64,
}

impl Brake for StoreBrake {
    fn hold(&self, head: u64) {
        let mut state = lock(&self.store.state);
        while state.following && head.saturating_sub(state.reached) > self.lag {
            let before = state.reached;
            let waited = self.store.moved.wait_timeout_while(state, STUCK, |state| {
                state.following && state.reached == before
            });
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() {
                state.following = false;
                state.trouble = Some("the store makes no progress".into());
                tracing::warn!("journal store makes no progress; appends go on without it");
            }
        }
    }

    fn takes_indexes(&self) -> bool {
        true
    }

    fn written(&self, first: u64, last: u64, blocks: &[u8]) {
        lock(&self.store.fresh).add(first, last, blocks);
    }
}
