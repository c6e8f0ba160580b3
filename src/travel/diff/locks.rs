//! Locks on the way: each lease from its grant to its end.
//!
//! ```text
//!   before: live leases and waiters ─┐
//!   LeaseGranted ────────────────────┴► tale ── renewed, extended ──► released | expired | …
//!   WaiterQueued ─► wait ─► its grant's tale, or: left, waits still
//! ```

use std::collections::{BTreeMap, BTreeSet};

use mainstay_actors::host::Fence;
use mainstay_actors::lock::{
    Claim, Grant, LeaseGranted, LeftBecause, LockEvent, LockState, Waiter, WaiterQueued,
};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::{ReadError, ReadLog, RecordRef, StreamId};

use super::model::{Few, LeaseEnd, LeaseTale, LockDiff, WaitTale};
use super::walk::step;
use super::{ENTITIES, STEPS};
use crate::travel::why::{granted, queued};

/// What was seen of locks.
#[derive(Debug)]
pub(super) struct Locks {
    from: Timestamp,
    told: BTreeMap<String, Told>,
    /// Names beyond the first few.
    more: BTreeSet<String>,
}

/// One lock in the making.
#[derive(Debug)]
struct Told {
    diff: LockDiff,
    /// Requests that wait, by id.
    waiting: BTreeMap<String, WaitTale>,
    /// Leases of requests that had waited before the way began.
    waited_before: Vec<(u64, String)>,
}

impl Locks {
    pub(super) fn new(from: Timestamp) -> Self {
        Self { from, told: BTreeMap::new(), more: BTreeSet::new() }
    }

    pub(super) fn see(
        &mut self,
        world: &World,
        name: &str,
        record: &RecordRef<'_>,
        event: &LockEvent,
    ) {
        // Told when the journal was restored.
        if let LockEvent::LeasesFenced(_) = event {
            return;
        }
        let before = world.locks.get(name);
        let Some(told) = self.told(name, before) else { return };
        told.see(before, record, event);
    }

    /// Every lease and waiter ends with a restore, or was over before it.
    pub(super) fn fence(&mut self, world: &World, fence: Fence) {
        for (name, lock) in world.locks.iter().filter(|(_, lock)| lock.is_in_use()) {
            if let Some(told) = self.told(name, Some(lock)) {
                told.fence(lock, fence);
            }
        }
    }

    fn told(&mut self, name: &str, before: Option<&LockState>) -> Option<&mut Told> {
        if !self.told.contains_key(name) {
            if self.told.len() >= ENTITIES {
                self.more.insert(name.to_owned());
                return None;
            }
            self.told.insert(name.to_owned(), Told::new(name, before, self.from));
        }
        self.told.get_mut(name)
    }

    /// Leases and waits that are over by now have ended, swept or not.
    pub(super) fn end(
        mut self,
        log: &dyn ReadLog,
        world: &World,
        now: Timestamp,
    ) -> Result<Few<LockDiff>, ReadError> {
        let from = self.from;
        let ran_out = |grant: &&Grant| grant.ends_at() > from && grant.ends_at() <= now;
        for (name, lock) in world.locks.iter() {
            for grant in lock.grants.iter().filter(ran_out) {
                let end = by_time(grant);
                if let Some(told) = self.told(name, Some(lock)) {
                    told.end_lease(grant.token, grant.ends_at(), end, None);
                }
            }
        }
        let mut few = Few { shown: Vec::new(), more: self.more.len() as u64 };
        for (name, mut told) in self.told {
            if let Some(lock) = StreamId::new("lock", &name) {
                told.look_up(log, &lock, from)?;
            }
            few.shown.push(told.finish(world.locks.get(&name), now));
        }
        // Whose holders are others now comes first.
        few.shown.sort_by_key(|told| told.before == told.after);
        Ok(few)
    }
}

