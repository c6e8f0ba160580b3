//! Answers that are kept for a while.
//!
//! ```text
//!   get ──► in memory, fresh ──► the value
//!       └─► its key's turn: one at a time ──► in the second tier ──► the value
//!                                         └─► load ──► the value, kept in both
//!                                                 └──► failed: the value of before, if it is not
//!                                                      too old; else the error, for all who wait
//! ```
//!
//! [`Guard::cache`](super::Guard::cache) puts it before a guard:
//!
//! ```no_run
//! # async fn ask(_: &str) -> Result<u32, std::io::Error> { Ok(7) }
//! # async fn example(stay: mainstay::Mainstay) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use mainstay::guard::Cache;
//!
//! let prices = Cache::new(Duration::from_mins(1))?.stale(Duration::from_hours(1))?;
//! let prices = stay.dependency("prices").guard().timeout(Duration::from_secs(2)).cache(prices);
//! let price = prices.call(&"room-101", || ask("room-101")).await?;
//! # let _: u32 = price;
//! # Ok(())
//! # }
//! ```

mod cell;
#[cfg(test)]
mod tests;
mod tier;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::block::block_on;
use super::limit::{LimitError, check};
use cell::{Cell, Spans};
pub use tier::{NoTier, Tier};

/// See the module. Clones share what is kept.
pub struct Cache<K, V, T = NoTier> {
    cells: moka::sync::Cache<K, Arc<Cell<V>>>,
    spans: Spans,
    capacity: u64,
    tier: Arc<T>,
    counters: Arc<Counters>,
}

/// How calls were answered; each is counted once, when it has its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// From memory, those included that waited for the load of another.
    pub hits_total: u64,
    /// From the second tier.
    pub tier_hits_total: u64,
    /// By a load of their own.
    pub misses_total: u64,
    /// The load failed: with the value of before.
    pub stale_total: u64,
    /// The load failed, or gave nothing that is kept: with what it gave, or by a fallback.
    pub failed_total: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    tier_hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    failed: AtomicU64,
}

const MAX_TTL: Duration = Duration::from_hours(24);
const MAX_STALE: Duration = Duration::from_hours(7 * 24);
const MAX_CAPACITY: u64 = 100_000_000;
/// What has had no use for so long beyond its own time goes. No load takes as long: a key that went
/// during its load would be loaded twice at a time.
const IDLE: Duration = Duration::from_hours(1);

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A value is fresh for `ttl`: 1 ms to 24 h. For 10,000 keys, without
    /// [`capacity`](Self::capacity).
    ///
    /// # Errors
    /// Out of range.
    pub fn new(ttl: Duration) -> Result<Self, LimitError> {
        check((Duration::from_millis(1)..=MAX_TTL).contains(&ttl), "ttl", "1 ms to 24 h")?;
        Ok(Self::with(Spans { ttl, stale: Duration::ZERO }, 10_000, Arc::new(NoTier)))
    }
}

impl<K, V, T> Cache<K, V, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    T: Tier<K, V>,
{
    fn with(spans: Spans, capacity: u64, tier: Arc<T>) -> Self {
        let cells = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .time_to_idle(spans.ttl + spans.stale + IDLE)
            .build();
        Self { cells, spans, capacity, tier, counters: Arc::default() }
    }

    /// So many keys: 1 to 100,000,000. The one that is used least makes room, and is loaded again
    /// if it is asked for; a load of it that is under way still answers who waits for it. It begins
    /// anew: clones made before keep the old one.
    ///
    /// # Errors
    /// Out of range.
    pub fn capacity(self, keys: u64) -> Result<Self, LimitError> {
        check((1..=MAX_CAPACITY).contains(&keys), "capacity", "1 to 100000000")?;
        Ok(Self::with(self.spans, keys, self.tier))
    }

    /// Where a load fails, the value of before answers for so long after it was fresh: 0 to 7 d,
    /// 0 without it. It begins anew, as [`capacity`](Self::capacity) does.
    ///
    /// # Errors
    /// Out of range.
    pub fn stale(self, stale: Duration) -> Result<Self, LimitError> {
        check(stale <= MAX_STALE, "stale", "0 to 7 d")?;
        Ok(Self::with(Spans { stale, ..self.spans }, self.capacity, self.tier))
    }

    /// Asked where the memory has no fresh value, before the load. It begins anew, as
    /// [`capacity`](Self::capacity) does.
    #[must_use]
    pub fn tier<S: Tier<K, V>>(self, tier: S) -> Cache<K, V, S> {
        Cache::with(self.spans, self.capacity, Arc::new(tier))
    }

