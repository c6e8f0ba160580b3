//! So many calls at a time.
//!
//! ```text
//!   enter ──► room, nobody waits ──► Slot ──► dropped: the first who waits has it, else it is free
//!         ├─► no room ──► waits in line ──► Slot
//!         │                     ├── waited too long: Full
//!         │                     └── cancelled: out of the line; a place it was just given goes on
//!         └─► the line is full: Full
//! ```

mod line;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::block::block_at_most;
use super::gradient::{Gradient, Sample, State};
use super::limit::{LimitError, check};
use super::timer::Timer;
use line::{Line, NoPlace, Waiting};

/// See the module. Clones share the places and the line; how many may stand in the line before a
/// call and how long it waits is each clone's own.
#[derive(Debug, Clone)]
pub struct Bulkhead {
    shared: Arc<Shared>,
    queue: u32,
    wait: Duration,
    invalid: Option<LimitError>,
}

#[derive(Debug)]
struct Shared {
    line: Line,
    adaptive: Option<(Gradient, Mutex<State>)>,
    exhausted: AtomicU64,
    waited: AtomicU64,
    waited_us: AtomicU64,
    /// A guard has called through it.
    used: AtomicBool,
}

/// No place, and none became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bulkhead is full")]
pub struct Full {
    /// When it is worth asking again: what those who waited have waited on average, 50 ms to the
    /// bulkhead's `wait`.
    pub retry_after: Duration,
}

/// A place in a bulkhead, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when it is dropped"]
pub struct Slot<'b> {
    shared: &'b Shared,
}

/// What a bulkhead has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Calls inside.
    pub active: u32,
    /// Places that are free.
    pub idle: u32,
    /// Calls in the line.
    pub waiting: u32,
    /// Calls that found no place.
    pub exhausted_total: u64,
    /// Calls that waited and then had a place, and how long they waited together.
    pub waited_total: u64,
    /// In microseconds.
    pub waited_us: u64,
}

/// The places of a bulkhead, for who only counts.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Shared>);

const MAX_PLACES: u32 = 1_000_000;
const MAX_WAIT: Duration = Duration::from_hours(1);
const LEAST_RETRY: Duration = Duration::from_millis(50);

impl Default for Bulkhead {
    /// 20 places, 20 in the line, 30 s.
    fn default() -> Self {
        Self::new(20)
    }
}

impl Bulkhead {
    /// With so many places: 1 to 1,000,000.
    #[must_use]
    pub fn new(max: u32) -> Self {
        let invalid = check((1..=MAX_PLACES).contains(&max), "max", "1 to 1000000");
        Self::over(max, None, invalid.err())
    }

    /// With as many places as the dependency shows that it can serve.
    #[must_use]
    pub fn adaptive(gradient: Gradient) -> Self {
        let state = State::new(&gradient);
        let invalid = gradient.check().err();
        Self::over(state.limit(), Some((gradient, Mutex::new(state))), invalid)
    }

