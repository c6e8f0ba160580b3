//! Who does what when: arrivals at an even pace, and what follows from them by an agenda.
//!
//! ```text
//!   turn: is something of the agenda due? ── yes ─► a renewal, a touch, an end, an expiry
//!              └─ no ─► an arrival: a new session or lock, a patch, a lease, a window, an incident
//! ```
//!
//! Durations count in steps, the time between two events: so a journal of ten thousand events has
//! the mix of one of ten million.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use mainstay::actors::lock::Lock;
use mainstay::actors::machine::Machine;
use mainstay::actors::session::{
    Sealed, Session, SessionCommand, SessionEvent, SessionState, TTL_MS,
};
use mainstay::actors::time::Timestamp;

use super::chance::{self, Chance, hex};
use super::feeder::{By, Entity, Feeder};
use super::leases::Tenure;
use super::traffic::Traffic;
use super::{Made, Plan};

/// What is to be done later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Touch(u32),
    End(u32),
    SessionDue(u32),
    Renew(u32),
    Release(u32),
    LockDue(u32),
    BreakerDue(usize),
    Judge(usize),
}

/// Everyone, and the moment.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) plan: Plan,
    pub(super) feeder: Feeder,
    pub(super) chance: Chance,
    pub(super) principals: Vec<Arc<str>>,
    pub(super) now: Timestamp,
    step_us: u64,
    agenda: BinaryHeap<Reverse<(Timestamp, Task)>>,
    /// By number; `None` once it is over.
    pub(super) sessions: Vec<Option<Entity<Session>>>,
    /// Numbers of those that live to the end.
    stayers: Vec<u32>,
    pub(super) locks: Vec<(Entity<Lock>, Tenure)>,
    /// Locks that go with a session.
    pub(super) leased: BTreeMap<String, Vec<u32>>,
    pub(super) traffic: Traffic,
    timer: By,
}

impl Crowd {
    pub(super) fn new(plan: Plan, feeder: Feeder) -> Self {
        let step_us = (plan.days * 86_400_000_000 / plan.events.max(1)).max(1);
        let mut crowd = Self {
            plan,
            feeder,
            chance: Chance::new(plan.seed),
            principals: chance::principals(),
            now: Timestamp::default(),
            step_us,
            agenda: BinaryHeap::new(),
            sessions: Vec::new(),
            stayers: Vec::new(),
            locks: Vec::new(),
            leased: BTreeMap::new(),
            traffic: Traffic::default(),
            timer: By::system("system:timer"),
        };
        crowd.tick();
        crowd.boot();
        crowd
    }

    /// The moment of the next event: the newest is `until`.
    fn tick(&mut self) {
        let left = self.plan.events.saturating_sub(self.feeder.position + 1);
        self.now = Timestamp::from_micros(self.plan.until_us - left * self.step_us);
    }

    pub(super) fn in_steps(&self, steps: u64) -> Timestamp {
        Timestamp::from_micros(self.now.as_micros() + steps * self.step_us)
    }

    /// So many steps in milliseconds, within a range.
    pub(super) fn steps_ms(&self, steps: u64, range: &std::ops::RangeInclusive<u64>) -> u64 {
        (steps * self.step_us / 1_000).clamp(*range.start(), *range.end())
    }

    pub(super) fn later(&mut self, at: Timestamp, task: Task) {
        self.agenda.push(Reverse((at, task)));
    }

