//! Locks for a Rust service: leases that renew themselves and tell when they are lost.
//!
//! ```text
//!   client.lock("room-101").range(from..to).wait(5 s) ──acquire──► Lease ──release, drop──► free
//!                                                                    ├─ renews at a third
//!                                                                    └─ lost(): why
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `acquire` | from an order to a lease, also when the caller leaves |
//! | `keeper` | renews a lease and watches for its end |
//! | `lease` | the lease as its holder has it |
//! | `range` | what a range may count |

mod acquire;
mod keeper;
mod lease;
mod range;

pub use acquire::AcquireError;
pub use lease::{Lease, Lost, ReleaseError};
pub use range::Bound;

use std::time::Duration;

use mainstay_actors::lock::{Claim, LockCommand, LockReject, LockReply, Mode, Range};
use mainstay_actors::machine::Machine;
use mainstay_journal::StreamId;

use crate::client::{Client, Unavailable, told};
use crate::config::check_name;
use crate::session::Session;

/// One lock, and the terms under which a lease of it is wanted.
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is acquired"]
pub struct Lock {
    client: Client,
    name: String,
    mode: Mode,
    range: Option<Range>,
    wait: Duration,
    session: Option<String>,
    delay: Duration,
}

impl Lock {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self {
            client,
            name,
            mode: Mode::Exclusive,
            range: None,
            wait: Duration::ZERO,
            session: None,
            delay: Duration::ZERO,
        }
    }

    /// Together with other shared leases.
    pub fn shared(mut self) -> Self {
        self.mode = Mode::Shared;
        self
    }

    /// A part of the resource, `from..to` without `to`: integers, dates or times, one of them per
    /// lock. Leases conflict only where their ranges overlap.
    pub fn range<T: Bound>(mut self, range: std::ops::Range<T>) -> Self {
        let (from, to) = (range.start.value(), range.end.value());
        self.range = Some(Range { unit: T::UNIT, from, to });
        self
    }

    /// Waits in line for the lease, at most 10 minutes; without it a held lock is an error at
    /// once.
    pub fn wait(mut self, longest: Duration) -> Self {
        self.wait = longest;
        self
    }

    /// The lease ends with this session.
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(session.full_id());
        self
    }

    /// After an expiry nobody gets the lock for this long, at most a minute; none after a release.
    pub fn lock_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Takes a lease of `ttl` (100 ms to 7 days) for `owner` (1 to 200 bytes, no personal data).
    /// It is durable when it is here.
    ///
    /// Dropping the future gives back what is granted later.
    ///
    /// # Errors
    /// See [`AcquireError`].
    pub async fn acquire(
        self,
        owner: impl Into<String>,
        ttl: Duration,
    ) -> Result<Lease, AcquireError> {
        let stream =
            stream(&self.name).ok_or(AcquireError::Invalid { field: "name", rule: NAME_RULE })?;
        let meta = self.client.request();
        let claim = Claim {
            owner: owner.into().into(),
            session: self.session.map(Into::into),
            mode: self.mode,
            range: self.range,
            ttl_ms: ms(ttl),
            delay_ms: ms(self.delay),
            request: meta.request.as_ref().map(|(id, _)| id.clone().into()),
        };
        acquire::acquire(self.client, stream, claim, ms(self.wait), meta).await
    }

    /// Whether a token is a live lease of this lock: for the resource that is written.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn check(&self, token: u64) -> Result<bool, Unavailable> {
        // A lock that cannot be has no leases.
        let Some(stream) = stream(&self.name) else { return Ok(false) };
        let check = LockCommand::Check { token };
        let asked = self.client.host.ask::<Entity>(stream, check, self.client.meta()).await;
        let told_no = |reject: LockReject| Unavailable::Failed(reject.to_string());
        let checked = asked.map_err(|failure| told(failure, told_no))?;
        Ok(checked.reply == LockReply::Checked { valid: true })
    }

    /// Takes every lease of this lock away; returns how many there were. Those who wait are served.
    /// The reason has 1 to 200 bytes; holders read it in [`Lost::Revoked`].
    ///
    /// # Errors
    /// See [`ForceReleaseError`].
    pub async fn force_release(&self, reason: &str) -> Result<usize, ForceReleaseError> {
        let rule = NAME_RULE;
        let stream =
            stream(&self.name).ok_or(ForceReleaseError::Invalid { field: "name", rule })?;
        let force = LockCommand::ForceRelease { token: None, reason: reason.to_owned() };
        let asked = self.client.host.ask::<Entity>(stream, force, self.client.meta()).await;
        match asked.map_err(|failure| told(failure, ForceReleaseError::of))?.reply {
            LockReply::Ended { released } => Ok(released),
            _ => Ok(0),
        }
    }
}

/// The machine behind it.
type Entity = mainstay_actors::lock::Lock;

/// Why leases are not taken away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForceReleaseError {
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl ForceReleaseError {
    fn of(reject: LockReject) -> Self {
        match reject {
            LockReject::OutOfRange { field, rule } => Self::Invalid { field, rule },
            other => Unavailable::Failed(other.to_string()).into(),
        }
    }
}

/// What a lock's name must be; see [`check_name`].
const NAME_RULE: &str = "1 to 200 bytes of letters, digits and . _ : -";

fn stream(name: &str) -> Option<StreamId> {
    check_name(name).ok()?;
    StreamId::new(Entity::KIND, name)
}

/// Whole milliseconds; what does not fit is out of every range.
pub(crate) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
