//! Folds a lock's events.
//!
//! | event | needs | changes |
//! |---|---|---|
//! | `LeaseGranted` | a higher token, nobody in the way; with `claim_by` a waiter | grants, its waiter, the delay is over |
//! | `LeaseRenewed` | a live lease | end, TTL, claimed |
//! | `LeaseClaimed` | a live lease that is not claimed | claimed |
//! | `LeaseReleased`, `LeaseExpired`, `LeaseRevoked` | a live lease | it ends; its session's waiters, if that ended, are to leave |
//! | `LeaseExtended` | a later boot, live leases | ends, once a boot |
//! | `WaiterQueued` | a request that neither waits nor holds | last in the queue |
//! | `WaiterLeft` | a waiting request | out of the queue; the others of its session, if that ended, are to leave |
//! | `RefusalRecorded` | – | when |
//! | `LeasesFenced` | exactly the live leases, as many waiters | all of them end |

use super::draft::{Draft, conflict};
use super::{
    Claim, Grant, LeaseExpired, LeaseExtended, LeaseGranted, LeaseReleased, LeaseRenewed,
    LeasesFenced, LeftBecause, LockEvent, LockState, MAX_GRANTS, MAX_WAITERS, RangeUnit,
    RefusedFor, SESSION_ENDED, Waiter, WaiterLeft, WaiterQueued,
};
use crate::codec::Payload;
use crate::machine::Illegal;
use crate::time::Timestamp;

/// Each checks everything before it changes anything.
pub(super) fn fold(state: &mut LockState, event: &LockEvent) -> Result<(), Illegal> {
    let folded = match event {
        LockEvent::LeaseGranted(event) => granted(state, event),
        LockEvent::LeaseRenewed(event) => renewed(state, event),
        LockEvent::LeaseClaimed(event) => claimed(state, event.token),
        LockEvent::LeaseReleased(event) => released(state, event),
        LockEvent::LeaseRevoked(event) => take(state, event.token).map(drop),
        LockEvent::LeaseExpired(event) => expired(state, event),
        LockEvent::LeaseExtended(event) => extended(state, event),
        LockEvent::WaiterQueued(event) => queued(state, event),
        LockEvent::WaiterLeft(event) => left(state, event),
        LockEvent::LeasesFenced(event) => fenced(state, event),
        LockEvent::RefusalRecorded(event) => {
            match event.because {
                RefusedFor::Owner => state.refusal_at = Some(event.at),
                RefusedFor::Token => state.stale_at = Some(event.at),
            }
            Ok(())
        },
    };
    folded.map_err(|reason| Illegal::new(event.name(), reason))
}

/// The next moment at which a lease ends, a waiter gives up, or a delay that alone is in a
/// waiter's way is over. A waiter with nothing in its way is left over from a decision without
/// room for it: that is due at once, and serves at least one.
pub(super) fn deadline(state: &LockState) -> Option<Timestamp> {
    let leases = state.grants.iter().map(Grant::ends_at);
    let waits = state.waiters.iter().map(|waiter| waiter.deadline);
    let grantable = !state.waiters.is_empty() && Draft::of(state).next_grantable(&mut 0).is_some();
    let grant = grantable.then(|| state.delayed_until.unwrap_or_default());
    leases.chain(waits).chain(grant).min()
}

fn granted(state: &mut LockState, event: &LeaseGranted) -> Result<(), String> {
    let LeaseGranted { token, claim, expires_at, claim_by } = event;
    if *token <= state.last_token {
        return Err(format!("token {token} after {}", state.last_token));
    }
    if state.grants.len() >= MAX_GRANTS {
        return Err("too many leases".to_owned());
    }
    let unit = agreed_unit(state, claim)?;
    let place = position(state, claim.request.as_deref());
    if claim_by.is_some() != place.is_some() {
        return Err("exactly a waiter's grant is to be claimed".to_owned());
    }
    if let Some(grant) = state.grants.iter().find(|grant| conflict(&grant.claim, claim)) {
        return Err(format!("lease {} is in the way", grant.token));
    }
    let mut earlier = state.waiters.iter().take(place.unwrap_or(usize::MAX));
    if earlier.any(|waiter| conflict(&waiter.claim, claim)) {
        return Err("an earlier waiter is in the way".to_owned());
    }
    if let Some(place) = place {
        state.waiters.remove(place);
    }
    state.last_token = *token;
    state.unit = unit;
    state.delayed_until = None;
    let (expires_at, claim_by) = (*expires_at, *claim_by);
    state.grants.push(Grant { token: *token, claim: claim.clone(), expires_at, claim_by });
    Ok(())
}