    fn over(
        max: u32,
        adaptive: Option<(Gradient, Mutex<State>)>,
        invalid: Option<LimitError>,
    ) -> Self {
        let none = || AtomicU64::new(0);
        let shared = Shared {
            line: Line::new(max),
            adaptive,
            exhausted: none(),
            waited: none(),
            waited_us: none(),
            used: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), queue: 20, wait: Duration::from_secs(30), invalid }
    }

    /// A call waits only where fewer stand in the line; 0 to 1,000,000, 20 without it.
    #[must_use]
    pub fn queue(mut self, queue: u32) -> Self {
        self.note(check(queue <= MAX_PLACES, "queue", "0 to 1000000"));
        self.queue = queue;
        self
    }

    /// How long a call waits at most: 0 to 1 h, 30 s without it.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.note(check(wait <= MAX_WAIT, "wait", "0 to 1 h"));
        self.wait = wait;
        self
    }

    fn note(&mut self, checked: Result<(), LimitError>) {
        if let Err(error) = checked {
            self.invalid.get_or_insert(error);
        }
    }

    /// Whether every setting can be.
    ///
    /// # Errors
    /// The first setting that is out of its range, with the range.
    pub fn check(&self) -> Result<(), LimitError> {
        self.invalid.map_or(Ok(()), Err)
    }

    /// Changes how many places there are, for all clones. Calls inside stay: with fewer places new
    /// ones wait until enough have left. An adaptive bulkhead goes on from its own figure.
    ///
    /// # Errors
    /// Out of range: 1 to 1,000,000.
    pub fn resize(&self, max: u32) -> Result<(), LimitError> {
        check((1..=MAX_PLACES).contains(&max), "max", "1 to 1000000")?;
        self.shared.line.resize(max);
        Ok(())
    }

    /// A place, at once or after a wait in the line. Dropping the future gives up the place in the
    /// line.
    ///
    /// # Errors
    /// [`Full`]: the line is full, or no place became free in time.
    pub async fn enter(&self, timer: &Timer) -> Result<Slot<'_>, Full> {
        if self.shared.line.try_enter() {
            return Ok(Slot { shared: &self.shared });
        }
        match self.wait_in_line()? {
            None => Ok(Slot { shared: &self.shared }),
            Some(waiting) => {
                let began = now();
                let entered = timer.at_most(self.wait, waiting).await;
                self.entered(entered.is_ok(), began)
            },
        }
    }

    /// As [`enter`](Self::enter); blocks the thread while it waits.
    ///
    /// # Errors
    /// As those of `enter`.
    pub fn enter_blocking(&self) -> Result<Slot<'_>, Full> {
        self.enter_blocking_within(None)
    }

    /// As [`enter_blocking`](Self::enter_blocking), waiting at most so long if that is less.
    pub(super) fn enter_blocking_within(&self, most: Option<Duration>) -> Result<Slot<'_>, Full> {
        if self.shared.line.try_enter() {
            return Ok(Slot { shared: &self.shared });
        }
        match self.wait_in_line()? {
            None => Ok(Slot { shared: &self.shared }),
            Some(waiting) => {
                let began = now();
                let wait = most.map_or(self.wait, |most| most.min(self.wait));
                let entered = block_at_most(wait, waiting);
                self.entered(entered.is_some(), began)
            },
        }
    }

    /// `None`: a place became free in between.
    fn wait_in_line(&self) -> Result<Option<Waiting<'_>>, Full> {
        let queue = if self.wait.is_zero() { 0 } else { self.queue };
        self.shared.line.wait(queue).map_err(|NoPlace| self.full())
    }

    fn entered(&self, entered: bool, began: Instant) -> Result<Slot<'_>, Full> {
        if !entered {
            return Err(self.full());
        }
        let waited_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.waited.fetch_add(1, Ordering::Relaxed);
        self.shared.waited_us.fetch_add(waited_us, Ordering::Relaxed);
        Ok(Slot { shared: &self.shared })
    }

    /// Whether it wants to know how long calls take.
    pub(super) fn is_adaptive(&self) -> bool {
        self.shared.adaptive.is_some()
    }

    #[cold]
    pub(super) fn full(&self) -> Full {
        self.shared.exhausted.fetch_add(1, Ordering::Relaxed);
        let waited = self.shared.waited.load(Ordering::Relaxed);
        let mean_us = self.shared.waited_us.load(Ordering::Relaxed).checked_div(waited);
        let mean = Duration::from_micros(mean_us.unwrap_or_default());
        Full { retry_after: mean.min(self.wait).max(LEAST_RETRY) }
    }

    /// What it has counted. The figures are read one after the other.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    pub(super) fn places(&self) -> Places {
        Places(self.shared.clone())
    }

    /// A guard calls through it.
    #[inline]
    pub(crate) fn use_it(&self) {
        if !self.shared.used.load(Ordering::Relaxed) {
            self.shared.used.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn counts(&self) -> Counts {
        let (active, waiting) = self.line.inside_and_waiting();
        Counts {
            active,
            idle: self.line.limit().saturating_sub(active),
            waiting,
            exhausted_total: self.exhausted.load(Ordering::Relaxed),
            waited_total: self.waited.load(Ordering::Relaxed),
            waited_us: self.waited_us.load(Ordering::Relaxed),
        }
    }
}

impl Counts {
    /// Of two bulkheads together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            active: self.active.saturating_add(other.active),
            idle: self.idle.saturating_add(other.idle),
            waiting: self.waiting.saturating_add(other.waiting),
            exhausted_total: self.exhausted_total.saturating_add(other.exhausted_total),
            waited_total: self.waited_total.saturating_add(other.waited_total),
            waited_us: self.waited_us.saturating_add(other.waited_us),
        }
    }
}

impl Places {
    /// Somebody else has them, too.
    pub(super) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Of one that nobody has any more only what it has counted; `None` of one that nobody has
    /// called through.
    pub(super) fn counts(&self) -> Option<Counts> {
        let counts = Some(self.0.counts()).filter(|_| self.0.used.load(Ordering::Relaxed))?;
        let none = Counts { active: 0, idle: 0, waiting: 0, ..counts };
        Some(if self.is_in_use() { counts } else { none })
    }
}

impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Slot<'_> {
    /// Tells an adaptive bulkhead how long the call took, in microseconds, and whether it was
    /// dropped: refused or timed out for too much load. Others ignore it.
    pub fn finished(self, rtt_us: u64, dropped: bool) {
        let Some((gradient, state)) = &self.shared.adaptive else { return };
        // Nobody waits to be measured: a sample that comes beside another is left out.
        let Ok(mut state) = state.try_lock() else { return };
        let (inside, _) = self.shared.line.inside_and_waiting();
        let before = state.limit();
        *state = state.after(gradient, Sample { rtt_us, inside, dropped });
        let limit = state.limit();
        if limit != before {
            self.shared.line.resize(limit);
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.shared.line.leave();
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a wait, decides no state by it")]
fn now() -> Instant {
    Instant::now()
}
