//! What happens to a lock. Every struct here is frozen: a change is a new schema version.

use serde::{Deserialize, Serialize};

use super::{Claim, LockReject};
use crate::codec::events;
use crate::time::Timestamp;

events! {
    /// What happens to a lock.
    LockEvent {
        0x0301 v 1 LeaseGranted,
        0x0302 v 1 LeaseRenewed,
        0x0303 v 1 LeaseClaimed,
        0x0304 v 1 LeaseReleased,
        0x0305 v 1 LeaseExpired,
        0x0306 v 1 LeaseRevoked,
        0x0307 v 1 LeaseExtended,
        0x0308 v 1 WaiterQueued,
        0x0309 v 1 WaiterLeft,
        0x030a v 2 RefusalRecorded <- 1 RefusalRecordedV1,
        0x030b v 1 LeasesFenced,
    }
}

/// A lease began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGranted {
    /// The fencing token, higher than every one before.
    pub token: u64,
    /// Who asked and under which terms.
    pub claim: Claim,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// For a waiter's grant: when it passes on unless it is claimed.
    pub claim_by: Option<Timestamp>,
}

/// A lease was prolonged by its holder; a waiter's grant is claimed by it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRenewed {
    /// The lease.
    pub token: u64,
    /// Its new end.
    pub expires_at: Timestamp,
    /// Its length from now on, in milliseconds.
    pub ttl_ms: u64,
}

/// A waiter came for its grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseClaimed {
    /// The lease.
    pub token: u64,
}

/// A lease was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReleased {
    /// The lease.
    pub token: u64,
    /// `None` by its holder; else the session whose end did it.
    pub session: Option<String>,
}

/// A lease ran out, or its waiter did not claim it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseExpired {
    /// The lease.
    pub token: u64,
    /// It was a waiter's grant that nobody claimed.
    pub unclaimed: bool,
    /// Nothing is granted before this.
    pub delayed_until: Option<Timestamp>,
}

/// A lease was taken away by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRevoked {
    /// The lease.
    pub token: u64,
    /// Why.
    pub reason: String,
}

/// After a restart: leases that were alive get time to be renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseExtended {
    /// Which start of the server.
    pub boot: u64,
    /// Tokens and their new ends.
    pub leases: Vec<(u64, Timestamp)>,
    /// Waiters' grants among them that nobody has claimed pass on at this moment.
    pub claim_by: Timestamp,
}

/// A request waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiterQueued {
    /// Who asked and under which terms.
    pub claim: Claim,
    /// When it gives up.
    pub deadline: Timestamp,
}

/// A request waits no more, without a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiterLeft {
    /// Its request id.
    pub request: String,
    /// Why it left.
    pub why: LeftBecause,
}

/// Why a waiter left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftBecause {
    /// Its wait was over.
    Deadline,
    /// Its session ended.
    SessionEnded,
}

/// A renew or release with the wrong owner, or with a token that is no live lease; at most one a
/// second is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRecorded {
    /// The token that was shown.
    pub token: u64,
    /// Who claimed to hold it.
    pub owner: String,
    /// What was tried: `renew` or `release`.
    pub command: String,
    /// What was wrong.
    pub because: RefusedFor,
    /// When.
    pub at: Timestamp,
}

/// What was wrong with a renew or a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedFor {
    /// The lease is another owner's.
    Owner,
    /// The token is no live lease: its time is over, or it never was one.
    Token,
}

/// Every lease and every waiter is over, for the journal was restored since: who held them may have
/// lost them behind the fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasesFenced {
    /// When the journal was restored.
    pub at: Timestamp,
    /// The leases, oldest first.
    pub tokens: Vec<u64>,
    /// How many waited.
    pub waiters: u32,
}

/// Schema 1 of [`RefusalRecorded`], of when only wrong owners were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusalRecordedV1 {
    token: u64,
    owner: String,
    command: String,
    at: Timestamp,
}

impl RefusedFor {
    /// What the one who showed the token is told.
    pub(crate) const fn reject(self, token: u64) -> LockReject {
        match self {
            Self::Owner => LockReject::HeldByOther { token },
            Self::Token => LockReject::NotHeld { token },
        }
    }
}

impl From<RefusalRecordedV1> for RefusalRecorded {
    fn from(older: RefusalRecordedV1) -> Self {
        let RefusalRecordedV1 { token, owner, command, at } = older;
        Self { token, owner, command, because: RefusedFor::Owner, at }
    }
}
