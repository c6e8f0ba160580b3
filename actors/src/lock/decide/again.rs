//! The first answer to a retried request.
//!
//! | what its events say | and the state | answer |
//! |---|---|---|
//! | it was granted, or queued | its lease lives | decide again: the same lease, claimed |
//! | | its lease has ended by time, swept or not | `RequestSpent` |
//! | | it waits | it still waits |
//! | | neither | `RequestSpent` |
//! | it released or revoked leases | | how many |
//! | its session's leases ended | | done |
//! | it was refused | | `HeldByOther` or `NotHeld`, as it was |
//! | it renewed, or only time did something | | decide again: it changes nothing twice |

use smol_str::SmolStr;

use crate::lock::{Lock, LockEvent, LockReject, LockReply, LockState};
use crate::machine::Again;
use crate::time::Timestamp;

pub(crate) fn answer_again(
    state: &LockState,
    request: &str,
    events: &[LockEvent],
    now: Timestamp,
) -> Again<Lock> {
    let is_its = |of: &Option<SmolStr>| of.as_deref() == Some(request);
    if let Some(grant) = state.grants.iter().find(|grant| is_its(&grant.claim.request)) {
        let lives = grant.ends_at() > now;
        return if lives { Again::Decide } else { Again::Reply(Err(LockReject::RequestSpent)) };
    }
    if state.waiters.iter().any(|waiter| is_its(&waiter.claim.request)) {
        return Again::Waiting;
    }
    let mut released = 0;
    for event in events {
        match event {
            LockEvent::LeaseGranted(event) if is_its(&event.claim.request) => {
                return Again::Reply(Err(LockReject::RequestSpent));
            },
            LockEvent::WaiterQueued(event) if is_its(&event.claim.request) => {
                return Again::Reply(Err(LockReject::RequestSpent));
            },
            // Only the request that was granted claims.
            LockEvent::LeaseClaimed(_) => return Again::Reply(Err(LockReject::RequestSpent)),
            LockEvent::LeaseReleased(event) if event.session.is_some() => {
                return Again::Reply(Ok(LockReply::Done));
            },
            LockEvent::RefusalRecorded(event) => {
                return Again::Reply(Err(event.because.reject(event.token)));
            },
            LockEvent::LeaseReleased(_) | LockEvent::LeaseRevoked(_) => released += 1,
            LockEvent::LeaseGranted(_)
            | LockEvent::WaiterQueued(_)
            | LockEvent::LeaseRenewed(_)
            | LockEvent::LeaseExpired(_)
            | LockEvent::LeaseExtended(_)
            | LockEvent::LeasesFenced(_)
            | LockEvent::WaiterLeft(_) => {},
        }
    }
    if released > 0 { Again::Reply(Ok(LockReply::Ended { released })) } else { Again::Decide }
}