fn renewed(state: &mut LockState, event: &LeaseRenewed) -> Result<(), String> {
    let grant = live(state, event.token)?;
    grant.expires_at = event.expires_at;
    grant.claim.ttl_ms = event.ttl_ms;
    grant.claim_by = None;
    Ok(())
}

fn claimed(state: &mut LockState, token: u64) -> Result<(), String> {
    match live(state, token)?.claim_by.take() {
        Some(_) => Ok(()),
        None => Err(format!("lease {token} is claimed already")),
    }
}

fn expired(state: &mut LockState, event: &LeaseExpired) -> Result<(), String> {
    if live(state, event.token)?.claim_by.is_some() != event.unclaimed {
        return Err("exactly a lease that waits for its claim can be unclaimed".to_owned());
    }
    take(state, event.token)?;
    state.delayed_until = state.delayed_until.max(event.delayed_until);
    Ok(())
}

fn extended(state: &mut LockState, event: &LeaseExtended) -> Result<(), String> {
    if event.boot <= state.recovered_boot {
        return Err(format!("boot {} after boot {}", event.boot, state.recovered_boot));
    }
    for (token, _) in &event.leases {
        live(state, *token)?;
    }
    for (token, expires_at) in &event.leases {
        let grant = live(state, *token)?;
        grant.expires_at = grant.expires_at.max(*expires_at);
        grant.claim_by = grant.claim_by.map(|by| by.max(event.claim_by.min(*expires_at)));
    }
    state.recovered_boot = event.boot;
    Ok(())
}

fn queued(state: &mut LockState, event: &WaiterQueued) -> Result<(), String> {
    let WaiterQueued { claim, deadline } = event;
    let request = claim.request.as_deref();
    if request.is_none() {
        return Err("a waiter without a request".to_owned());
    }
    let holds = state.grants.iter().any(|grant| grant.claim.request.as_deref() == request);
    if holds || position(state, request).is_some() {
        return Err("the request waits or holds already".to_owned());
    }
    if state.waiters.len() >= MAX_WAITERS {
        return Err("too many waiters".to_owned());
    }
    state.unit = agreed_unit(state, claim)?;
    state.waiters.push_back(Waiter { claim: claim.clone(), deadline: *deadline });
    Ok(())
}

fn left(state: &mut LockState, event: &WaiterLeft) -> Result<(), String> {
    let place = position(state, Some(&event.request)).ok_or("the request does not wait")?;
    let waiter = state.waiters.remove(place);
    if event.why == LeftBecause::SessionEnded {
        session_ended(state, waiter.and_then(|waiter| waiter.claim.session).as_deref());
    }
    Ok(())
}

fn released(state: &mut LockState, event: &LeaseReleased) -> Result<(), String> {
    take(state, event.token)?;
    session_ended(state, event.session.as_deref());
    Ok(())
}

fn fenced(state: &mut LockState, event: &LeasesFenced) -> Result<(), String> {
    if !state.is_in_use() {
        return Err("nothing is live".to_owned());
    }
    if !state.grants.iter().map(|grant| grant.token).eq(event.tokens.iter().copied()) {
        return Err("other leases are live".to_owned());
    }
    if u32::try_from(state.waiters.len()) != Ok(event.waiters) {
        return Err(format!("{} waiters, not {}", state.waiters.len(), event.waiters));
    }
    state.grants.clear();
    state.waiters.clear();
    Ok(())
}

/// Every other waiter of the session has to leave too, now or in the next decision.
fn session_ended(state: &mut LockState, session: Option<&str>) {
    if session.is_none() {
        return;
    }
    for waiter in &mut state.waiters {
        if waiter.claim.session.as_deref() == session {
            waiter.deadline = SESSION_ENDED;
        }
    }
}

/// The lock's unit once this claim is on it.
fn agreed_unit(state: &LockState, claim: &Claim) -> Result<Option<RangeUnit>, String> {
    match (state.unit, claim.range.map(|range| range.unit)) {
        (Some(one), Some(other)) if one != other => Err(format!("{other:?} on a lock of {one:?}")),
        (one, other) => Ok(one.or(other)),
    }
}

fn position(state: &LockState, request: Option<&str>) -> Option<usize> {
    request?;
    state.waiters.iter().position(|waiter| waiter.claim.request.as_deref() == request)
}

fn live(state: &mut LockState, token: u64) -> Result<&mut Grant, String> {
    let grant = state.grants.iter_mut().find(|grant| grant.token == token);
    grant.ok_or_else(|| format!("lease {token} is not live"))
}

fn take(state: &mut LockState, token: u64) -> Result<Grant, String> {
    let place = state.grants.iter().position(|grant| grant.token == token);
    let place = place.ok_or_else(|| format!("lease {token} is not live"))?;
    Ok(state.grants.remove(place))
}
