//! Every bound of a host. What is over one gets an answer that names it, and is never dropped.

use serde::Serialize;

/// The bounds; see each for its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Entities in memory; one more lets an idle one go to its journal. What is under way is never
    /// let go, so a burst may be over it for a while. Default: 65,536.
    pub residents: usize,
    /// Entities that are folded from the journal at once; the others wait. Default: 64.
    pub recovery_permits: usize,
    /// Commands that an entity queues. Default: 256.
    pub mailbox: usize,
    /// Commands, permits and outcomes that wait at the host's doors, each. Default: 4,096.
    pub doors: usize,
    /// Appends on their way to the disk. Default: 4,096.
    pub in_flight: usize,
    /// An entity's state is kept in the store after so many events. Default: 64.
    pub snapshot_events: u64,
    /// What a start needs is kept after so many events, so that it folds at most about these; 0
    /// keeps nothing. Default: 500,000.
    pub checkpoint_events: u64,
    /// Leases that get their time to be renewed before a start is ready; the others get it when
    /// they are asked for, or at their end. Default: 4,096.
    pub leases_at_start: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            residents: 65_536,
            recovery_permits: 64,
            mailbox: 256,
            doors: 4_096,
            in_flight: 4_096,
            snapshot_events: 64,
            checkpoint_events: 500_000,
            leases_at_start: 4_096,
        }
    }
}
