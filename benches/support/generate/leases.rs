//! Locks of the crowd: most leases are renewed once and given back, some run out, some wait.
//!
//! ```text
//!   acquire ─► free: granted ─► renew? ─► release (85 %) or expiry
//!        └───► held: waits (half of them) ─► granted ─► claimed (90 %) or passed on
//! ```

use mainstay::actors::lock::{Claim, Lock, LockCommand, LockEvent, Mode, TTL_MS};
use mainstay::actors::machine::Machine;

use super::chance::hex;
use super::crowd::{Crowd, Task};
use super::feeder::{By, Entity};

/// Who holds a lock, as far as its holder's next steps need it.
#[derive(Debug, Default)]
pub(super) struct Tenure {
    token: u64,
    owner: String,
    by: By,
}

impl Crowd {
    pub(super) fn acquire_new(&mut self) {
        let number = u32::try_from(self.locks.len()).unwrap();
        let place = self.plan.seed ^ (u64::from(number) << 21);
        let kind = ["room", "invoice", "import", "seat"][usize::try_from(place >> 21).unwrap() % 4];
        let id = format!("{kind}-{}", hex(place).get(..12).unwrap());
        self.locks.push((Entity::new(&id), Tenure::default()));
        self.acquire(number);
    }

    pub(super) fn acquire_known(&mut self) {
        if self.locks.is_empty() {
            return self.observe();
        }
        let number = self.chance.skewed(self.locks.len() as u64);
        self.acquire(u32::try_from(number).unwrap());
    }

    fn acquire(&mut self, number: u32) {
        let by = self.retrying();
        let long = self.chance.percent(1);
        let steps = 50 + self.chance.below(400);
        let session = self.chance.percent(8).then(|| self.recent_session()).flatten();
        let claim = Claim {
            owner: format!("{}/worker-{}", by.principal, self.chance.below(16)).into(),
            session: session.map(Into::into),
            mode: if self.chance.percent(5) { Mode::Shared } else { Mode::Exclusive },
            range: None,
            ttl_ms: if long { *TTL_MS.end() } else { self.steps_ms(steps, &TTL_MS) },
            delay_ms: 0,
            request: None,
        };
        let held = self.locks.get(number as usize).is_some_and(|it| !it.0.state.grants.is_empty());
        let patient = held && self.chance.percent(50);
        let wait_ms = if patient { self.steps_ms(300, &(1..=600_000)) } else { 0 };
        let events = self.lock(number, LockCommand::Acquire { claim, wait_ms }, &by);
        let granted = events.iter().any(|event| matches!(event, LockEvent::LeaseGranted(_)));
        if granted && !long {
            if self.chance.percent(35) {
                self.later(self.in_steps(steps / 3), Task::Renew(number));
            }
            if self.chance.percent(85) {
                self.later(self.in_steps(steps / 2), Task::Release(number));
            }
        }
    }

    /// One of the newest sessions, if it lives.
    fn recent_session(&mut self) -> Option<String> {
        let last = self.sessions.len().checked_sub(1)? as u64;
        let number = last - self.chance.below(200).min(last);
        let session = self.sessions.get(usize::try_from(number).ok()?)?.as_ref()?;
        Some(session.stream.id().to_owned())
    }

    fn lock(&mut self, number: u32, command: LockCommand, by: &By) -> Vec<LockEvent> {
        let (lock, tenure) = &mut self.locks[number as usize];
        let chance = self.chance.next();
        let events = self.feeder.command(lock, command, by, self.now, chance);
        for event in &events {
            if let LockEvent::LeaseGranted(event) = event {
                tenure.token = event.token;
                tenure.owner = event.claim.owner.to_string();
                tenure.by = By { request: None, causation: None, ..by.clone() };
                if let Some(session) = &event.claim.session {
                    self.leased.entry(session.to_string()).or_default().push(number);
                }
            }
        }
        let unclaimed = lock.state.grants.iter().find(|grant| grant.claim_by.is_some());
        let unclaimed = unclaimed.map(|grant| grant.claim.clone());
        let due = Lock::deadline(&lock.state).filter(|_| !events.is_empty());
        if let Some(at) = due {
            self.later(at, Task::LockDue(number));
        }
        if let Some(claim) = unclaimed.filter(|_| !events.is_empty())
            && self.chance.percent(90)
        {
            self.claim(number, claim);
        }
        events
    }

    /// A waiter comes for its grant.
    fn claim(&mut self, number: u32, claim: Claim) {
        let by = By {
            principal: claim.owner.split('/').next().unwrap_or_default().into(),
            request: claim.request.as_deref().map(Into::into),
            ..By::default()
        };
        self.later(self.in_steps(60), Task::Release(number));
        let (lock, _) = &mut self.locks[number as usize];
        let command = LockCommand::Acquire { claim, wait_ms: 0 };
        self.feeder.command(lock, command, &by, self.now, 0);
    }

    pub(super) fn renew(&mut self, number: u32) {
        let Tenure { token, owner, by, .. } = &self.locks[number as usize].1;
        let (token, owner, by) = (*token, owner.clone(), by.clone());
        self.lock(number, LockCommand::Renew { token, owner, ttl_ms: None }, &by);
    }

    pub(super) fn release(&mut self, number: u32) {
        let Tenure { token, owner, by, .. } = &self.locks[number as usize].1;
        let (token, mut owner, by) = (*token, owner.clone(), by.clone());
        if self.chance.percent(1) {
            owner.push_str("-gone");
            self.later(self.in_steps(20), Task::Release(number));
        }
        self.lock(number, LockCommand::Release { token, owner }, &by);
    }

    pub(super) fn lock_due(&mut self, number: u32) {
        self.lock(number, LockCommand::Due, &By::system("system:timer"));
    }

    /// The leases of a session go with it.
    pub(super) fn session_ended(&mut self, session: &str) {
        let by = By { causation: Some(self.feeder.cursor()), ..By::system("system:supervisor") };
        for number in self.leased.remove(session).unwrap_or_default() {
            let command = LockCommand::SessionEnded { session: session.to_owned() };
            self.lock(number, command, &by);
        }
    }
}
