//! Down at once, up only after the better level has held.
//!
//! **The rule.** The level at a moment is the worst raw level of the span of `recover_after` that
//! ends there. A worse raw level is in that span at once, so the level falls at once; a better
//! one counts only when every worse one has left the span. A raw level is in the span up to, but
//! not at, `recover_after` after its last moment.
//!
//! ```text
//!   raw     O O M M L L L L O O O O O      recover_after = 3
//!   level   O O M M M M L L L L O O O
//! ```
//!
//! At a restart the journaled level counts as the raw level up to the first observation, so the
//! wait begins anew.

use super::Level;
use crate::time::Timestamp;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hysteresis {
    level: Level,
    recover_after_ms: u64,
    raw: Level,
    /// Worse raw levels with their last moments; at most one entry a level.
    held: Vec<(Level, Timestamp)>,
}

impl Hysteresis {
    /// Goes on from the journaled level.
    #[must_use]
    pub const fn new(level: Level, recover_after_ms: u64) -> Self {
        Self { level, recover_after_ms, raw: level, held: Vec::new() }
    }

    /// The level that holds.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Takes the raw level as it is from `now` on; the new level, if it is another one. Call it
    /// whenever the raw level may have changed, and at each [`deadline`](Self::deadline).
    pub fn observe(&mut self, raw: Level, now: Timestamp) -> Option<Level> {
        if raw != self.raw {
            self.held.retain(|(level, _)| *level != self.raw);
            self.held.push((self.raw, now));
            self.raw = raw;
        }
        let recover_after_ms = self.recover_after_ms;
        self.held.retain(|(level, last)| *level < raw && last.plus_ms(recover_after_ms) > now);
        let worst = self.held.iter().map(|(level, _)| *level).min();
        let next = worst.map_or(raw, |worst| worst.min(raw));
        (next != self.level).then(|| {
            self.level = next;
            next
        })
    }

    /// When the level rises if nothing changes; `None` if it is the raw level already.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let (_, last) = self.held.iter().min_by_key(|(level, _)| *level)?;
        Some(last.plus_ms(self.recover_after_ms))
    }
}
