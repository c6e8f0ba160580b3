//! Rules on a lock's commands.
//!
//! | command | nobody in the way | in the way | token not live | another's token |
//! |---|---|---|---|---|
//! | `Acquire` | `LeaseGranted` | `Held`, or `WaiterQueued` with `wait_ms` | – | – |
//! | `Acquire` again, same request | the same lease, `LeaseClaimed` once | still waiting | `RequestSpent` | – |
//! | `Renew` | `LeaseRenewed` | – | `NotHeld`, `RefusalRecorded` | `HeldByOther`, `RefusalRecorded` |
//! | `Release` | `LeaseReleased` | – | `NotHeld`, `RefusalRecorded` | `HeldByOther`, `RefusalRecorded` |
//! | `ForceRelease` | `LeaseRevoked` for one or all | – | `NotHeld` | `LeaseRevoked` |
//! | `Check` | `valid: true` | – | `valid: false` | `valid: true` |
//! | `Show` | live leases and waiters | – | – | – |
//! | `SessionEnded` | `LeaseReleased`, `WaiterLeft` for all of the session | – | – | – |
//! | `Recover` | `LeaseExtended`, once a boot, if a lease needs it | – | – | – |
//! | `Fence` | `LeasesFenced`, if there is a lease or a waiter | – | – | – |
//!
//! `Check` and `Show` only read: they answer on a full disk too. They hide what is over at their
//! moment, and show no grant that is not journaled.
//!
//! Every other command but the first `Recover` of a boot and `Fence` begins with what is due at its moment
//! ([`Draft::sweep`]): a lease that has run out is never treated as live, even when the timer has
//! not fired. Whatever frees the lock ends with grants to those who wait.

mod acquire;
mod again;
mod holder;

pub(super) use again::answer_again;

use super::draft::{Draft, Ruling};
use super::{
    CLAIM_MS, Grant, LeaseExtended, LeasesFenced, Lock, LockCommand, LockReject, LockReply,
    LockState, MAX_NAME_BYTES, RECOVERY_GRACE_MS,
};
use crate::machine::{Context, Decision, Restart};
use crate::planted::{self, Bug};
use crate::time::Timestamp;

pub(super) fn decide(
    state: &LockState,
    command: LockCommand,
    context: &Context<'_>,
) -> Result<Decision<Lock>, LockReject> {
    if let LockCommand::Recover(restart) = command
        && context.boot > state.recovered_boot
        && is_to_be_extended(state, restart)
    {
        return Ok(recover(state, restart, context));
    }
    if let LockCommand::Fence { at } = command {
        return Ok(fence(state, at));
    }
    let now = context.now;
    if let Some(answer) = read(state, &command, now) {
        return Ok(Decision::answer(answer));
    }
    let mut draft = Draft::of(state);
    // What may end every lease does so before waiters are served: there is room for the rest then.
    let ends_many =
        matches!(command, LockCommand::ForceRelease { .. } | LockCommand::SessionEnded { .. });
    if ends_many {
        draft.expire_leases(now);
    } else {
        draft.sweep(now);
    }
    let ruling = match command {
        LockCommand::Acquire { claim, wait_ms } => {
            acquire::acquire(&mut draft, claim, wait_ms, context)
        },
        LockCommand::Renew { token, owner, ttl_ms } => {
            holder::renew(&mut draft, token, owner, ttl_ms, now)
        },
        LockCommand::Release { token, owner } => holder::release(&mut draft, token, owner, now),
        LockCommand::ForceRelease { token, reason } => {
            holder::force_release(&mut draft, token, &reason)
        },
        LockCommand::SessionEnded { session } => {
            holder::session_ended(&mut draft, &session);
            Ok(Ruling::Answer(LockReply::Done))
        },
        LockCommand::Recover(_)
        | LockCommand::Fence { .. }
        | LockCommand::Due
        | LockCommand::Check { .. }
        | LockCommand::Show => Ok(Ruling::Answer(LockReply::Done)),
    };
    if ends_many {
        draft.serve_waiters(now);
    }
    draft.decision(ruling)
}

/// The answer to a command that only reads, from the journaled state.
fn read(state: &LockState, command: &LockCommand, now: Timestamp) -> Option<LockReply> {
    match command {
        LockCommand::Check { token } => {
            let mut live = state.grants.iter().filter(|grant| grant.ends_at() > now);
            let valid =
                live.any(|grant| grant.token == *token || planted::has(Bug::SkipTokenCheck));
            Some(LockReply::Checked { valid })
        },
        LockCommand::Show => Some(LockReply::State(state.view_at(now))),
        LockCommand::Acquire { .. }
        | LockCommand::Renew { .. }
        | LockCommand::Release { .. }
        | LockCommand::ForceRelease { .. }
        | LockCommand::SessionEnded { .. }
        | LockCommand::Recover(_)
        | LockCommand::Fence { .. }
        | LockCommand::Due => None,
    }
}

/// The lease's end after a restart; `None` if it was over before.
fn extended(grant: &Grant, restart: Restart) -> Option<Timestamp> {
    let grace_ms = grant.claim.ttl_ms.min(RECOVERY_GRACE_MS);
    let end = grant.expires_at.max(restart.booted_at.plus_ms(grace_ms));
    (grant.expires_at > restart.alive_at).then_some(end)
}

/// Whether a restart gives one of the leases more time than it has.
pub(super) fn is_to_be_extended(state: &LockState, restart: Restart) -> bool {
    let claim_by = restart.booted_at.plus_ms(CLAIM_MS);
    state.grants.iter().any(|grant| {
        extended(grant, restart).is_some_and(|end| {
            end > grant.expires_at || grant.claim_by.is_some_and(|by| by < claim_by.min(end))
        })
    })
}

/// Leases that ran out while the server was down are not expired first: their holders could not
/// have renewed them.
fn recover(state: &LockState, restart: Restart, context: &Context<'_>) -> Decision<Lock> {
    let leases = state.grants.iter();
    let leases = leases.filter_map(|grant| Some((grant.token, extended(grant, restart)?)));
    let leases = leases.collect();
    let claim_by = restart.booted_at.plus_ms(CLAIM_MS);
    let event = LeaseExtended { boot: context.boot, leases, claim_by };
    Decision::of(vec![event.into()], LockReply::Done)
}

/// All of it in one event: a lock with its most leases and waiters is fenced whole. Nobody is answered:
/// who waited did so at the server before.
fn fence(state: &LockState, at: Timestamp) -> Decision<Lock> {
    if !state.is_in_use() {
        return Decision::answer(LockReply::Done);
    }
    let tokens = state.grants.iter().map(|grant| grant.token).collect();
    let waiters = u32::try_from(state.waiters.len()).unwrap_or(u32::MAX);
    Decision::of(vec![LeasesFenced { at, tokens, waiters }.into()], LockReply::Done)
}

/// An owner that can be recorded.
fn check_owner(owner: &str) -> Result<(), LockReject> {
    check((1..=MAX_NAME_BYTES).contains(&owner.len()), "owner", "1 to 200 bytes long")
}

fn check(holds: bool, field: &'static str, rule: &'static str) -> Result<(), LockReject> {
    if holds { Ok(()) } else { Err(LockReject::OutOfRange { field, rule }) }
}
