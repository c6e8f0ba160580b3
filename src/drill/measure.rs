//! Phases of a scenario, and how long each took.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use mainstay_actors::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A part of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What was done.
    pub name: Cow<'static, str>,
    /// When it began, from the beginning of the scenario.
    pub from_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// Whether it lies between the disaster and the first write after it.
    pub in_rto: bool,
}

/// The clock of one scenario.
#[derive(Debug)]
pub(super) struct Phases {
    zero: Instant,
    disaster: Option<Instant>,
    written: Option<Instant>,
    list: Vec<Phase>,
}

impl Phases {
    pub(super) fn begin() -> Self {
        Self { zero: instant(), disaster: None, written: None, list: Vec::new() }
    }

    /// Does something, and remembers how long that took.
    pub(super) fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let began = instant();
        let done = work();
        let (from, took) = (began.duration_since(self.zero), began.elapsed());
        let in_rto = self.disaster.is_some() && self.written.is_none();
        self.list.push(Phase { name: name.into(), from_ms: ms(from), took_ms: ms(took), in_rto });
        done
    }

    /// From now on it counts.
    pub(super) fn disaster(&mut self) {
        self.disaster = Some(instant());
    }

    /// The first write was verified.
    pub(super) fn written(&mut self) {
        self.written = Some(instant());
    }

    /// From the disaster to the first verified write; up to now, if there was none.
    pub(super) fn rto_ms(&self) -> u64 {
        let end = self.written.unwrap_or_else(instant);
        self.disaster.map_or(0, |disaster| ms(end.duration_since(disaster)))
    }

    /// Since the beginning.
    pub(super) fn took_ms(&self) -> u64 {
        ms(self.zero.elapsed())
    }

    pub(super) fn into_list(self) -> Vec<Phase> {
        self.list
    }
}

/// Whole milliseconds.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A point of the clock that never falls.
pub(super) fn instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a drill measures real time")]
    Instant::now()
}

/// This moment, by the wall clock.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "when a drill ran, and how new a backup is")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
