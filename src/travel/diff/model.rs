//! A difference as a value: what the HTTP answer and `--json` show.

use mainstay_actors::dependency::{DependencyState, Mode};
use mainstay_actors::health::Level;
use mainstay_actors::lock;
use mainstay_actors::rate::Score;
use mainstay_actors::session::EndReason;
use mainstay_actors::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::travel::Place;

/// What changed between two moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Diff {
    /// The earlier moment.
    pub from: Place,
    /// The later one.
    pub to: Place,
    /// The stream, if it is about one only.
    pub stream: Option<String>,
    /// Events between them.
    pub events: u64,
    /// Starts of the server.
    pub starts: Few<Step>,
    /// Restores from a backup.
    pub restores: Few<Step>,
    /// The global level.
    pub health: HealthDiff,
    /// Dependencies that were configured, retired, observed or moved.
    pub dependencies: Few<DependencyDiff>,
    /// Locks that changed hands.
    pub locks: Few<LockDiff>,
    /// Sessions, by count and the first few by name.
    pub sessions: SessionsDiff,
    /// What happened to subjects.
    pub subjects: Few<Step>,
}

/// The first of many, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Few<T> {
    /// The first.
    pub shown: Vec<T>,
    /// How many more.
    pub more: u64,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { shown: Vec::new(), more: 0 }
    }
}

impl<T> Few<T> {
    /// Keeps one, or counts it.
    pub(crate) fn push(&mut self, one: T, most: usize) {
        if self.shown.len() < most {
            self.shown.push(one);
        } else {
            self.more += 1;
        }
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.more == 0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shown.len() as u64 + self.more
    }
}

/// An event on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Step {
    /// When it was decided.
    pub at: Timestamp,
    /// Where it lies.
    pub position: u64,
    /// What happened: `BreakerOpened`.
    #[serde(rename = "type")]
    pub name: String,
    /// Who asked for it.
    pub principal: String,
    /// In words.
    pub text: String,
    /// The event's own fields.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub data: Value,
}

/// The level before and after, and its changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HealthDiff {
    /// At the earlier moment.
    pub before: Level,
    /// At the later one.
    pub after: Level,
    /// On the way.
    pub changes: Few<Step>,
}

/// One dependency before and after, and its moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct DependencyDiff {
    /// Its name.
    pub name: String,
    /// `null` while it is not configured, or retired.
    pub before: Option<DependencyBrief>,
    /// The same at the later moment.
    pub after: Option<DependencyBrief>,
    /// Configured, retired, moved, crossed.
    pub moves: Few<Step>,
    /// Calls that were observed on the way.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
}

/// A dependency at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct DependencyBrief {
    /// The breaker.
    pub state: Mode,
    /// Its weight.
    pub weight: u32,
    /// Whole points; absent while unknown or disabled.
    pub score: Option<Score>,
}

impl DependencyBrief {
    pub(super) fn of(state: &DependencyState) -> Option<Self> {
        let settings = state.settings.as_ref().filter(|_| !state.retired)?;
        let (mode, weight) = (state.breaker.mode, settings.weight);
        Some(Self { state: mode, weight, score: state.score() })
    }
}

/// One lock: who held it, from when to when, and why no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LockDiff {
    /// Its name.
    pub name: String,
    /// Who held it at the earlier moment.
    pub before: Vec<String>,
    /// Who holds it at the later one.
    pub after: Vec<String>,
    /// Every lease that lived on the way.
    pub leases: Few<LeaseTale>,
    /// Who waited in vain, or waits still.
    pub waits: Few<WaitTale>,
    /// Attempts with another's lease.
    pub refusals: Few<Step>,
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct LeaseTale {
    /// Who held it.
    pub owner: String,
    /// Its fencing token.
    pub token: u64,
    /// The session that owned it.
    pub session: Option<String>,
    /// Alone or together.
    pub mode: lock::Mode,
    /// A part of the resource.
    pub range: Option<lock::Range>,
    /// Since when its holder had waited, if it had, and got it on the way.
    pub waited_since: Option<Timestamp>,
    /// When it was granted.
    pub from: Option<Timestamp>,
    /// How often it was renewed on the way.
    pub renewals: u64,
    /// When it ends unless it is renewed, as last known.
    pub expires_at: Timestamp,
    /// When it ended; `null` while it lives.
    pub to: Option<Timestamp>,
    /// Why it ended.
    pub ended: Option<LeaseEnd>,
    /// The event that ended it, else the one that granted it, if that is on the way.
    pub position: Option<u64>,
}

/// Why a lease ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum LeaseEnd {
    /// Its holder gave it back.
    Released,
    /// Its session ended.
    SessionEnded {
        /// `{tenant}/{id}`.
        session: String,
    },
    /// It ran out.
    Expired,
    /// A waiter's grant that nobody claimed.
    Unclaimed,
    /// It was taken away by hand.
    Revoked {
        /// Why.
        reason: String,
        /// By whom.
        principal: String,
    },
    /// The journal was restored from a backup.
    Restored,
}

/// One request that waited and got nothing, or waits still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WaitTale {
    /// Who waits.
    pub owner: String,
    /// Since when.
    pub from: Option<Timestamp>,
    /// When it gives up.
    pub deadline: Timestamp,
    /// When it left; `null` while it waits.
    pub to: Option<Timestamp>,
    /// Its session ended, and not its patience.
    pub session_ended: bool,
    /// The journal was restored from a backup.
    pub restored: bool,
    /// Its request id.
    pub request: String,
    /// The event by which it left, else the one by which it came, if that is on the way.
    pub position: Option<u64>,
}

/// Sessions between two moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionsDiff {
    /// How many lived at the earlier moment.
    pub live_before: u64,
    /// How many live at the later one.
    pub live_after: u64,
    /// Used or changed on the way.
    pub touched: u64,
    /// Ended by their caller.
    pub ended_by_caller: u64,
    /// Ran out unused.
    pub ran_out: u64,
    /// Reached their greatest age.
    pub reached_max_age: u64,
    /// Ended because their subject was erased.
    pub erased: u64,
    /// Ended because the journal was restored.
    pub restored: u64,
    /// The first that began.
    pub created: Few<SessionTale>,
    /// The first that ended.
    pub ended: Few<SessionTale>,
}

/// A session that began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionTale {
    /// `{tenant}/{id}`.
    pub id: String,
    /// Whom it is about.
    pub subject: String,
    /// When it began or ended.
    pub at: Timestamp,
    /// How it ended.
    pub reason: Option<EndReason>,
}
