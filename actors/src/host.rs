//! The actors that run the machines, on one arbiter of their own.
//!
//! ```text
//!   any thread ── Host (Send + Sync) ──► Reception ─► Registry ─► EntityActor<M> ─► Outbox ─► log
//!                        │                                             ▲              │
//!                        ├──► GateKeeper (permits, outcomes)        Timers        Settler ◄─ sync
//!                        └──► Supervisor (health, lists)               │              │
//!                                     Views (durable facts) ◄──────────┴──────────────┘
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `archivist`, `base`, `begun` | what an archive keeps of streams, and what begins there |
//! | `batch` | many commands in one message |
//! | `boot` | from a closed journal to ready |
//! | `recovery`, `checkpoint`, `checkpoints`, `due` | what a start folds, and what it need not |
//! | `clock` | the one `now()` |
//! | `entity`, `life`, `alarm`, `loaded`, `ledger` | one generic actor, its state, its fold, its memory of requests |
//! | `handle` | the way in, from any thread |
//! | `registry`, `residents`, `permits`, `seeds` | stream → actor: who is there, who goes, who may come |
//! | `keys` | who may come in, for every thread |
//! | `faults` | the faults that run, for every thread |
//! | `moves` | the moves of breakers, for whoever listens |
//! | `limits` | every bound |
//! | `outbox` | appends in order, and what waits for each |
//! | `ticks` | the time, for callers of gates |
//! | `timers` | one deadline queue |
//! | `views` | folds of durable facts |
//! | `gates` | the breakers' volatile half |
//! | `erasure` | a subject is forgotten: its key, then its sessions |
//! | `follow` | who is told that a lease has ended |
//! | `reactor` | a session's end releases its locks |
//! | `restore` | the record of a restore, and the fence that follows from it |
//! | `supervisor` | global health |

mod alarm;
mod archivist;
mod base;
mod batch;
mod begun;
mod boot;
mod checkpoint;
mod checkpoints;
mod clock;
mod due;
mod entity;
mod erasure;
mod faults;
mod follow;
mod gates;
mod handle;
mod keys;
mod ledger;
mod life;
mod limits;
mod loaded;
mod message;
mod moves;
mod outbox;
mod permits;
mod reactor;
mod recovery;
mod registry;
mod residents;
mod restore;
mod seeds;
mod supervisor;
mod ticks;
mod timers;
mod views;

pub use archivist::Archivist;
pub use base::{BaseError, begin_stream, begin_world};
pub use batch::Batch;
pub use begun::{Begun, sessions_begun, sessions_ever};
pub use clock::{Clock, ClockBehind, MAX_AHEAD_MS};
pub use erasure::{NoKeys, SubjectKeys};
pub use faults::{Faults, Running, Struck};
pub use follow::LeaseEnd;
pub use handle::Host;
pub use keys::Keys;
pub use limits::Limits;
pub use message::{Answered, Failure, Meta, Receipt};
pub use moves::{Heard, Move, Moves};
pub use restore::{Fence, Restore, record_restore};
pub use supervisor::{DependencyView, HealthView, Occupancy};
pub use views::{Hosted, Views, tags, tenant_of_lock};

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;
use mainstay_journal::{EventLog, OpenError, ReadError, Sink};
use serde::Serialize;

use crate::dependency::Settings;
use crate::time::Timestamp;

/// Opens the journal with the host's sink; runs off the arbiter and may take long.
pub type OpenLog = Box<dyn FnOnce(Box<dyn Sink>) -> Result<Arc<dyn EventLog>, StartError> + Send>;

/// Why a host does not start; each text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Acknowledged events are damaged, and the other copy could not give them.
    #[error("{0}")]
    Damaged(String),
    /// The key of its blocks is not at hand.
    #[error("{0}")]
    Sealed(String),
    /// The journal, the clock or the machine said no.
    #[error("{0}")]
    Refused(String),
}

impl StartError {
    /// As [`Readiness`] tells it.
    pub(crate) fn told(&self) -> Readiness {
        let cause = match self {
            Self::Damaged(_) => FailedStart::Damaged,
            Self::Sealed(_) => FailedStart::Sealed,
            Self::Refused(_) => FailedStart::Refused,
        };
        Readiness::Failed { reason: self.to_string(), cause }
    }

    /// From what [`Readiness`] told.
    pub(crate) fn of(cause: FailedStart, reason: &str) -> Self {
        match cause {
            FailedStart::Damaged => Self::Damaged(reason.to_owned()),
            FailedStart::Sealed => Self::Sealed(reason.to_owned()),
            FailedStart::Refused => Self::Refused(reason.to_owned()),
        }
    }
}

impl From<String> for StartError {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { .. } | OpenError::Base { .. } => Self::Damaged(error.to_string()),
            OpenError::Sealed { .. } => Self::Sealed(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<ReadError> for StartError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } | ReadError::Base { .. } => Self::Damaged(error.to_string()),
            ReadError::Archived(_) | ReadError::Io(_) => Self::Refused(error.to_string()),
        }
    }
}

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The dependencies of the configuration, by name.
    pub dependencies: BTreeMap<String, Settings>,
    /// Whether dependencies of an earlier configuration that are not named here are retired.
    pub retire: bool,
    /// Health rises only after a better level has held this long, in milliseconds.
    pub recover_after_ms: u64,
    /// Continue a journal that is over an hour ahead of the wall clock.
    pub accept_clock: bool,
    /// The wall clock at the start, in place of the machine's: where the same start must give the
    /// same times again.
    pub wall: Option<Timestamp>,
    /// Of the program, for the record of the start.
    pub version: String,
    /// For jitter; any number.
    pub seed: u64,
    /// Every bound.
    pub limits: Limits,
    /// Where the keys of subjects lie.
    pub subject_keys: Arc<dyn SubjectKeys>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            dependencies: BTreeMap::new(),
            retire: true,
            recover_after_ms: 10_000,
            accept_clock: false,
            wall: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: 0,
            limits: Limits::default(),
            subject_keys: Arc::new(NoKeys),
        }
    }
}

/// How far a host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Readiness {
    /// The journal is being opened.
    Opening,
    /// The journal is being folded.
    Recovering {
        /// Records folded.
        done: u64,
        /// Records in all.
        total: u64,
    },
    /// Commands are taken.
    Ready,
    /// No more commands are taken.
    Draining,
    /// The start failed, or the host has ended.
    Failed {
        /// Why.
        reason: String,
        /// Of which kind that is.
        cause: FailedStart,
    },
}

/// Of which kind the reason is that a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedStart {
    /// Acknowledged events are damaged.
    Damaged,
    /// The key of the journal's blocks is not at hand.
    Sealed,
    /// Another.
    Refused,
}

impl std::fmt::Display for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Opening => f.write_str("opening the journal"),
            Self::Recovering { done, total } => write!(f, "recovering, {done} of {total} events"),
            Self::Ready => f.write_str("ready"),
            Self::Draining => f.write_str("draining"),
            Self::Failed { reason, .. } => f.write_str(reason),
        }
    }
}

/// The ways into a running host.
pub(crate) struct Doors {
    reception: Addr<registry::Reception>,
    keeper: Addr<gates::GateKeeper>,
    supervisor: Addr<supervisor::Supervisor>,
    settler: Addr<outbox::Settler>,
    log: Arc<dyn EventLog>,
    clock: Clock,
    limits: Limits,
    unreadable: u64,
    keys: Keys,
    faults: Faults,
    moves: moves::Listening,
}