impl Told {
    fn new(name: &str, before: Option<&LockState>, from: Timestamp) -> Self {
        let mut told = Self {
            diff: LockDiff {
                name: name.to_owned(),
                before: Vec::new(),
                after: Vec::new(),
                leases: Few::default(),
                waits: Few::default(),
                refusals: Few::default(),
            },
            waiting: BTreeMap::new(),
            waited_before: Vec::new(),
        };
        let Some(lock) = before else { return told };
        for grant in lock.grants.iter().filter(|grant| grant.ends_at() > from) {
            told.diff.before.push(grant.claim.owner.to_string());
            told.diff.leases.push(tale(grant.token, &grant.claim, grant.expires_at), STEPS);
        }
        for waiter in lock.waiters.iter().filter(|waiter| waiter.deadline > from) {
            told.wait(waiter, None, None);
        }
        told
    }

    fn see(&mut self, before: Option<&LockState>, record: &RecordRef<'_>, event: &LockEvent) {
        let at = Timestamp::from_micros(record.at_us);
        match event {
            LockEvent::LeaseGranted(event) => self.grant(event, at, record.position),
            LockEvent::LeaseRenewed(event) => {
                if let Some(lease) = self.lease(event.token) {
                    lease.renewals += 1;
                    lease.expires_at = event.expires_at;
                }
            },
            LockEvent::LeaseClaimed(_) | LockEvent::LeasesFenced(_) => {},
            LockEvent::LeaseReleased(event) => {
                let session = event.session.clone();
                let by_session = |session| LeaseEnd::SessionEnded { session };
                let end = session.map_or(LeaseEnd::Released, by_session);
                self.end_lease(event.token, at, end, Some(record.position));
            },
            LockEvent::LeaseExpired(event) => {
                // It ended by its time, and not when that was noticed.
                let grants = before.map(|lock| lock.grants.iter()).into_iter().flatten();
                let mut ends = grants.filter(|it| it.token == event.token).map(Grant::ends_at);
                let end = if event.unclaimed { LeaseEnd::Unclaimed } else { LeaseEnd::Expired };
                let ended = ends.next().unwrap_or(at).min(at);
                self.end_lease(event.token, ended, end, Some(record.position));
            },
            LockEvent::LeaseRevoked(event) => {
                let (reason, principal) = (event.reason.clone(), record.principal.to_owned());
                let end = LeaseEnd::Revoked { reason, principal };
                self.end_lease(event.token, at, end, Some(record.position));
            },
            LockEvent::LeaseExtended(event) => {
                for (token, expires_at) in &event.leases {
                    if let Some(lease) = self.lease(*token) {
                        lease.expires_at = lease.expires_at.max(*expires_at);
                    }
                }
            },
            LockEvent::WaiterQueued(WaiterQueued { claim, deadline }) => {
                let waiter = Waiter { claim: claim.clone(), deadline: *deadline };
                self.wait(&waiter, Some(at), Some(record.position));
            },
            LockEvent::WaiterLeft(event) => {
                if let Some(mut wait) = self.waiting.remove(&event.request) {
                    wait.position = Some(record.position);
                    wait.session_ended = event.why == LeftBecause::SessionEnded;
                    wait.to = Some(if wait.session_ended { at } else { wait.deadline.min(at) });
                    self.diff.waits.push(wait, STEPS);
                }
            },
            LockEvent::RefusalRecorded(event) => {
                let holder =
                    before.and_then(|it| it.grants.iter().find(|g| g.token == event.token));
                let event = AnyEvent::Lock(LockEvent::RefusalRecorded(event.clone()));
                let holder = holder.map(|grant| grant.claim.owner.as_str());
                self.diff.refusals.push(step(record, &event, holder), STEPS);
            },
        }
    }

