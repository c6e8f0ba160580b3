//! Makes a large journal as a busy year would leave it: real machines decide every event.
//!
//! ```text
//!   chance (seed) ─► crowd: who does what when ─► decide, apply ─► feeder ─► LocalLog
//!                      ▲ agenda: renewals, expiries, ends              └► segments + store
//!                      └──────────────┘
//! ```
//!
//! | of the entities | share | live at the end |
//! |---|---|---|
//! | sessions | 4 in 5 | the asked share: 30 days of TTL, patched and touched all along |
//! | locks | 1 in 5 | few: leases of up to 7 days |
//! | dependencies, system | 24 + 2 | all |
//!
//! The same plan gives the same events: seed and end are arguments. Nothing goes through actors,
//! so it is as fast as the journal; nothing is made up either, so every event folds.

#[path = "generate/chance.rs"]
mod chance;
#[path = "generate/crowd.rs"]
mod crowd;
#[path = "generate/feeder.rs"]
mod feeder;
#[path = "generate/leases.rs"]
mod leases;
#[path = "generate/traffic.rs"]
mod traffic;

use std::path::Path;

use crowd::Crowd;
use feeder::Feeder;

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many events; the last decision may add a few.
    pub(crate) events: u64,
    /// Sessions and locks together.
    pub(crate) entities: u64,
    /// How many of a hundred sessions live at the end.
    pub(crate) live_percent: u64,
    /// The time from the first event to the last.
    pub(crate) days: u64,
    /// When the last event happens, in microseconds since the Unix epoch.
    pub(crate) until_us: u64,
    pub(crate) seed: u64,
}

/// What was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) events: u64,
    pub(crate) sessions_live: u64,
    pub(crate) sessions_over: u64,
    pub(crate) locks_held: u64,
    pub(crate) locks_free: u64,
}

/// Fills an empty directory; returns when segments and store are complete and closed.
pub(crate) fn generate(directory: &Path, plan: &Plan) -> Made {
    let feeder = Feeder::open(directory, plan.seed);
    let mut crowd = Crowd::new(*plan, feeder);
    while crowd.turn() {}
    crowd.close()
}
