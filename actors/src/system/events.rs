//! What happens to the system. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};

use super::operations::{BackupFailed, BackupMade, BackupsResumed, BackupsStalled, DrillCompleted};
use crate::codec::events;
use crate::dependency::Mode;
use crate::health::Level;
use crate::rate::Score;
use crate::time::Timestamp;

events! {
    /// What happens to the system.
    SystemEvent {
        0x0001 v 1 Booted,
        0x0002 v 1 LevelChanged,
        0x0003 v 1 MonthsDropped,
        0x0004 v 1 Restored,
        0x0005 v 1 Attested,
        0x0006 v 1 AttestationWithdrawn,
        0x0007 v 1 BackupMade,
        0x0008 v 1 BackupFailed,
        0x0009 v 1 BackupsStalled,
        0x000a v 1 BackupsResumed,
        0x000b v 1 DrillCompleted,
    }
}

/// The server started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booted {
    /// Counts from 1.
    pub boot: u64,
    /// Of mainstay.
    pub version: String,
    /// When.
    pub at: Timestamp,
}

/// Health has another level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelChanged {
    /// The level before.
    pub from: Level,
    /// The level from now on.
    pub to: Level,
    /// When.
    pub at: Timestamp,
    /// The score behind it.
    pub score: Score,
    /// Weight of the dependencies whose score is known.
    pub known_weight: u64,
    /// In words: `database is open`.
    pub cause: String,
    /// What each weighted dependency said.
    pub dependencies: Vec<DependencyFact>,
}

/// The first months leave the journal: their records lie in an archive, every stream's state at their
/// end lies beside the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthsDropped {
    /// The last position that leaves.
    pub upto: u64,
    /// SHA-256 over the index of the states, in hexadecimal: it covers all of them.
    pub states: String,
    /// When.
    pub at: Timestamp,
}

/// The journal was restored from a backup: what came behind the fork is another history. Leases and
/// sessions from before it are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Epoch of the last event that was restored.
    pub fork_epoch: u32,
    /// Its position; 0 if nothing was.
    pub fork_position: u64,
    /// Which backup; no credentials.
    pub source: String,
    /// When: the fence. It lies behind the floor.
    pub at: Timestamp,
    /// No time and no fencing token of the history that was left lies above this.
    pub floor: Timestamp,
}

/// One dependency at the moment of a level change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyFact {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// Its score; `None` while unknown.
    pub score: Option<Score>,
    /// Its breaker.
    pub mode: Mode,
}

/// Somebody vouches for what no machine can check; the envelope says who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// Which item of the preflight: `documents.runbooks`.
    pub item: String,
    /// Where the evidence is: a URL.
    pub evidence: String,
    /// The version of mainstay it is for; it says nothing of another.
    pub release: String,
    /// When.
    pub at: Timestamp,
    /// It holds until then.
    pub until: Timestamp,
}

/// Nobody vouches for it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationWithdrawn {
    /// Which item of the preflight.
    pub item: String,
    /// When.
    pub at: Timestamp,
}
