//! A lock on a resource: leases with fencing tokens, FIFO waiters, ranges, shared mode.
//!
//! ```text
//!   Acquire ──► LeaseGranted ──► LeaseRenewed* ──► LeaseReleased | LeaseExpired | LeaseRevoked
//!      │  conflict, wait_ms            ▲
//!      └──► WaiterQueued ──► LeaseGranted with claim_by ──► LeaseClaimed | LeaseExpired
//!                        └─► WaiterLeft (deadline, session ended)
//!   after a restore: LeasesFenced, which ends all of them
//! ```

mod decide;
mod draft;
mod events;
mod fold;
mod range;
mod view;

pub use events::{
    LeaseClaimed, LeaseExpired, LeaseExtended, LeaseGranted, LeaseReleased, LeaseRenewed,
    LeaseRevoked, LeasesFenced, LeftBecause, LockEvent, RefusalRecorded, RefusedFor, WaiterLeft,
    WaiterQueued,
};
pub use view::{Holder, LockView, WaiterView};

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::machine::{Again, Context, Decision, Illegal, Machine, Restart};
use crate::time::Timestamp;

/// Most waiters a lock queues.
pub const MAX_WAITERS: usize = 1_000;
/// Most live grants a lock holds (shared or on ranges).
pub const MAX_GRANTS: usize = 1_000;
/// Shortest and longest lease, in milliseconds.
pub const TTL_MS: std::ops::RangeInclusive<u64> = 100..=7 * 24 * 3_600 * 1_000;
/// Longest wait for a lease, in milliseconds.
pub const MAX_WAIT_MS: u64 = 10 * 60 * 1_000;
/// Longest lock delay, in milliseconds.
pub const MAX_DELAY_MS: u64 = 60_000;
/// A grant to a waiter must be claimed within this, or within its TTL if that is shorter.
pub const CLAIM_MS: u64 = 5_000;
/// After a restart a live lease lasts at least this long, or its TTL if that is shorter.
pub const RECOVERY_GRACE_MS: u64 = 10_000;
/// Longest lock name or owner, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// The deadline of a waiter whose session has ended, until it leaves: before all time.
const SESSION_ENDED: Timestamp = Timestamp::from_micros(0);

/// The machine of one lock; its stream is `lock/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {}

/// What a lock's stream folds to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LockState {
    /// The highest token ever granted; tokens only rise.
    pub last_token: u64,
    /// The unit of the lock's ranges, once one was used.
    pub unit: Option<RangeUnit>,
    /// Live grants, oldest first; mostly there is one at most.
    pub grants: SmallVec<[Grant; 1]>,
    /// Who waits, in order.
    pub waiters: VecDeque<Waiter>,
    /// Nothing is granted before this: `lock_delay` after an expiry.
    pub delayed_until: Option<Timestamp>,
    /// When another owner's attempt was last recorded; they are rate-limited.
    pub refusal_at: Option<Timestamp>,
    /// The same of a token that was no live lease: neither hides the other.
    pub stale_at: Option<Timestamp>,
    /// The boot that last extended the leases.
    pub recovered_boot: u64,
}

impl LockState {
    /// Whether it has a lease or a waiter, swept or not.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        !self.grants.is_empty() || !self.waiters.is_empty()
    }
}

/// A live lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// The fencing token.
    pub token: u64,
    /// Who asked and under which terms.
    pub claim: Claim,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// A waiter's grant must be claimed by then.
    pub claim_by: Option<Timestamp>,
}

/// A queued request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiter {
    /// Who asked and under which terms; it has a request id.
    pub claim: Claim,
    /// When it gives up; before all time once its session has ended.
    pub deadline: Timestamp,
}

/// Who wants the lock, and how. Part of events: its layout is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The holder to be.
    pub owner: SmolStr,
    /// A session whose end releases the lease: `{tenant}/{id}`.
    pub session: Option<SmolStr>,
    /// Alone or together.
    pub mode: Mode,
    /// A part of the resource; `None` is all of it.
    pub range: Option<Range>,
    /// The lease's length in milliseconds; it starts at the grant.
    pub ttl_ms: u64,
    /// After an expiry nobody gets the lock for this long, in milliseconds.
    pub delay_ms: u64,
    /// The request id, scoped by its principal.
    pub request: Option<SmolStr>,
}

/// Alone or together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LockMode))]
pub enum Mode {
    /// In conflict with every overlapping lease.
    #[default]
    Exclusive,
    /// In conflict with exclusive ones only.
    Shared,
}

/// A half-open range `[from, to)` of a resource.
/// In JSON its bounds are what they count: integers, dates, or RFC 3339 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// What the bounds count; one unit per lock.
    pub unit: RangeUnit,
    /// First value inside.
    pub from: i64,
    /// First value outside.
    pub to: i64,
}

/// What the bounds of a range count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeUnit {
    /// Plain integers.
    Integers,
    /// Days since 1970-01-01.
    Dates,
    /// Microseconds since the Unix epoch.
    Times,
}

