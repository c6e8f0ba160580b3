//! A decision in the making: the lock as it is after the events decided so far.
//!
//! ```text
//!   Draft::of(state) ──► sweep(now) ──► the command's rule ──► decision
//!                          │ expire leases, by their end and token
//!                          │ drop waiters past their deadline, in order
//!                          └ grant_waiters, first come first served
//! ```
//!
//! All leases that end do so in one decision, but waiters are served in portions: the events of a
//! decision are one append of the journal, 1 MiB with their envelopes. Who is left over is due at
//! once ([`super::fold::deadline`]).
//!
//! It borrows the claims: an uncontended command copies no state.

use smallvec::SmallVec;

use super::events::LeftBecause;
use super::{
    CLAIM_MS, Claim, Holder, Lease, LeaseExpired, LeaseGranted, Lock, LockEvent, LockReject,
    LockReply, LockState, LockView, MAX_GRANTS, Mode, RangeUnit, SESSION_ENDED, WaiterLeft,
    WaiterView,
};
use crate::machine::{Answer, Decision, Reply};
use crate::time::Timestamp;

/// Most waiters that one decision grants a lease to or sends away.
const MAX_SERVED: usize = 256;
/// After many ends of leases fewer fit. A grant is up to 2.1 KiB with its envelope, the end of a
/// lease up to 0.9 KiB: 1,000 ends and 64 grants, or 400 and 256, stay below 1 MiB.
const MAX_SERVED_BEHIND_MANY: usize = 64;
/// So many ends are many.
const MANY_ENDS: usize = 400;

/// What a rule comes to, besides its events.
#[derive(Debug)]
pub(super) enum Ruling {
    /// This answer, as soon as the events are durable.
    Answer(LockReply),
    /// A later answer to the request.
    Deferred,
}

/// A live lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live<'a> {
    pub(super) token: u64,
    pub(super) claim: &'a Claim,
    pub(super) expires_at: Timestamp,
    pub(super) claim_by: Option<Timestamp>,
}

impl Live<'_> {
    /// When it ends unless its holder does something.
    pub(super) fn ends_at(&self) -> Timestamp {
        self.claim_by.map_or(self.expires_at, |claim_by| claim_by.min(self.expires_at))
    }

    pub(super) fn is_for(&self, request: &str) -> bool {
        self.claim.request.as_deref() == Some(request)
    }

    fn holder(&self) -> Holder {
        let Claim { owner, mode, range, .. } = self.claim;
        Holder {
            token: self.token,
            owner: owner.to_string(),
            mode: *mode,
            range: *range,
            expires_at: self.expires_at,
        }
    }
}

