//! What is kept of one key, and whose turn it is to load it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, MutexGuard};

/// How long a value may answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spans {
    pub(super) ttl: Duration,
    /// After the ttl, where a load fails.
    pub(super) stale: Duration,
}

pub(super) struct Cell<V> {
    held: ArcSwapOption<Held<V>>,
    /// Whoever has it loads. In it the error of the last load, if that failed.
    turn: Mutex<Option<Error>>,
    /// Loads that have ended.
    ended: AtomicU64,
}

struct Held<V> {
    value: V,
    since: Instant,
}

type Error = Arc<dyn Any + Send + Sync>;

/// The turn to load a key, until it is dropped.
pub(super) struct Turn<'c, V> {
    cell: &'c Cell<V>,
    last: MutexGuard<'c, Option<Error>>,
    /// A load ended while this turn was waited for.
    ended_meanwhile: bool,
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self {
            held: ArcSwapOption::const_empty(),
            turn: Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }
}

impl<V: Clone> Cell<V> {
    pub(super) fn fresh(&self, spans: &Spans) -> Option<V> {
        self.not_older(spans.ttl)
    }

    /// A value that is fresh, or not too old for the place of a load that failed.
    pub(super) fn stale(&self, spans: &Spans) -> Option<V> {
        self.not_older(spans.ttl + spans.stale)
    }

    fn not_older(&self, span: Duration) -> Option<V> {
        let held = self.held.load();
        held.as_ref().filter(|held| held.since.elapsed() < span).map(|held| held.value.clone())
    }

    pub(super) fn hold(&self, value: V) {
        self.held.store(Some(Arc::new(Held { value, since: now() })));
    }

    /// First come, first served.
    pub(super) async fn turn(&self) -> Turn<'_, V> {
        let before = self.ended.load(Ordering::Relaxed);
        let last = self.turn.lock().await;
        let ended_meanwhile = self.ended.load(Ordering::Relaxed) != before;
        Turn { cell: self, last, ended_meanwhile }
    }
}

impl<V: Clone> Turn<'_, V> {
    /// The error of the last load, if it ended while this turn was waited for. None too where that
    /// load had errors of another type.
    pub(super) fn failed_meanwhile<E: Send + Sync + 'static>(&self) -> Option<Arc<E>> {
        let last = self.last.as_ref().filter(|_| self.ended_meanwhile)?;
        Arc::clone(last).downcast().ok()
    }

    pub(super) fn loaded(&mut self, value: V) {
        self.cell.hold(value);
        self.ended(None);
    }

    pub(super) fn failed<E: Send + Sync + 'static>(&mut self, error: E) -> Arc<E> {
        let error = Arc::new(error);
        self.ended(Some(Arc::<E>::clone(&error)));
        error
    }

    pub(super) fn cleared(&mut self) {
        self.cell.held.store(None);
        *self.last = None;
    }

    fn ended(&mut self, last: Option<Error>) {
        *self.last = last;
        self.cell.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of what is kept, decides no state by it")]
fn now() -> Instant {
    Instant::now()
}
