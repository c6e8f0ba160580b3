//! A permit binds an outcome to the state it was admitted under.
//!
//! | boot | generation | sequence | its outcome |
//! |---|---|---|---|
//! | ours | ours | in flight | counts, and may decide |
//! | ours | ours | not in flight: reported before, expired, or never given | nothing |
//! | ours | older | any | statistics only |
//! | older | any | any | statistics only |
//! | newer, or ours | newer | any | nothing: never given |

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// Most permits that are remembered as in flight; the oldest is forgotten first.
const MAX_IN_FLIGHT: usize = 65_536;

/// The right to make one call, written `boot-generation-sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permit {
    /// The start of the server that gave it.
    pub boot: u64,
    /// The breaker's generation at that moment.
    pub generation: u64,
    /// Counts the permits of a boot, from 1.
    pub sequence: u64,
}

/// A text that is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a permit reads boot-generation-sequence, three numbers")]
pub struct PermitError;

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.boot, self.generation, self.sequence)
    }
}

impl FromStr for Permit {
    type Err = PermitError;

    fn from_str(text: &str) -> Result<Self, PermitError> {
        let number = |part: Option<&str>| {
            let digits = part.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).ok_or(PermitError)
        };
        let mut parts = text.split('-');
        let boot = number(parts.next())?;
        let generation = number(parts.next())?;
        let sequence = number(parts.next())?;
        parts.next().map_or(Ok(Self { boot, generation, sequence }), |_| Err(PermitError))
    }
}

impl Serialize for Permit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a permit that comes back is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was in flight.
    Current,
    /// Of an older generation or boot.
    Older,
    /// Reported before, expired, or never given.
    Void,
}

/// The permits of one gate.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    boot: u64,
    generation: u64,
    given: u64,
    /// Sequence numbers with the moments they were given.
    in_flight: BTreeMap<u64, Timestamp>,
}

impl Permits {
    pub(super) const fn new(boot: u64) -> Self {
        Self { boot, generation: 0, given: 0, in_flight: BTreeMap::new() }
    }

    /// From now on permits are of this generation; those in flight have become older ones.
    pub(super) fn begin(&mut self, generation: u64) {
        self.generation = generation;
        self.in_flight.clear();
    }

    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn give(&mut self, now: Timestamp) -> Permit {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.in_flight.pop_first();
        }
        self.given += 1;
        self.in_flight.insert(self.given, now);
        Permit { boot: self.boot, generation: self.generation, sequence: self.given }
    }

    pub(super) fn take_back(&mut self, permit: Permit) -> Standing {
        let theirs = (permit.boot, permit.generation);
        let ours = (self.boot, self.generation);
        if permit.boot < self.boot || (permit.boot == self.boot && theirs < ours) {
            Standing::Older
        } else if theirs == ours && self.in_flight.remove(&permit.sequence).is_some() {
            Standing::Current
        } else {
            Standing::Void
        }
    }

    /// Forgets permits that were given `max_ms` ago or longer, and counts them; sequence order is
    /// time order.
    pub(super) fn expire(&mut self, max_ms: u64, now: Timestamp) -> usize {
        let before = self.in_flight.len();
        while let Some(oldest) = self.in_flight.first_entry() {
            if oldest.get().plus_ms(max_ms) > now {
                break;
            }
            oldest.remove();
        }
        before - self.in_flight.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
