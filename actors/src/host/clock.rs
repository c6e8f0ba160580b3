//! The one clock: monotonic between restarts, never behind the journal.
//!
//! ```text
//!   start:  base = max(wall clock, the journal's last time)      (ahead by over an hour: refused)
//!   now  =  base + monotonic time since the start                (wall-clock jumps change nothing)
//! ```

use tokio::time::Instant;

use crate::time::Timestamp;

/// A journal this far ahead of the wall clock is not continued without consent, in milliseconds.
pub const MAX_AHEAD_MS: u64 = 3_600_000;

/// The source of every `now` in a host. Follows tokio's clock, so a paused runtime pauses it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
}

/// The journal's last event lies too far in the future of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal's last event is at {journal}, the wall clock says {wall}: set the clock right, or \
     continue from the journal's time with --accept-clock"
)]
pub struct ClockBehind {
    /// The journal's last time.
    pub journal: Timestamp,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Clock {
    /// Starts at the later of the wall clock and the journal's last time.
    ///
    /// # Errors
    /// The journal is more than [`MAX_AHEAD_MS`] ahead and `accept` is false.
    pub fn start(journal_last: Timestamp, accept: bool) -> Result<Self, ClockBehind> {
        Self::start_at(wall_now(), journal_last, accept)
    }

    /// As [`Clock::start`], with the wall clock as an argument.
    ///
    /// # Errors
    /// See [`Clock::start`].
    pub fn start_at(
        wall: Timestamp,
        journal_last: Timestamp,
        accept: bool,
    ) -> Result<Self, ClockBehind> {
        if journal_last > wall.plus_ms(MAX_AHEAD_MS) && !accept {
            return Err(ClockBehind { journal: journal_last, wall });
        }
        Ok(Self { base: wall.max(journal_last), started: Instant::now() })
    }

    /// Now. Never falls, also not over a restart.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Timestamp::from_micros(self.base.as_micros().saturating_add(passed))
    }

    /// The moment on tokio's clock, for sleeping until it.
    #[must_use]
    pub fn instant_of(&self, moment: Timestamp) -> Instant {
        let ahead = moment.as_micros().saturating_sub(self.base.as_micros());
        // A year is as good as never, and cannot overflow an `Instant`.
        self.started + std::time::Duration::from_micros(ahead.min(366 * 24 * 3_600 * 1_000_000))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the wall clock")]
fn wall_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since_epoch.map_or(0, |passed| passed.as_micros());
    Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