    /// The value of a key, loaded if there is no fresh one. Of one key there is one load at a time:
    /// who comes meanwhile waits for it, and has its value or its error. If the future that loads
    /// is dropped, or panics, the next one who waits loads. A load that asks for its own key waits
    /// for ever.
    ///
    /// # Errors
    /// Those of the load.
    pub async fn get<E, Fut>(&self, key: &K, load: impl FnOnce() -> Fut) -> Result<V, Arc<E>>
    where
        Fut: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
    {
        self.get_unless(key, load, |_| false).await
    }

    /// As [`get`](Self::get); an error that is final is not hidden by the value of before.
    pub(super) async fn get_unless<E, Fut>(
        &self,
        key: &K,
        load: impl FnOnce() -> Fut,
        is_final: impl Fn(&E) -> bool,
    ) -> Result<V, Arc<E>>
    where
        Fut: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
    {
        let cell = self.cell(key);
        if let Some(value) = cell.fresh(&self.spans) {
            return Ok(counted(&self.counters.hits, value));
        }
        let mut turn = cell.turn().await;
        if let Some(value) = cell.fresh(&self.spans) {
            return Ok(counted(&self.counters.hits, value));
        }
        if let Some(error) = turn.failed_meanwhile() {
            return self.failed(&cell, error, is_final);
        }
        if let Some(value) = self.tier.get(key).await {
            turn.loaded(value.clone());
            return Ok(counted(&self.counters.tier_hits, value));
        }
        match load().await {
            Ok(value) => {
                turn.loaded(value.clone());
                self.tier.put(key, &value).await;
                Ok(counted(&self.counters.misses, value))
            },
            Err(error) => self.failed(&cell, turn.failed(error), is_final),
        }
    }

    /// As [`get`](Self::get), for a load that blocks; blocks the thread while it waits.
    ///
    /// # Errors
    /// Those of the load.
    pub fn get_blocking<E>(&self, key: &K, load: impl FnOnce() -> Result<V, E>) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
    {
        block_on(self.get(key, || std::future::ready(load())))
    }

    fn failed<E>(
        &self,
        cell: &Cell<V>,
        error: Arc<E>,
        is_final: impl Fn(&E) -> bool,
    ) -> Result<V, Arc<E>> {
        let before = if is_final(&error) { None } else { cell.stale(&self.spans) };
        match before {
            Some(value) => Ok(counted(&self.counters.stale, value)),
            None => Err(counted(&self.counters.failed, error)),
        }
    }

    /// Takes a value out, of the memory and the second tier. It waits for a load of the key that is
    /// under way: nobody who asks after it has ended gets a value that was loaded before. (Where
    /// a second tier is and the capacity takes the key out during its load, that load may still put
    /// its value into the tier.)
    ///
    /// # Errors
    /// The second tier's; the value is out of the memory then, and may come back from the tier.
    pub async fn invalidate(&self, key: &K) -> Result<(), T::Error> {
        let cell = self.cell(key);
        let mut turn = cell.turn().await;
        turn.cleared();
        self.tier.remove(key).await
    }

    /// As [`invalidate`](Self::invalidate); blocks the thread while it waits.
    ///
    /// # Errors
    /// As those of `invalidate`.
    pub fn invalidate_blocking(&self, key: &K) -> Result<(), T::Error> {
        block_on(self.invalidate(key))
    }

    /// Takes values that are known into the memory, fresh from now on.
    pub fn warm(&self, values: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in values {
            self.cell(&key).hold(value);
        }
    }

    /// How calls were answered. The figures are read one after the other.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        self.counters.read()
    }

    fn cell(&self, key: &K) -> Arc<Cell<V>> {
        self.cells.get_with_by_ref(key, Arc::default)
    }
}

impl CacheCounts {
    /// Of two caches together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            hits_total: self.hits_total.saturating_add(other.hits_total),
            tier_hits_total: self.tier_hits_total.saturating_add(other.tier_hits_total),
            misses_total: self.misses_total.saturating_add(other.misses_total),
            stale_total: self.stale_total.saturating_add(other.stale_total),
            failed_total: self.failed_total.saturating_add(other.failed_total),
        }
    }
}

impl Counters {
    pub(crate) fn read(&self) -> CacheCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            hits_total: read(&self.hits),
            tier_hits_total: read(&self.tier_hits),
            misses_total: read(&self.misses),
            stale_total: read(&self.stale),
            failed_total: read(&self.failed),
        }
    }
}

fn counted<A>(counter: &AtomicU64, answer: A) -> A {
    counter.fetch_add(1, Ordering::Relaxed);
    answer
}

impl<K, V, T> Cache<K, V, T> {
    pub(crate) const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}

impl<K, V, T> Clone for Cache<K, V, T> {
    fn clone(&self) -> Self {
        Self {
            cells: self.cells.clone(),
            spans: self.spans,
            capacity: self.capacity,
            tier: Arc::clone(&self.tier),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<K, V, T> fmt::Debug for Cache<K, V, T> {
    /// Without keys and values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("spans", &self.spans)
            .field("capacity", &self.capacity)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