    /// Does one thing; false when there are events enough.
    pub(super) fn turn(&mut self) -> bool {
        self.tick();
        if self.agenda.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            if let Some(Reverse((_, task))) = self.agenda.pop() {
                self.task(task);
            }
        } else {
            self.arrival();
        }
        self.feeder.position < self.plan.events
    }

    fn task(&mut self, task: Task) {
        match task {
            Task::Touch(number) => self.touch(number),
            Task::End(number) => self.end(number),
            Task::SessionDue(number) => self.session_due(number),
            Task::Renew(number) => self.renew(number),
            Task::Release(number) => self.release(number),
            Task::LockDue(number) => self.lock_due(number),
            Task::BreakerDue(number) => self.breaker_due(number),
            Task::Judge(number) => self.judge(number),
        }
    }

    /// New sessions and locks come evenly; the rest of the time those that are there do something.
    fn arrival(&mut self) {
        let expected = |entities: u64| {
            let reached = u128::from(entities) * u128::from(self.feeder.position + 1) * 100;
            u64::try_from(reached / (u128::from(self.plan.events) * 95)).unwrap().min(entities)
        };
        let (sessions, locks) =
            (expected(self.plan.entities * 4 / 5), expected(self.plan.entities / 5));
        if (self.sessions.len() as u64) < sessions {
            return self.create();
        }
        if (self.locks.len() as u64) < locks {
            return self.acquire_new();
        }
        match self.chance.below(1_000) {
            0..30 => self.observe(),
            30 => self.incident(),
            31..550 => self.patch(),
            _ => self.acquire_known(),
        }
    }

    /// A caller with a correlation of its own, mostly.
    pub(super) fn caller(&mut self) -> By {
        let number = self.chance.skewed(self.principals.len() as u64);
        let principal = self.principals[usize::try_from(number).unwrap()].clone();
        let correlation = (!self.chance.percent(5)).then(|| hex(self.chance.next()).into());
        By { principal, correlation, ..By::default() }
    }

    /// A caller that may retry.
    pub(super) fn retrying(&mut self) -> By {
        let by = self.caller();
        let id = format!("{}:{}", by.principal, hex(self.chance.next()));
        By { request: Some(id.into()), ..by }
    }

    fn command(&mut self, number: u32, command: SessionCommand, by: &By) -> Vec<SessionEvent> {
        let Some(Some(session)) = self.sessions.get_mut(number as usize) else { return Vec::new() };
        let chance = self.chance.next();
        let events = self.feeder.command(session, command, by, self.now, chance);
        if matches!(session.state, SessionState::Ended { .. }) {
            let id = session.stream.id().to_owned();
            self.sessions[number as usize] = None;
            self.session_ended(&id);
        }
        events
    }

    fn create(&mut self) {
        let number = u32::try_from(self.sessions.len()).unwrap();
        let tenant = chance::tenant(&mut self.chance);
        let seed = self.plan.seed ^ (u64::from(number) << 20);
        let id = format!("{tenant}/{}", hex(seed));
        self.sessions.push(Some(Entity::new(&id)));
        let stays = self.chance.percent(self.plan.live_percent);
        let steps = 200 + self.chance.below(4_000);
        let ttl_ms = if stays { *TTL_MS.end() } else { self.steps_ms(steps, &TTL_MS) };
        let aged = !stays && self.chance.percent(10);
        let subjects = self.plan.entities.div_ceil(3);
        let command = SessionCommand::Create {
            tenant: tenant.to_owned(),
            subject: format!("user-{}", self.chance.below(subjects)),
            ttl_ms,
            max_age_ms: aged.then_some(ttl_ms * 2),
            attributes: self.attributes(3).into_iter().collect(),
        };
        let by = self.retrying();
        self.command(number, command, &by);
        if stays {
            return self.stayers.push(number);
        }
        self.session_due_later(number);
        for turn in 1..=self.chance.below(3) {
            self.later(self.in_steps(turn * steps / 2), Task::Touch(number));
        }
        if self.chance.percent(40) {
            self.later(self.in_steps(steps * 2), Task::End(number));
        }
    }

    fn attributes(&mut self, most: u64) -> BTreeMap<String, Sealed> {
        const NAMES: [&str; 6] = ["cart", "locale", "seen", "step", "theme", "variant"];
        let count = self.chance.below(most) + 1;
        let one = |_| {
            let name = NAMES[usize::try_from(self.chance.below(6)).unwrap()].to_owned();
            let length = 8 + usize::try_from(self.chance.below(24)).unwrap();
            let value = hex(self.chance.next());
            (name, Sealed::plain(value.as_bytes().get(..length).unwrap()))
        };
        (0..count).map(one).collect()
    }

    fn patch(&mut self) {
        if self.stayers.is_empty() {
            return self.observe();
        }
        let place = self.chance.skewed(self.stayers.len() as u64);
        let number = self.stayers[usize::try_from(place).unwrap()];
        let by = if self.chance.percent(20) { self.retrying() } else { self.caller() };
        if self.chance.percent(15) {
            self.command(number, SessionCommand::Touch, &by);
            return;
        }
        let changes = self.attributes(2).into_iter().map(|(name, value)| (name, Some(value)));
        let changes = changes.collect();
        self.command(number, SessionCommand::Patch { if_revision: None, changes }, &by);
    }

    fn touch(&mut self, number: u32) {
        let by = self.caller();
        self.command(number, SessionCommand::Touch, &by);
    }

    fn end(&mut self, number: u32) {
        let by = self.caller();
        self.command(number, SessionCommand::End, &by);
    }

    /// Looks at a session when its end has come; a touch may have moved it.
    fn session_due(&mut self, number: u32) {
        let by = self.timer.clone();
        self.command(number, SessionCommand::Due, &by);
        self.session_due_later(number);
    }

    fn session_due_later(&mut self, number: u32) {
        let Some(Some(session)) = self.sessions.get(number as usize) else { return };
        if let Some(at) = Session::deadline(&session.state) {
            self.later(at, Task::SessionDue(number));
        }
    }

    pub(super) fn close(self) -> Made {
        let live = self.sessions.iter().flatten().count() as u64;
        let held =
            self.locks.iter().filter(|(lock, _)| !lock.state.grants.is_empty()).count() as u64;
        let made = Made {
            events: self.feeder.position,
            sessions_live: live,
            sessions_over: self.sessions.len() as u64 - live,
            locks_held: held,
            locks_free: self.locks.len() as u64 - held,
        };
        self.feeder.close();
        made
    }
}
