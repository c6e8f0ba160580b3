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

use super::Outcome;
use super::face::{Entry, Face, Lane, Settled, Ticket};
use super::slot::{self, SHARED, SLOTS};
use super::stripe::{LONG_US, Stripe};
use super::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use super::word::Word;
use crate::time::Timestamp;

/// Gates in a chunk.
const CHUNK: usize = 64;

/// Faces and stripes of some gates.
#[derive(Debug)]
pub(super) struct Chunk {
    faces: Box<[Face]>,
    lanes: [OnceLock<Box<[Stripe]>>; SLOTS],
}

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

/// A gate as its callers have it. Cheap to clone, used from any thread.
#[derive(Clone)]
pub struct Front {
    board: Arc<Board>,
    spot: Spot,
    name: Arc<str>,
}

/// Where a gate's face and stripes are.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    chunk: Arc<Chunk>,
    at: usize,
}

impl Chunk {
    fn new(gates: usize) -> Self {
        let faces = (0..gates).map(|_| Face::new()).collect();
        Self { faces, lanes: std::array::from_fn(|_| OnceLock::new()) }
    }
}

impl Spot {
    /// Of a gate that has no callers beside its keeper.
    pub(super) fn alone() -> Self {
        Self { chunk: Arc::new(Chunk::new(1)), at: 0 }
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a spot is made for a place of its chunk")]
    pub(super) fn face(&self) -> &Face {
        &self.chunk.faces[self.at]
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "slots are below SLOTS, places inside the chunk")]
    fn lane(&self) -> Lane<'_> {
        let slot = slot::current();
        let lane = &self.chunk.lanes[slot];
        let stripes = lane.get_or_init(|| self.chunk.faces.iter().map(|_| Stripe::new()).collect());
        let (stripe, is_shared) = (&stripes[self.at], slot == SHARED);
        Lane { stripe, is_shared, on_its_thread: PhantomData }
    }

    /// The stripes that are there, with the numbers of their slots.
    pub(super) fn stripes(&self) -> impl Iterator<Item = (usize, &Stripe)> {
        slot::used().filter_map(|slot| {
            let lane = self.chunk.lanes.get(slot)?.get()?;
            Some((slot, lane.get(self.at)?))
        })
    }
}

impl Board {
    /// Without gates.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: Clock { tick_us: AtomicU64::new(0), round: AtomicU32::new(0) },
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
            directory.chunks.push(Arc::new(Chunk::new(CHUNK)));
        }
        let chunk =
            directory.chunks.get(index).cloned().unwrap_or_else(|| Arc::new(Chunk::new(CHUNK)));
        let spot = Spot { chunk, at: at % CHUNK };
        if directory.ended {
            spot.face().end();
        }
        Front { board: self.clone(), spot, name }
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

    pub(super) fn round(&self) -> u32 {
        self.clock.round.load(Ordering::Relaxed)
    }

    fn notice(&self, name: &Arc<str>) {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl Front {
    /// The dependency's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a call may be made now. Reads no lock and allocates nothing.
    #[inline]
    #[must_use]
    pub fn enter(&self) -> Entry {
        self.spot.face().enter(self.board.clock.tick_us.load(Ordering::Relaxed))
    }

    /// Where this thread counts: to be asked for where a call is settled.
    #[inline]
    #[must_use]
    pub fn lane(&self) -> Lane<'_> {
        self.spot.lane()
    }

    /// Whether the call's time is wanted exactly, and not by the tick alone.
    #[inline]
    #[must_use]
    pub fn wants_exact(&self, ticket: Ticket, lane: Lane<'_>) -> bool {
        ticket.word.has(Word::EXACT) || lane.stripe.wants_latency(self.round())
    }

    /// The time by the tick, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.board.clock.tick_us.load(Ordering::Relaxed) / 1_000
    }

    /// Faults are injected into its calls.
    #[inline]
    #[must_use]
    pub const fn is_faulted(ticket: Ticket) -> bool {
        ticket.word.has(Word::FAULTED)
    }

    /// Tells how a call went; `exact_us` is how long it took, in microseconds, if that was taken.
    #[inline]
    pub fn settle(&self, ticket: Ticket, outcome: Outcome, exact_us: Option<u64>, lane: Lane<'_>) {
        let now_us = self.board.clock.tick_us.load(Ordering::Relaxed);
        let by_tick_us = now_us.saturating_sub(ticket.began_us);
        let us = exact_us.unwrap_or(by_tick_us);
        let (_, settled) = self.count(ticket, outcome, us, lane);
        if settled.counted && (exact_us.is_some() || us >= LONG_US) {
            lane.stripe.keep_latency(self.round(), us);
        }
        if settled.found {
            self.board.notice(&self.name);
        }
    }

    /// Whether it was slow, and what became of it.
    #[inline]
    fn count(&self, ticket: Ticket, outcome: Outcome, us: u64, lane: Lane<'_>) -> (bool, Settled) {
        let face = self.spot.face();
        let slow = us > 0 && us > face.slow_us() && outcome != Outcome::Ignored;
        let stripes = || self.spot.stripes().map(|(_, stripe)| stripe);
        (slow, face.settle(ticket, outcome, slow, lane, stripes))
    }

    /// As [`settle`](Self::settle), for a call under an injected fault: it decides as any call does,
    /// and the journal's statistics count it apart.
    pub fn settle_injected(&self, ticket: Ticket, outcome: Outcome) {
        let now_us = self.board.clock.tick_us.load(Ordering::Relaxed);
        let us = now_us.saturating_sub(ticket.began_us);
        let (slow, settled) = self.count(ticket, outcome, us, self.lane());
        if settled.counted {
            self.spot.face().count_injected(outcome == Outcome::Failure, slow);
        }
        if settled.found {
            self.board.notice(&self.name);
        }
    }

    /// A call under an injected fault whose outcome goes through the keeper.
    pub fn count_injected(&self, outcome: Outcome, us: u64) {
        if outcome != Outcome::Ignored {
            let face = self.spot.face();
            face.count_injected(outcome == Outcome::Failure, us > face.slow_us());
        }
    }

    /// Faults are injected into calls that begin now.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.spot.face().word().has(Word::FAULTED)
    }

    /// From now on calls are admitted with [`is_faulted`](Self::is_faulted), or no longer.
    pub fn set_faulted(&self, faulted: bool) {
        self.spot.face().mark(Word::FAULTED, faulted);
    }

    /// The journal does not take events: the breaker goes on, and its state is not recorded yet.
    #[must_use]
    pub fn is_unjournaled(&self) -> bool {
        self.spot.face().word().has(Word::UNJOURNALED)
    }

    pub(super) const fn spot(&self) -> &Spot {
        &self.spot
    }

    pub(super) fn round(&self) -> u32 {
        self.board.round()
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Front").field(&self.name).finish()
    }
}
