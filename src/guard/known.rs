//! The guards of a process: which layers the configuration gives, and what they have counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::bulkhead::Places;
#[cfg(feature = "cache")]
use super::cache::{CacheCounts, Counters as CacheCounters};
use super::{Bulkhead, Counts, Layers};

/// See the module. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guards {
    configured: Arc<BTreeMap<String, Layers>>,
    tallies: Arc<Mutex<BTreeMap<Arc<str>, Arc<Tally>>>>,
}

/// What the guards of one dependency have counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// There was a guard.
    guarded: AtomicBool,
    fallbacks: AtomicU64,
    bulkheads: Mutex<Bulkheads>,
    #[cfg(feature = "cache")]
    caches: Mutex<Caches>,
}

#[derive(Debug, Default)]
struct Bulkheads {
    known: Vec<Places>,
    /// What those have counted that nobody has any more: a counter never falls.
    gone: Option<Counts>,
}

#[cfg(feature = "cache")]
#[derive(Debug, Default)]
struct Caches {
    known: Vec<Arc<CacheCounters>>,
    /// What those have counted that nobody has any more.
    gone: Option<CacheCounts>,
}

/// What the guards of one dependency have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Calls that a fallback answered.
    pub fallbacks: u64,
    /// Of all its bulkheads; `None` before the first call through one.
    pub bulkheads: Option<Counts>,
    /// Of all caches that it ever had; `None` if there was none.
    #[cfg(feature = "cache")]
    pub caches: Option<CacheCounts>,
}

impl Guards {
    /// With the layers that the configuration gives, by dependency.
    pub(crate) fn new(configured: BTreeMap<String, Layers>) -> Self {
        Self { configured: Arc::new(configured), tallies: Arc::default() }
    }

    /// The layers around calls to a dependency, where its user sets none.
    pub(super) fn layers(&self, name: &str) -> Layers {
        self.configured.get(name).cloned().unwrap_or_default()
    }

    /// Where the guards of a dependency count.
    pub(crate) fn tally(&self, name: &Arc<str>) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(name.clone()).or_default().clone()
    }

    /// What they have counted, by dependency; those that nobody guards are left out.
    #[cfg(feature = "server")]
    pub(crate) fn figures(&self) -> Vec<(Arc<str>, Figures)> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let guarded = tallies.iter().filter(|(_, tally)| tally.guarded.load(Ordering::Relaxed));
        guarded.map(|(name, tally)| (name.clone(), tally.figures())).collect()
    }
}

impl Tally {
    /// There is a guard.
    pub(crate) fn guard(&self) {
        self.guarded.store(true, Ordering::Relaxed);
    }

    /// A fallback has answered.
    pub(super) fn fell_back(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what a bulkhead counts.
    pub(crate) fn watch(&self, bulkhead: &Bulkhead) {
        let mut bulkheads = self.bulkheads.lock().unwrap_or_else(PoisonError::into_inner);
        let Bulkheads { known, gone } = &mut *bulkheads;
        known.retain(|it| {
            let in_use = it.is_in_use();
            if let Some(counts) = it.counts().filter(|_| !in_use) {
                *gone = Some(gone.map_or(counts, |gone| gone.and(counts)));
            }
            in_use
        });
        let places = bulkhead.places();
        if !known.contains(&places) {
            known.push(places);
        }
    }

    /// Counts what a cache counts; it goes on when the cache is gone, as a counter never falls.
    #[cfg(feature = "cache")]
    pub(crate) fn watch_cache(&self, counters: &Arc<CacheCounters>) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let Caches { known, gone } = &mut *caches;
        known.retain(|it| {
            let in_use = Arc::strong_count(it) > 1;
            if !in_use {
                *gone = Some(gone.unwrap_or_default().and(it.read()));
            }
            in_use
        });
        if !known.iter().any(|it| Arc::ptr_eq(it, counters)) {
            known.push(counters.clone());
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let bulkheads = self.bulkheads.lock().unwrap_or_else(PoisonError::into_inner);
        Figures {
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
            bulkheads: {
                let known = bulkheads.known.iter().filter_map(Places::counts);
                known.chain(bulkheads.gone).reduce(Counts::and)
            },
            #[cfg(feature = "cache")]
            caches: {
                let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
                let known = caches.known.iter().map(|counters| counters.read());
                known.chain(caches.gone).reduce(CacheCounts::and)
            },
        }
    }
}
