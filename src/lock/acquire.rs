//! From an order to a lease.
//!
//! ```text
//!   caller ──► order, on the host's arbiter ──► session lives? ──► Acquire ──► claim ──► Lease ──► caller
//!                                                                     │                      └ gone: dropped,
//!                                                                     └ unknown: again           so given back
//! ```
//!
//! The order outlives its caller: a request that waits in the lock's queue cannot be called back,
//! so what is granted to a caller that left is given back. It carries a request id of its own, so
//! it can be sent again after an unknown outcome and find its first answer.

use std::time::Duration;

use mainstay_actors::host::{Answered, Failure, Meta, Receipt};
use mainstay_actors::lock::{
    Claim, Holder, Lock, LockCommand, LockReject, LockReply, MAX_GRANTS, MAX_WAITERS, RangeUnit,
};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{Session, SessionCommand, SessionReject};
use mainstay_journal::{Refusal, StreamId};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::lease::{Hold, Lease};
use crate::client::{Client, Unavailable, told};

/// Why there is no lease.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Someone is in the way, now or before us in the queue.
    #[error("the lock is held; wait for it, or try again in {} ms", retry_after.as_millis())]
    Held {
        /// The leases in the way.
        holders: Vec<Holder>,
        /// When the first of them ends by itself.
        retry_after: Duration,
    },
    /// The wait was over before the grant.
    #[error("the lock was not granted in time; try again in {} ms", retry_after.as_millis())]
    WaitedInVain {
        /// The leases in the way.
        holders: Vec<Holder>,
        /// When the first of them ends by itself.
        retry_after: Duration,
    },
    /// The session that should own the lease does not live.
    #[error("the session has ended; create one, or acquire without")]
    SessionEnded,
    /// The grant ended before it could be claimed: the journal was slower than the lease.
    #[error("the grant ended before it could be claimed; acquire again")]
    PassedOn,
    /// The lock is full.
    #[error("the lock has {most} {what} already; try again later")]
    Full {
        /// Leases or waiters.
        what: &'static str,
        /// How many of them it takes.
        most: usize,
    },
    /// Ranges of one lock have one unit.
    #[error("this lock's ranges count {unit:?}")]
    OtherUnit {
        /// The unit in use.
        unit: RangeUnit,
    },
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

impl AcquireError {
    fn of(reject: LockReject) -> Self {
        let ms = Duration::from_millis;
        match reject {
            LockReject::Held { holders, retry_after_ms } => {
                Self::Held { holders, retry_after: ms(retry_after_ms) }
            },
            LockReject::WaitedInVain { holders, retry_after_ms } => {
                Self::WaitedInVain { holders, retry_after: ms(retry_after_ms) }
            },
            LockReject::SessionEnded => Self::SessionEnded,
            LockReject::RequestSpent => Self::PassedOn,
            LockReject::TooManyGrants => Self::Full { what: "leases", most: MAX_GRANTS },
            LockReject::TooManyWaiters => Self::Full { what: "waiters", most: MAX_WAITERS },
            LockReject::OtherUnit { unit } => Self::OtherUnit { unit },
            LockReject::OutOfRange { field, rule } => Self::Invalid { field, rule },
            LockReject::NotHeld { .. }
            | LockReject::HeldByOther { .. }
            | LockReject::WaitNeedsRequest => Unavailable::Failed(reject.to_string()).into(),
        }
    }
}

/// Carries the order out; dropping this future leaves the order to give back what it gets.
pub(super) async fn acquire(
    client: Client,
    stream: StreamId,
    claim: Claim,
    wait_ms: u64,
    meta: Meta,
) -> Result<Lease, AcquireError> {
    let (to_caller, answer) = oneshot::channel();
    let order = Order { client: client.clone(), stream, claim, wait_ms, meta };
    client.spawn(move || order.carry_out(to_caller))?;
    let ended = |_| Unavailable::NotReady("the host has ended".to_owned());
    answer.await.map_err(ended)?
}

/// Attempts in all at one command whose outcome is unknown, and the first pause between them;
/// each later one is twice as long.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

struct Order {
    client: Client,
    stream: StreamId,
    claim: Claim,
    wait_ms: u64,
    meta: Meta,
}

impl Order {
    async fn carry_out(self, caller: oneshot::Sender<Result<Lease, AcquireError>>) {
        let outcome = self.fill(&caller).await;
        // If the caller has left, the lease is dropped here: that gives it back.
        drop(caller.send(outcome));
    }

    async fn fill(
        &self,
        caller: &oneshot::Sender<Result<Lease, AcquireError>>,
    ) -> Result<Lease, AcquireError> {
        if self.session_is_over().await? {
            return Err(AcquireError::SessionEnded);
        }
        let mut granted = self.send().await?;
        let LockReply::Lease(lease) = &granted.reply else { return Err(AcquireError::PassedOn) };
        let mut hold = Hold {
            client: self.client.clone(),
            stream: self.stream.clone(),
            token: lease.token,
            owner: self.claim.owner.to_string(),
            ttl_ms: self.claim.ttl_ms,
            given_back: false,
        };
        // A grant after a wait is claimed by asking once more; one without a wait is only told
        // again. For a caller that left it is not worth it.
        if self.wait_ms > 0 && !caller.is_closed() {
            granted = self.send().await?;
        }
        let LockReply::Lease(lease) = &granted.reply else { return Err(AcquireError::PassedOn) };
        if self.session_is_over().await? {
            // Between the check and the grant: the lease goes before it is anybody's.
            self.end_with_its_session().await?;
            hold.given_back = true;
            return Err(AcquireError::SessionEnded);
        }
        Ok(Lease::keep(hold, lease, granted.at))
    }

    /// Sends the order, and again under the same request id while its outcome is unknown.
    async fn send(&self) -> Result<Receipt<LockReply>, AcquireError> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            let answered = self.send_once().await;
            if !is_unknown(&answered) {
                return answered.map_err(|failure| told(failure, AcquireError::of));
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.send_once().await.map_err(|failure| told(failure, AcquireError::of))
    }

    async fn send_once(&self) -> Answered<Lock> {
        let acquire = LockCommand::Acquire { claim: self.claim.clone(), wait_ms: self.wait_ms };
        self.client.host.ask::<Lock>(self.stream.clone(), acquire, self.meta.clone()).await
    }

    /// Whether the session's own ruling says so.
    async fn session_is_over(&self) -> Result<bool, AcquireError> {
        let Some(session) = &self.claim.session else { return Ok(false) };
        let Some(stream) = StreamId::new(Session::KIND, session) else { return Ok(true) };
        let show = SessionCommand::Show;
        match self.client.host.ask::<Session>(stream, show, self.client.meta()).await {
            Ok(_) => Ok(false),
            Err(Failure::Rejected { .. }) => Ok(true),
            Err(failure) => {
                let failed = |no: SessionReject| Unavailable::Failed(no.to_string());
                Err(told(failure, failed).into())
            },
        }
    }

    async fn end_with_its_session(&self) -> Result<(), AcquireError> {
        let Some(session) = self.claim.session.clone() else { return Ok(()) };
        let end = LockCommand::SessionEnded { session: session.into() };
        let ended = self.client.host.ask::<Lock>(self.stream.clone(), end, self.client.meta());
        ended.await.map(drop).map_err(|failure| told(failure, AcquireError::of))
    }
}

/// Whether the same command under the same request id finds out more.
fn is_unknown(answered: &Answered<Lock>) -> bool {
    matches!(
        answered,
        Err(Failure::OutcomeUnknown(_) | Failure::Crashed | Failure::Refused(Refusal::Superseded))
    )
}