impl Range {
    /// Whether two ranges share a value.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// What can be asked of a lock.
#[derive(Debug, Clone, PartialEq)]
pub enum LockCommand {
    /// Take a lease now, or wait for one. The claim's request is that of the context.
    Acquire {
        /// Who and how.
        claim: Claim,
        /// How long to wait for it, in milliseconds; 0 does not wait.
        wait_ms: u64,
    },
    /// Prolong a lease; also claims a waiter's grant.
    Renew {
        /// The lease.
        token: u64,
        /// Its holder.
        owner: String,
        /// Another length from now on, in milliseconds.
        ttl_ms: Option<u64>,
    },
    /// Give a lease back.
    Release {
        /// The lease.
        token: u64,
        /// Its holder.
        owner: String,
    },
    /// Take leases away: one by its token, or all.
    ForceRelease {
        /// One lease only.
        token: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Is this token a live lease? For the resource that is written. Records nothing.
    Check {
        /// The token it was shown.
        token: u64,
    },
    /// Show holders and waiters. Records nothing.
    Show,
    /// A session ended: its leases and waiting requests end too.
    SessionEnded {
        /// `{tenant}/{id}`.
        session: String,
    },
    /// The first command after a restart: leases alive at the last journaled time get time to be
    /// renewed, counted from the restart, once a boot. It expires nothing first: send it before
    /// any other command of this boot. See [`Machine::recover`].
    Recover(Restart),
    /// The first command after a restore: every lease and waiter is over, whether it has run out or
    /// not. See [`Machine::recover`].
    Fence {
        /// When the journal was restored.
        at: Timestamp,
    },
    /// A deadline has come.
    Due,
}

/// What a lock answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LockReply {
    /// A lease, granted, renewed or claimed.
    Lease(Lease),
    /// How many leases ended.
    Ended {
        /// How many.
        released: usize,
    },
    /// The answer to `Check`.
    Checked {
        /// Exactly the tokens of live grants are valid.
        valid: bool,
    },
    /// The answer to `Show`: live leases and waiters at that moment.
    State(LockView),
    /// A timer or a rule between entities has done its work.
    Done,
}

/// A lease as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lease {
    /// The fencing token: pass it to the resource with every write.
    pub token: u64,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// The same as a distance, for holders with another clock.
    pub expires_in_ms: u64,
}

impl Grant {
    /// When it ends unless its holder does something.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.claim_by.map_or(self.expires_at, |claim_by| claim_by.min(self.expires_at))
    }
}

/// Why a lock says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum LockReject {
    /// Someone is in the way, now or before us in the queue.
    #[error("the lock is held")]
    Held {
        /// The leases in the way.
        holders: Vec<Holder>,
        /// When the first of them ends by itself, in milliseconds from now.
        retry_after_ms: u64,
    },
    /// The wait was over before the grant.
    #[error("the lock was not granted within wait_ms")]
    WaitedInVain {
        /// The leases in the way.
        holders: Vec<Holder>,
        /// When the first of them ends by itself, in milliseconds from now.
        retry_after_ms: u64,
    },
    /// The token is no live lease: released, expired, revoked, or of another lock. To renew or
    /// release by it is recorded, on a lock that ever had a lease.
    #[error("token {token} is no live lease of this lock")]
    NotHeld {
        /// The token shown.
        token: u64,
    },
    /// The lease is another's. The attempt is recorded.
    #[error("token {token} belongs to another owner")]
    HeldByOther {
        /// The token shown.
        token: u64,
    },
    /// This request had its grant, and it has ended.
    #[error("this request's lease has ended; use a new Idempotency-Key to acquire again")]
    RequestSpent,
    /// Waiting needs a request id, so that the grant can be claimed after a lost connection.
    #[error("waiting needs an Idempotency-Key")]
    WaitNeedsRequest,
    /// The session behind the request has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The queue is full.
    #[error("the lock has {MAX_WAITERS} waiters already")]
    TooManyWaiters,
    /// The grants are full.
    #[error("the lock has {MAX_GRANTS} leases already")]
    TooManyGrants,
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// Ranges of one lock have one unit.
    #[error("this lock's ranges count {unit:?}")]
    OtherUnit {
        /// The unit in use.
        unit: RangeUnit,
    },
}

impl Machine for Lock {
    const KIND: &'static str = "lock";
    const LAYOUT: u16 = 2;
    type State = LockState;
    type Command = LockCommand;
    type Event = LockEvent;
    type Reply = LockReply;
    type Reject = LockReject;

    fn decide(
        state: &LockState,
        command: LockCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, LockReject> {
        decide::decide(state, command, context)
    }

    fn fold(state: &mut LockState, event: &LockEvent) -> Result<(), Illegal> {
        fold::fold(state, event)
    }

    fn deadline(state: &LockState) -> Option<Timestamp> {
        fold::deadline(state)
    }

    fn due() -> LockCommand {
        LockCommand::Due
    }

    fn recover(state: &LockState, restart: Restart) -> Option<LockCommand> {
        match restart.fence {
            Some(at) => state.is_in_use().then_some(LockCommand::Fence { at }),
            None => {
                decide::is_to_be_extended(state, restart).then_some(LockCommand::Recover(restart))
            },
        }
    }

    fn answer_again(
        state: &LockState,
        request: &str,
        events: &[LockEvent],
        now: Timestamp,
    ) -> Again<Self> {
        decide::answer_again(state, request, events, now)
    }
}
