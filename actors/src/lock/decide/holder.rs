//! What a holder, an operator or a session's end does to leases.

use smol_str::SmolStr;

use super::{check, check_owner};
use crate::lock::draft::{Draft, Ruling, lease};
use crate::lock::{
    LeaseReleased, LeaseRenewed, LeaseRevoked, LockReject, LockReply, RefusalRecorded, RefusedFor,
    TTL_MS,
};
use crate::planted::{self, Bug};
use crate::time::Timestamp;

/// Refusals are recorded at most this often, in milliseconds.
const REFUSAL_EVERY_MS: u64 = 1_000;
/// Longest reason, in bytes: it is recorded once for each of up to 1,000 leases, in one append.
const MAX_REASON_BYTES: usize = 200;

pub(super) fn renew(
    draft: &mut Draft<'_>,
    token: u64,
    owner: String,
    ttl_ms: Option<u64>,
    now: Timestamp,
) -> Result<Ruling, LockReject> {
    check_owner(&owner)?;
    let length_ok = ttl_ms.is_none_or(|ttl_ms| TTL_MS.contains(&ttl_ms));
    check(length_ok, "ttl_ms", "100 to 604800000 (7 days)")?;
    let ttl_ms = ttl_ms.unwrap_or(held_by(draft, token, owner, "renew", now)?);
    let expires_at = now.plus_ms(ttl_ms);
    draft.events.push(LeaseRenewed { token, expires_at, ttl_ms }.into());
    Ok(Ruling::Answer(LockReply::Lease(lease(token, expires_at, now))))
}

pub(super) fn release(
    draft: &mut Draft<'_>,
    token: u64,
    owner: String,
    now: Timestamp,
) -> Result<Ruling, LockReject> {
    check_owner(&owner)?;
    held_by(draft, token, owner, "release", now)?;
    draft.end(token, LeaseReleased { token, session: None });
    draft.grant_waiters(now);
    Ok(Ruling::Answer(LockReply::Ended { released: 1 }))
}

pub(super) fn force_release(
    draft: &mut Draft<'_>,
    token: Option<u64>,
    reason: &str,
) -> Result<Ruling, LockReject> {
    let recordable = (1..=MAX_REASON_BYTES).contains(&reason.len());
    check(recordable, "reason", "1 to 200 bytes long")?;
    let tokens: Vec<u64> = match token {
        None => draft.grants.iter().map(|grant| grant.token).collect(),
        Some(token) if draft.grant(token).is_some() => vec![token],
        Some(token) => return Err(LockReject::NotHeld { token }),
    };
    for token in &tokens {
        draft.end(*token, LeaseRevoked { token: *token, reason: reason.to_owned() });
    }
    Ok(Ruling::Answer(LockReply::Ended { released: tokens.len() }))
}

pub(super) fn session_ended(draft: &mut Draft<'_>, session: &str) {
    let is_its = |of: &Option<SmolStr>| of.as_deref() == Some(session);
    let held = draft.grants.iter().filter(|grant| is_its(&grant.claim.session));
    let tokens: Vec<u64> = held.map(|grant| grant.token).collect();
    for token in tokens {
        draft.end(token, LeaseReleased { token, session: Some(session.to_owned()) });
    }
    draft.drop_waiters_of(session);
}

/// The lease's TTL, if `owner` holds it; of each reason a refusal is recorded at most once a second. A lock that
/// never had a lease is nobody's, and records nothing.
fn held_by(
    draft: &mut Draft<'_>,
    token: u64,
    owner: String,
    command: &str,
    now: Timestamp,
) -> Result<u64, LockReject> {
    let because = match draft.grant(token) {
        Some(grant) if grant.claim.owner == owner => return Ok(grant.claim.ttl_ms),
        Some(grant) if planted::has(Bug::SkipTokenCheck) => return Ok(grant.claim.ttl_ms),
        Some(_) => RefusedFor::Owner,
        None => RefusedFor::Token,
    };
    let last = match because {
        RefusedFor::Owner => draft.refusal_at,
        RefusedFor::Token => draft.stale_at,
    };
    let rested = last.is_none_or(|last| now >= last.plus_ms(REFUSAL_EVERY_MS));
    if rested && draft.last_token > 0 {
        let command = command.to_owned();
        draft.events.push(RefusalRecorded { token, owner, command, because, at: now }.into());
    }
    Err(because.reject(token))
}