    fn fence(&mut self, lock: &LockState, fence: Fence) {
        let position = Some(fence.position);
        for grant in &lock.grants {
            if grant.ends_at() > fence.at {
                self.end_lease(grant.token, fence.at, LeaseEnd::Restored, position);
            } else {
                self.end_lease(grant.token, grant.ends_at(), by_time(grant), None);
            }
        }
        for mut wait in std::mem::take(&mut self.waiting).into_values() {
            wait.restored = wait.deadline > fence.at;
            wait.to = Some(wait.deadline.min(fence.at));
            wait.position = position;
            self.diff.waits.push(wait, STEPS);
        }
    }

    fn grant(&mut self, event: &LeaseGranted, at: Timestamp, position: u64) {
        let mut lease = tale(event.token, &event.claim, event.expires_at);
        (lease.from, lease.position) = (Some(at), Some(position));
        let request = event.claim.request.as_deref();
        if let Some(wait) = request.and_then(|request| self.waiting.remove(request)) {
            lease.waited_since = wait.from;
            if wait.from.is_none() && self.waited_before.len() < STEPS {
                self.waited_before.push((event.token, wait.request));
            }
        }
        self.diff.leases.push(lease, STEPS);
    }

    fn wait(&mut self, waiter: &Waiter, from: Option<Timestamp>, position: Option<u64>) {
        let Waiter { claim, deadline } = waiter;
        let request = claim.request.as_deref().unwrap_or_default().to_owned();
        let wait = WaitTale {
            owner: claim.owner.to_string(),
            from,
            deadline: *deadline,
            to: None,
            session_ended: false,
            restored: false,
            request: request.clone(),
            position,
        };
        self.waiting.insert(request, wait);
    }

    /// What began before the way did, from the index.
    fn look_up(
        &mut self,
        log: &dyn ReadLog,
        lock: &StreamId,
        from: Timestamp,
    ) -> Result<(), ReadError> {
        for lease in self.diff.leases.shown.iter_mut().filter(|lease| lease.from.is_none()) {
            lease.from = granted(log, lock, lease.token, from)?.map(|(_, at)| at);
        }
        for (token, request) in std::mem::take(&mut self.waited_before) {
            let since = queued(log, lock, &request, from)?;
            if let Some(lease) = self.lease(token) {
                lease.waited_since = since;
            }
        }
        let waiting = self.waiting.values_mut().take(STEPS);
        for wait in waiting.chain(&mut self.diff.waits.shown).filter(|wait| wait.from.is_none()) {
            wait.from = queued(log, lock, &wait.request, from)?;
        }
        Ok(())
    }

    fn lease(&mut self, token: u64) -> Option<&mut LeaseTale> {
        self.diff.leases.shown.iter_mut().find(|lease| lease.token == token)
    }

    fn end_lease(&mut self, token: u64, at: Timestamp, end: LeaseEnd, position: Option<u64>) {
        if let Some(lease) = self.lease(token) {
            lease.to = Some(at);
            lease.ended = Some(end);
            lease.position = position.or(lease.position);
        }
    }

    fn finish(mut self, after: Option<&LockState>, now: Timestamp) -> LockDiff {
        for mut wait in self.waiting.into_values() {
            if wait.deadline <= now {
                wait.to = Some(wait.deadline);
            }
            self.diff.waits.push(wait, STEPS);
        }
        let holders = after.map(|lock| lock.view_at(now).holders).unwrap_or_default();
        self.diff.after = holders.into_iter().map(|holder| holder.owner).collect();
        self.diff
    }
}

/// How time ends a lease.
fn by_time(grant: &Grant) -> LeaseEnd {
    if grant.claim_by.is_some() { LeaseEnd::Unclaimed } else { LeaseEnd::Expired }
}

fn tale(token: u64, claim: &Claim, expires_at: Timestamp) -> LeaseTale {
    LeaseTale {
        owner: claim.owner.to_string(),
        token,
        session: claim.session.as_ref().map(ToString::to_string),
        mode: claim.mode,
        range: claim.range,
        waited_since: None,
        from: None,
        renewals: 0,
        expires_at,
        to: None,
        ended: None,
        position: None,
    }
}
