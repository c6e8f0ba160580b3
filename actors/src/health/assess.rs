//! The weighted mean and its caps.

use super::Level;
use crate::dependency::Mode;
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

/// Points from which a level holds, best first; below all of them it is EMERGENCY.
const FLOORS: [(u64, Level); 4] =
    [(90, Level::Optimal), (70, Level::Degraded), (50, Level::Limited), (20, Level::Minimal)];

/// The weighted mean of all known scores, and the level that follows from it.
///
/// Sums are exact and compared unrounded: Σ weight · score against floor · Σ weight. While
/// anything weighted is down the level is at most DEGRADED; a critical dependency that is down
/// caps it at its own level, whatever its weight. Without any known weight the score is 100, and
/// the caps still hold.
#[must_use]
pub fn assess(inputs: &[Input<'_>]) -> Assessment {
    let mut known_weight = 0_u64;
    let mut sum = 0_u128;
    for input in inputs {
        if let Some(score) = input.score {
            known_weight = known_weight.saturating_add(u64::from(input.weight));
            sum += u128::from(input.weight) * u128::from(score.ten_thousandths());
        }
    }
    let mean = sum.checked_div(u128::from(known_weight)).and_then(|mean| u32::try_from(mean).ok());
    let score = mean.map_or(Score::FULL, Score::from_ten_thousandths);
    let reached = |points: u64| sum >= u128::from(points) * 10_000 * u128::from(known_weight);
    let floor = FLOORS.iter().find(|(points, _)| reached(*points));
    let raw = floor.map_or(Level::Emergency, |(_, level)| *level);
    let level = inputs.iter().filter_map(cap).fold(raw, Level::min);
    Assessment { score, known_weight, level }
}

/// The best level that one dependency allows, if it limits it.
fn cap(input: &Input<'_>) -> Option<Level> {
    if !input.down {
        return None;
    }
    let weighted = (input.weight > 0).then_some(Level::Degraded);
    match (input.cap, weighted) {
        (Some(cap), Some(weighted)) => Some(cap.min(weighted)),
        (cap, weighted) => cap.or(weighted),
    }
}

/// Why the level is what it is, in words: `database is open`, `score 65`, `everything is available`.
///
/// Names what is down, heaviest first and three at most, if it bears on the level; else the score.
/// `mode` tells the breaker of a dependency.
#[must_use]
pub fn cause(
    assessment: &Assessment,
    inputs: &[Input<'_>],
    mode: impl Fn(&Input<'_>) -> Mode,
) -> String {
    let mut down: Vec<&Input<'_>> = inputs.iter().filter(|input| cap(input).is_some()).collect();
    down.sort_by(|a, b| b.weight.cmp(&a.weight).then(a.name.cmp(b.name)));
    let named = down.iter().take(NAMED).map(|input| format!("{} is {}", input.name, mode(input)));
    let mut words: Vec<String> = named.collect();
    if let Some(more) = down.len().checked_sub(NAMED).filter(|more| *more > 0) {
        words.push(format!("{more} more are down"));
    }
    match (words.is_empty(), assessment.level, assessment.known_weight) {
        (false, _, _) => words.join(", "),
        (true, Level::Optimal, 0) => "nothing weighted is known".to_owned(),
        (true, Level::Optimal, _) => "everything is available".to_owned(),
        (true, _, _) => format!("score {}", assessment.score.shown()),
    }
}

/// How many dependencies a cause names.
const NAMED: usize = 3;