/// A queued request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) claim: &'a Claim,
    pub(super) request: &'a str,
    pub(super) deadline: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) grants: SmallVec<[Live<'a>; 4]>,
    pub(super) waiters: Vec<Waiting<'a>>,
    pub(super) unit: Option<RangeUnit>,
    pub(super) refusal_at: Option<Timestamp>,
    pub(super) stale_at: Option<Timestamp>,
    /// Requests whose lease ended in this decision.
    pub(super) ended: SmallVec<[&'a str; 2]>,
    /// Requests that left the queue in this decision without a grant.
    pub(super) left: SmallVec<[&'a str; 2]>,
    pub(super) events: Vec<LockEvent>,
    pub(super) answers: Vec<Answer<Lock>>,
    pub(super) last_token: u64,
    delayed_until: Option<Timestamp>,
    /// Leases ended in this decision.
    ends: usize,
    /// Waiters granted or sent away in this decision.
    served: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn of(state: &'a LockState) -> Self {
        let grants = state.grants.iter().map(|grant| Live {
            token: grant.token,
            claim: &grant.claim,
            expires_at: grant.expires_at,
            claim_by: grant.claim_by,
        });
        let waiters = state.waiters.iter().map(|waiter| Waiting {
            claim: &waiter.claim,
            request: waiter.claim.request.as_deref().unwrap_or_default(),
            deadline: waiter.deadline,
        });
        Self {
            grants: grants.collect(),
            waiters: waiters.collect(),
            unit: state.unit,
            refusal_at: state.refusal_at,
            stale_at: state.stale_at,
            ended: SmallVec::new(),
            left: SmallVec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            last_token: state.last_token,
            delayed_until: state.delayed_until,
            ends: 0,
            served: 0,
        }
    }

    /// Everything that time has brought about by `now`.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.expire_leases(now);
        self.serve_waiters(now);
    }

    /// Ends the leases that have run out.
    pub(super) fn expire_leases(&mut self, now: Timestamp) {
        let due = self.grants.iter().map(|grant| (grant.ends_at(), grant.token));
        let mut due: SmallVec<[(Timestamp, u64); 4]> = due.filter(|(end, _)| *end <= now).collect();
        due.sort_unstable();
        for (end, token) in due {
            self.expire(token, end, now);
        }
    }

    /// Sends late waiters away and grants to those who can have a lease, while there is room.
    pub(super) fn serve_waiters(&mut self, now: Timestamp) {
        self.drop_late_waiters(now);
        self.grant_waiters(now);
    }

    /// Leaves out what is over at `now`, without a trace: for readers.
    pub(super) fn hide_over(&mut self, now: Timestamp) {
        self.grants.retain(|grant| grant.ends_at() > now);
        self.waiters.retain(|waiter| waiter.deadline > now);
    }

    fn expire(&mut self, token: u64, end: Timestamp, now: Timestamp) {
        let Some(grant) = self.grant(token) else { return };
        let unclaimed = grant.claim_by.is_some();
        let until = end.plus_ms(grant.claim.delay_ms);
        let delayed_until = (!unclaimed && until > now).then_some(until);
        self.delayed_until = self.delayed_until.max(delayed_until);
        self.end(token, LeaseExpired { token, unclaimed, delayed_until });
    }

    fn drop_late_waiters(&mut self, now: Timestamp) {
        let mut index = 0;
        while let Some(waiter) = self.waiters.get(index).copied() {
            if waiter.deadline > now {
                index += 1;
                continue;
            }
            if !self.has_room() {
                return;
            }
            if waiter.deadline == SESSION_ENDED {
                self.send_away(index, LeftBecause::SessionEnded, LockReject::SessionEnded);
                continue;
            }
            let (holders, retry_after_ms) = self.in_the_way(waiter.claim, index, now);
            let reason = LockReject::WaitedInVain { holders, retry_after_ms };
            self.send_away(index, LeftBecause::Deadline, reason);
        }
    }

    /// The waiters of a session that has ended leave. Whom this decision has no room for, the fold
    /// marks with [`SESSION_ENDED`].
    pub(super) fn drop_waiters_of(&mut self, session: &str) {
        let mut index = 0;
        while let Some(waiter) = self.waiters.get(index) {
            if waiter.claim.session.as_deref() != Some(session) {
                index += 1;
            } else if self.has_room() {
                self.send_away(index, LeftBecause::SessionEnded, LockReject::SessionEnded);
            } else {
                return;
            }
        }
    }

    fn send_away(&mut self, index: usize, why: LeftBecause, reason: LockReject) {
        let waiter = self.waiters.remove(index);
        self.served += 1;
        self.left.push(waiter.request);
        let request = waiter.request.to_owned();
        self.answers.push(Answer { request: request.clone(), reply: Err(reason) });
        self.events.push(WaiterLeft { request, why }.into());
    }

    /// Whether another waiter can be served in this decision; see the module.
    fn has_room(&self) -> bool {
        self.served < if self.ends > MANY_ENDS { MAX_SERVED_BEHIND_MANY } else { MAX_SERVED }
    }

    /// Grants to waiters that nothing stands in the way of, in their order, while there is room:
    /// who should have left but did not fit has used it up, so nobody is granted before him.
    pub(super) fn grant_waiters(&mut self, now: Timestamp) {
        if self.waiters.is_empty() || self.is_delayed(now) {
            return;
        }
        let mut index = 0;
        while self.has_room()
            && let Some(waiter) = self.next_grantable(&mut index)
        {
            self.waiters.remove(index);
            self.served += 1;
            let token = self.next_token(now);
            let claim = waiter.claim;
            let expires_at = now.plus_ms(claim.ttl_ms);
            let claim_by = Some(now.plus_ms(claim.ttl_ms.min(CLAIM_MS)));
            self.grants.push(Live { token, claim, expires_at, claim_by });
            self.events
                .push(LeaseGranted { token, claim: claim.clone(), expires_at, claim_by }.into());
            let reply = Ok(LockReply::Lease(lease(token, expires_at, now)));
            self.answers.push(Answer { request: waiter.request.to_owned(), reply });
        }
    }

    /// The first waiter from `index` on that no live lease and no earlier waiter is in conflict
    /// with; `index` moves there.
    pub(super) fn next_grantable(&self, index: &mut usize) -> Option<Waiting<'a>> {
        if self.grants.len() >= MAX_GRANTS {
            return None;
        }
        while let Some(waiter) = self.waiters.get(*index) {
            let mut earlier = self.waiters.iter().take(*index);
            let blocked = self.grants.iter().any(|grant| conflict(grant.claim, waiter.claim))
                || earlier.any(|earlier| conflict(earlier.claim, waiter.claim));
            if !blocked {
                return Some(*waiter);
            }
            if waiter.claim.mode == Mode::Exclusive && waiter.claim.range.is_none() {
                return None; // In the way of all that come later.
            }
            *index += 1;
        }
        None
    }

    /// Nobody holds or waits in the way of a newcomer, and no delay runs.
    pub(super) fn is_free_for(&self, claim: &Claim, now: Timestamp) -> bool {
        !self.is_delayed(now)
            && !self.grants.iter().any(|grant| conflict(grant.claim, claim))
            && !self.waiters.iter().any(|waiter| conflict(waiter.claim, claim))
    }

    /// The leases in the way of a claim behind `place` waiters, and milliseconds until the first
    /// of them ends by itself. Where only waiters are in the way, the leases these wait for.
    pub(super) fn in_the_way(
        &self,
        claim: &Claim,
        place: usize,
        now: Timestamp,
    ) -> (Vec<Holder>, u64) {
        let blocks = |grant: &&Live<'_>| conflict(grant.claim, claim);
        let mut blocking: SmallVec<[&Live<'_>; 4]> = self.grants.iter().filter(blocks).collect();
        if blocking.is_empty() {
            let earlier =
                || self.waiters.iter().take(place).filter(|waiter| conflict(waiter.claim, claim));
            let blocks =
                |grant: &&Live<'_>| earlier().any(|waiter| conflict(grant.claim, waiter.claim));
            blocking = self.grants.iter().filter(blocks).collect();
        }
        let end = blocking.iter().map(|grant| grant.ends_at()).min();
        let free_at = end.max(self.delayed_until).unwrap_or(now);
        (blocking.iter().map(|grant| grant.holder()).collect(), free_at.ms_since(now))
    }

    fn is_delayed(&self, now: Timestamp) -> bool {
        self.delayed_until.is_some_and(|until| until > now)
    }

    pub(super) fn grant(&self, token: u64) -> Option<Live<'a>> {
        self.grants.iter().find(|grant| grant.token == token).copied()
    }

    /// Ends a live lease by this event.
    pub(super) fn end(&mut self, token: u64, event: impl Into<LockEvent>) {
        if let Some(index) = self.grants.iter().position(|grant| grant.token == token) {
            let grant = self.grants.remove(index);
            self.ends += 1;
            self.ended.extend(grant.claim.request.as_deref());
            self.events.push(event.into());
        }
    }

    /// Higher than every token before, over restores too: see the module `lock`.
    pub(super) fn next_token(&mut self, now: Timestamp) -> u64 {
        self.last_token = self.last_token.saturating_add(1).max(now.as_micros());
        self.last_token
    }

    pub(super) fn view(&self) -> LockView {
        let waiters = self.waiters.iter().map(|waiter| WaiterView {
            owner: waiter.claim.owner.to_string(),
            mode: waiter.claim.mode,
            range: waiter.claim.range,
            deadline: waiter.deadline,
        });
        LockView {
            holders: self.grants.iter().map(Live::holder).collect(),
            waiters: waiters.collect(),
            last_token: self.last_token,
        }
    }

    pub(super) fn decision(
        self,
        ruling: Result<Ruling, LockReject>,
    ) -> Result<Decision<Lock>, LockReject> {
        let Self { events, answers, .. } = self;
        let reply = match ruling {
            Ok(Ruling::Answer(reply)) => Reply::Now(Ok(reply)),
            Ok(Ruling::Deferred) => Reply::Deferred,
            Err(reason) if events.is_empty() => return Err(reason),
            Err(reason) => Reply::Now(Err(reason)),
        };
        Ok(Decision { events, answers, reply })
    }
}

/// Whether two claims cannot hold at once.
pub(super) fn conflict(one: &Claim, other: &Claim) -> bool {
    let both_shared = one.mode == Mode::Shared && other.mode == Mode::Shared;
    let overlap = match (&one.range, &other.range) {
        (Some(one), Some(other)) => one.overlaps(other),
        (None, _) | (_, None) => true,
    };
    overlap && !both_shared
}

/// A lease as its holder sees it; the distance is rounded down, so that nobody trusts it too long.
pub(super) fn lease(token: u64, expires_at: Timestamp, now: Timestamp) -> Lease {
    let left_us = expires_at.as_micros().saturating_sub(now.as_micros());
    Lease { token, expires_at, expires_in_ms: left_us / 1_000 }
}
