//! The weighted mean and its caps.

use super::Level;
use crate::rate::Score;

/// What one dependency contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// Its name, for the cause.
    pub name: &'a str,
    /// Its weight.
    pub weight: u32,
    /// Its score; `None` is outside the weights.
    pub score: Option<Score>,
    /// Open, half-open or forced open: both caps hold.
    pub down: bool,
    /// The level's cap while it is down, if it is critical.
    pub cap: Option<Level>,
}

/// Health as it follows from the dependencies at one moment, before hysteresis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// The weighted mean; 100 points when nothing weighted is known.
    pub score: Score,
    /// Weight of the dependencies whose score is known.
    pub known_weight: u64,
    /// The level, caps applied.
    pub level: Level,
}
