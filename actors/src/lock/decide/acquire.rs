//! Taking a lease, or queueing for one.

use super::{check, check_owner};
use crate::lock::draft::{Draft, Ruling, lease};
use crate::lock::{
    Claim, LeaseClaimed, LeaseGranted, LockReject, LockReply, MAX_DELAY_MS, MAX_GRANTS,
    MAX_NAME_BYTES, MAX_WAIT_MS, MAX_WAITERS, TTL_MS, WaiterQueued,
};
use crate::machine::Context;

/// Longest `{tenant}/{id}` of a session, in bytes.
const MAX_SESSION_BYTES: usize = 2 * MAX_NAME_BYTES + 1;

pub(super) fn acquire(
    draft: &mut Draft<'_>,
    mut claim: Claim,
    wait_ms: u64,
    context: &Context<'_>,
) -> Result<Ruling, LockReject> {
    if claim.request.as_deref() != context.request {
        claim.request = context.request.map(Into::into);
    }
    validate(&claim, wait_ms)?;
    if let Some(ruling) = again(draft, &claim, context) {
        return ruling;
    }
    if let (Some(range), Some(unit)) = (claim.range, draft.unit)
        && range.unit != unit
    {
        return Err(LockReject::OtherUnit { unit });
    }
    let now = context.now;
    if draft.is_free_for(&claim, now) {
        if draft.grants.len() >= MAX_GRANTS {
            return Err(LockReject::TooManyGrants);
        }
        let token = draft.next_token(now);
        let expires_at = now.plus_ms(claim.ttl_ms);
        draft.events.push(LeaseGranted { token, claim, expires_at, claim_by: None }.into());
        return Ok(Ruling::Answer(LockReply::Lease(lease(token, expires_at, now))));
    }
    if wait_ms == 0 {
        let (holders, retry_after_ms) = draft.in_the_way(&claim, usize::MAX, now);
        return Err(LockReject::Held { holders, retry_after_ms });
    }
    if draft.waiters.len() >= MAX_WAITERS {
        return Err(LockReject::TooManyWaiters);
    }
    draft.events.push(WaiterQueued { claim, deadline: now.plus_ms(wait_ms) }.into());
    Ok(Ruling::Deferred)
}

/// The same request once more: its lease while it lives, its place in the queue, or a no.
fn again(
    draft: &mut Draft<'_>,
    claim: &Claim,
    context: &Context<'_>,
) -> Option<Result<Ruling, LockReject>> {
    let request = claim.request.as_deref()?;
    if let Some(grant) = draft.grants.iter_mut().find(|grant| grant.is_for(request)) {
        let (token, expires_at) = (grant.token, grant.expires_at);
        if grant.claim_by.take().is_some() {
            draft.events.push(LeaseClaimed { token }.into());
        }
        let lease = lease(token, expires_at, context.now);
        return Some(Ok(Ruling::Answer(LockReply::Lease(lease))));
    }
    if draft.waiters.iter().any(|waiter| waiter.request == request) {
        return Some(Ok(Ruling::Deferred));
    }
    // Its lease ran out, or its wait ended, at this very moment.
    if draft.ended.contains(&request) {
        return Some(Err(LockReject::RequestSpent));
    }
    if draft.left.contains(&request) {
        let (holders, retry_after_ms) = draft.in_the_way(claim, usize::MAX, context.now);
        return Some(Err(LockReject::WaitedInVain { holders, retry_after_ms }));
    }
    None
}

fn validate(claim: &Claim, wait_ms: u64) -> Result<(), LockReject> {
    check_owner(&claim.owner)?;
    let session =
        claim.session.as_ref().is_none_or(|it| (1..=MAX_SESSION_BYTES).contains(&it.len()));
    check(session, "session", "1 to 401 bytes long")?;
    check(TTL_MS.contains(&claim.ttl_ms), "ttl_ms", "100 to 604800000 (7 days)")?;
    check(wait_ms <= MAX_WAIT_MS, "wait_ms", "at most 600000 (10 minutes)")?;
    check(claim.delay_ms <= MAX_DELAY_MS, "lock_delay_ms", "at most 60000 (1 minute)")?;
    let range = claim.range.is_none_or(|range| range.from < range.to);
    check(range, "range", "from < to: the end is outside")?;
    if wait_ms > 0 && claim.request.is_none() {
        return Err(LockReject::WaitNeedsRequest);
    }
    Ok(())
}
