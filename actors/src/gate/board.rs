//! All gates of a host as its callers see them: names, faces, stripes, and the tick of the clock.
//!
//! ```text
//!   Board ── name ──► Chunk of 64: faces, and for each thread 64 stripes in one piece
//!     │                     ▲
//!     └── tick ──► Front ───┘   a caller's handle: cheap to clone, no lock on the way of a call
//! ```
//!
//! Faces lie side by side and are never moved: a service with ten thousand breakers walks over
//! dense memory. A front may be had before its dependency is configured; until then it admits
//! nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock, PoisonError};

use super::face::{Face, Lane};
use super::front::Front;
use super::slot::{self, SHARED};
use super::stripe::Stripe;
use super::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use crate::time::Timestamp;

/// Gates in a chunk.
const CHUNK: usize = 64;

/// Faces and stripes of some gates.
#[derive(Debug)]
pub(super) struct Chunk {
    faces: [Face; CHUNK],
    /// Of threads that have a stripe of their own.
    lanes: [OnceLock<Stripes>; SHARED],
    shared: OnceLock<Stripes>,
}

type Stripes = Box<[Stripe; CHUNK]>;

/// See the module.
pub struct Board {
    clock: Clock,
    directory: Mutex<Directory>,
    /// Gates where a caller has found a verdict.
    noticed: Mutex<Vec<Arc<str>>>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Alone on its cache line: every call reads it.
#[derive(Debug)]
#[repr(align(64))]
struct Clock {
    /// The time in microseconds, as often as somebody sets it.
    tick_us: AtomicU64,
    /// Counts the readings of the stripes.
    round: AtomicU32,
}

#[derive(Debug, Default)]
struct Directory {
    by_name: BTreeMap<Arc<str>, usize>,
    chunks: Vec<Arc<Chunk>>,
    ended: bool,
}

/// Where a gate's face and stripes are.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    chunk: Arc<Chunk>,
    /// Below [`CHUNK`].
    at: u8,
}

impl Chunk {
    fn new() -> Self {
        Self {
            faces: std::array::from_fn(|_| Face::new()),
            lanes: std::array::from_fn(|_| OnceLock::new()),
            shared: OnceLock::new(),
        }
    }

    /// The stripes of a slot, if it has counted here.
    fn stripes(&self, slot: usize) -> Option<&Stripes> {
        if slot == SHARED { self.shared.get() } else { self.lanes.get(slot)?.get() }
    }
}

impl Spot {
    /// Of a gate that has no callers beside its keeper.
    pub(super) fn alone() -> Self {
        Self { chunk: Arc::new(Chunk::new()), at: 0 }
    }

    /// The remainder says to the compiler what is known: no place is outside.
    #[inline]
    fn at(&self) -> usize {
        usize::from(self.at) % CHUNK
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "below CHUNK")]
    pub(super) fn face(&self) -> &Face {
        &self.chunk.faces[self.at()]
    }

    /// The stripe of this thread, if it has one of its own and has counted here before.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "below CHUNK")]
    pub(super) fn own_stripe(&self) -> Option<&Stripe> {
        let stripes = self.chunk.lanes.get(slot::own())?.get()?;
        Some(&stripes[self.at()])
    }

    #[inline]
    pub(super) fn lane(&self) -> Lane<'_> {
        match self.own_stripe() {
            Some(stripe) => Lane { stripe, is_shared: false, on_its_thread: PhantomData },
            None => self.make_lane(),
        }
    }

    #[cold]
    #[expect(clippy::indexing_slicing, reason = "below CHUNK")]
    fn make_lane(&self) -> Lane<'_> {
        let slot = slot::current();
        let lane = self.chunk.lanes.get(slot);
        let make = || Box::new(std::array::from_fn(|_| Stripe::new()));
        let stripes = lane.unwrap_or(&self.chunk.shared).get_or_init(make);
        Lane { stripe: &stripes[self.at()], is_shared: lane.is_none(), on_its_thread: PhantomData }
    }

    /// The stripes that are there, with the numbers of their slots.
    pub(super) fn stripes(&self) -> impl Iterator<Item = (usize, &Stripe)> {
        slot::used().filter_map(|slot| Some((slot, self.chunk.stripes(slot)?.get(self.at())?)))
    }
}

impl Board {
    /// Without gates.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: Clock { tick_us: AtomicU64::new(0), round: AtomicU32::new(1) },
            directory: Mutex::default(),
            noticed: Mutex::default(),
            wake: OnceLock::new(),
        })
    }

    /// The gate of a dependency, configured or not.
    #[must_use]
    pub fn front(self: &Arc<Self>, name: &str) -> Front {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = directory.by_name.get_key_value(name).map(|(name, at)| (name.clone(), *at));
        let (name, at) = known.unwrap_or_else(|| {
            let (name, at) = (Arc::<str>::from(name), directory.by_name.len());
            directory.by_name.insert(name.clone(), at);
            (name, at)
        });
        let index = at / CHUNK;
        while directory.chunks.len() <= index {
            directory.chunks.push(Arc::new(Chunk::new()));
        }
        let chunk = directory.chunks.get(index).cloned().unwrap_or_else(|| Arc::new(Chunk::new()));
        let spot = Spot { chunk, at: u8::try_from(at % CHUNK).unwrap_or(u8::MAX) };
        if directory.ended {
            spot.face().end();
        }
        Front::new(self.clone(), spot, name)
    }

    /// Sets the clock forward.
    pub fn tick(&self, now: Timestamp) {
        self.clock.tick_us.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// Who is called when a caller has found a verdict; once.
    pub fn on_notice(&self, wake: impl Fn() + Send + Sync + 'static) {
        // The first keeper stays.
        let _ = self.wake.set(Box::new(wake));
    }

    /// Gates where callers have found verdicts, since the last time.
    pub fn noticed(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut *self.noticed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on no gate admits anything.
    pub fn end(&self) {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        directory.ended = true;
        for chunk in &directory.chunks {
            chunk.faces.iter().for_each(Face::end);
        }
    }

    /// No gate admits anything any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    /// Another reading of all stripes begins.
    pub(crate) fn next_round(&self) {
        self.clock.round.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn round(&self) -> u32 {
        self.clock.round.load(Ordering::Relaxed)
    }

    /// The tick, in microseconds.
    #[inline]
    pub(super) fn now_us(&self) -> u64 {
        self.clock.tick_us.load(Ordering::Relaxed)
    }

    #[cold]
    pub(super) fn notice(&self, name: &Arc<str>) {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("clock", &self.clock).finish_non_exhaustive()
    }
}
