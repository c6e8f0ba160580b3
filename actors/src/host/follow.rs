//! Who is told that a lease has ended.
//!
//! ```text
//!   Host::follow_lease ─► Supervisor: is it live? ─yes─► Followers ◄─ durable events of its lock
//!                              └─no─► told by the dropped sender           └─► LeaseEnd, once
//! ```
//!
//! Every lease ends in an event, so a follower never stays longer than its lease.

use std::collections::HashMap;

use actix::{Handler, Message};
use mainstay_journal::StreamId;
use tokio::sync::oneshot;

use super::supervisor::Supervisor;
use crate::lock::LockEvent;

/// How a lease ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEnd {
    /// It was given back, with its token and owner.
    Released,
    /// Its session ended.
    SessionEnded {
        /// `{tenant}/{id}`.
        session: String,
    },
    /// It ran out, or its waiter did not claim it.
    Expired,
    /// It was taken away by hand.
    Revoked {
        /// Why.
        reason: String,
    },
}

impl LeaseEnd {
    /// The token that an event ends, and how; `None` for an event that ends no lease.
    #[must_use]
    pub fn of(event: &LockEvent) -> Option<(u64, Self)> {
        match event {
            LockEvent::LeaseReleased(event) => {
                let session = event.session.clone();
                let end = session.map_or(Self::Released, |session| Self::SessionEnded { session });
                Some((event.token, end))
            },
            LockEvent::LeaseExpired(event) => Some((event.token, Self::Expired)),
            LockEvent::LeaseRevoked(event) => {
                Some((event.token, Self::Revoked { reason: event.reason.clone() }))
            },
            LockEvent::LeaseGranted(_)
            | LockEvent::LeaseRenewed(_)
            | LockEvent::LeaseClaimed(_)
            | LockEvent::LeaseExtended(_)
            // Nobody follows a lease of another start.
            | LockEvent::LeasesFenced(_)
            | LockEvent::WaiterQueued(_)
            | LockEvent::WaiterLeft(_)
            | LockEvent::RefusalRecorded(_) => None,
        }
    }
}

/// Who waits for the end of a lease, by lock and token.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    by_lock: HashMap<StreamId, Vec<(u64, oneshot::Sender<LeaseEnd>)>>,
}

impl Followers {
    /// Tells who follows a lease that one of these durable events ends.
    pub(crate) fn tell(&mut self, lock: &StreamId, events: &[LockEvent]) {
        let Some(following) = self.by_lock.get_mut(lock) else { return };
        for (token, end) in events.iter().filter_map(LeaseEnd::of) {
            for (_, tell) in following.extract_if(.., |(followed, _)| *followed == token) {
                // Who does not listen any more has given the lease up.
                drop(tell.send(end.clone()));
            }
        }
        if following.is_empty() {
            self.by_lock.remove(lock);
        }
    }
}

/// Follows a lease; the sender is dropped at once if it is not live.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Follow {
    pub(crate) lock: StreamId,
    pub(crate) token: u64,
    pub(crate) tell: oneshot::Sender<LeaseEnd>,
}

impl Handler<Follow> for Supervisor {
    type Result = ();

    fn handle(&mut self, follow: Follow, _context: &mut Self::Context) {
        let Follow { lock, token, tell } = follow;
        let mut views = self.views.borrow_mut();
        let live = views.locks.get(&lock);
        if live.is_some_and(|state| state.grants.iter().any(|grant| grant.token == token)) {
            views.followers.by_lock.entry(lock).or_default().push((token, tell));
        }
    }
}
