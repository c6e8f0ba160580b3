//! A lease as its holder has it.
//!
//! ```text
//!   granted ──► held ──renewed at a third──► held ──► released (release, drop)
//!                 └──► lost: expired, revoked, its session ended, closed
//! ```
//!
//! It is never held after its end by the host's clock, whatever the journal says or does not say.

use std::fmt;
use std::time::Duration;

use mainstay_actors::lock::{self, LockCommand, LockReject};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, StreamId};
use tokio::sync::{oneshot, watch};

use super::keeper::Keeper;
use crate::client::{Client, Unavailable, told};

/// Why a lease is held no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// It was given back: by its holder, or elsewhere with its token and owner.
    #[error("the lease was released")]
    Released,
    /// It ran out before it was renewed.
    #[error("the lease has expired")]
    Expired,
    /// It could not be renewed for as long as it lived.
    #[error("the lease has expired; it could not be renewed: {reason}")]
    NotRenewed {
        /// Why the last attempt failed.
        reason: String,
    },
    /// An operator took it away.
    #[error("the lease was revoked: {reason}")]
    Revoked {
        /// In the operator's words.
        reason: String,
    },
    /// The session that it belongs to has ended.
    #[error("the lease ended with its session")]
    SessionEnded {
        /// `{tenant}/{id}`.
        session: String,
    },
    /// The mainstay was closed: nobody renews it any more.
    #[error("the mainstay is closed and renews no lease")]
    Closed,
}

/// Why a lease is not given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// There was nothing to give back: it had ended before.
    #[error("the lease had ended before: {0}")]
    Lost(Lost),
    /// Nothing was decided; it is tried again in the background until the lease has run out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// How a lease stands; the keeper's word.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) expires_at: Timestamp,
    pub(super) cursor: Cursor,
    pub(super) renewals: u64,
    pub(super) lost: Option<Lost>,
}

/// A live lease. It renews itself at a third of its TTL; dropping it gives it back.
///
/// Pass [`Lease::token`] to the resource with every write, and stop when it is [lost](Lease::lost).
#[must_use = "dropping a lease gives it back"]
pub struct Lease {
    hold: Hold,
    standing: watch::Receiver<Standing>,
    /// The keeper works for as long as this is here.
    _kept: oneshot::Sender<()>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("lock", &self.name())
            .field("owner", &self.owner())
            .field("token", &self.token())
            .field("standing", &*self.standing.borrow())
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// Starts to keep a lease that was just granted; runs on the host's arbiter.
    pub(super) fn keep(hold: Hold, granted: &lock::Lease, cursor: Cursor) -> Self {
        let expires_at = granted.expires_at;
        let (tell, standing) =
            watch::channel(Standing { expires_at, cursor, renewals: 0, lost: None });
        let (kept, is_kept) = oneshot::channel();
        let keeper = Keeper {
            client: hold.client.clone(),
            stream: hold.stream.clone(),
            token: hold.token,
            owner: hold.owner.clone(),
            ttl_ms: hold.ttl_ms,
            granted: cursor,
            standing: tell,
        };
        drop(tokio::task::spawn_local(keeper.run(is_kept)));
        Self { hold, standing, _kept: kept }
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.hold.stream.id()
    }

    /// Who holds it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.hold.owner
    }

    /// The fencing token: higher than every one before it on this lock.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.hold.token
    }

    /// When it ends unless it is renewed once more, by the host's clock.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.standing.borrow().expires_at
    }

    /// The durable place of its grant or newest renewal.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.standing.borrow().cursor
    }

    /// Whether it is held at this moment. It may be lost the next one: only the token is proof.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let closed = self.standing.has_changed().is_err();
        let standing = self.standing.borrow();
        let now = self.hold.client.host.now();
        !closed && standing.lost.is_none() && now.is_some_and(|now| now < standing.expires_at)
    }

    /// Resolves when the lease is lost, at the latest when it has run out by the host's clock, and
    /// says why. Takes nothing from the lease: move it to a task or select on it.
    pub fn lost(&self) -> impl Future<Output = Lost> + Send + Sync + use<> {
        let mut standing = self.standing.clone();
        async move {
            let lost = standing.wait_for(|now| now.lost.is_some()).await;
            lost.ok().and_then(|now| now.lost.clone()).unwrap_or(Lost::Closed)
        }
    }

    /// Resolves with the new end when the lease has been renewed once more.
    ///
    /// # Errors
    /// It was [lost](Lost) before.
    pub fn renewed(&self) -> impl Future<Output = Result<Timestamp, Lost>> + Send + Sync + use<> {
        let mut standing = self.standing.clone();
        let seen = standing.borrow().renewals;
        async move {
            let next = standing.wait_for(|now| now.renewals > seen || now.lost.is_some()).await;
            let Ok(next) = next else { return Err(Lost::Closed) };
            match &next.lost {
                Some(lost) => Err(lost.clone()),
                None => Ok(next.expires_at),
            }
        }
    }

    /// Gives the lease back; returns the durable place of that.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub async fn release(mut self) -> Result<Cursor, ReleaseError> {
        let Hold { client, stream, .. } = &self.hold;
        let asked =
            client.host.ask::<lock::Lock>(stream.clone(), self.hold.release(), client.meta());
        let lost = |_: LockReject| {
            ReleaseError::Lost(self.standing.borrow().lost.clone().unwrap_or(Lost::Expired))
        };
        let released = asked.await.map_err(|failure| told(failure, lost));
        // Else the drop tries again.
        self.hold.given_back = !matches!(released, Err(ReleaseError::Unavailable(_)));
        Ok(released?.at)
    }
}

/// The duty to give a lease back, from its grant on.
pub(super) struct Hold {
    pub(super) client: Client,
    pub(super) stream: StreamId,
    pub(super) token: u64,
    pub(super) owner: String,
    pub(super) ttl_ms: u64,
    /// There is nothing to do any more.
    pub(super) given_back: bool,
}

/// A release that was not decided is tried again after this.
const RETRY: Duration = Duration::from_millis(100);

impl Hold {
    fn release(&self) -> LockCommand {
        LockCommand::Release { token: self.token, owner: self.owner.clone() }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.given_back {
            return;
        }
        let (client, stream, release) = (self.client.clone(), self.stream.clone(), self.release());
        // Whatever renewal is under way has run out by then, too.
        let until = client.host.now().unwrap_or_default().plus_ms(self.ttl_ms);
        let give_back = async move || {
            let Client { host, .. } = &client;
            loop {
                let asked = host.ask::<lock::Lock>(stream.clone(), release.clone(), client.meta());
                let failure = match asked.await {
                    Ok(_) => return,
                    Err(failure) => told(failure, |_| Undecided(None)),
                };
                let Undecided(Some(reason)) = failure else { return };
                if host.now().is_none_or(|now| now >= until) {
                    tracing::warn!(%stream, %reason, "a dropped lease ran out and was not released");
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        // Without a host the lease runs out by itself.
        drop(self.client.spawn(give_back));
    }
}

/// Why a release was not decided; `None` if it was.
struct Undecided(Option<Unavailable>);

impl From<Unavailable> for Undecided {
    fn from(reason: Unavailable) -> Self {
        Self(Some(reason))
    }
}
