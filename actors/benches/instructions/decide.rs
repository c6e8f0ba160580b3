//! Decisions of the pure machines, each with the fold of its events.

use mainstay_actors::dependency::{
    BreakerSettings, Dependency, DependencyCommand, DependencyState, Settings,
};
use mainstay_actors::gate::{Gate, Outcome, Report};
use mainstay_actors::lock::{Lock, LockCommand, LockState};
use mainstay_actors::session::{Session, SessionState};

use crate::journal::{at, claim, context, create, decide, patch, token};

pub(crate) const ROUNDS: u64 = 1_000;
pub(crate) const WAITERS: u64 = 100;
pub(crate) const WINDOWS: u64 = 50;
pub(crate) const OUTCOMES: u64 = WINDOWS * OUTCOMES_OF_ONE;

/// Outcomes of one window.
const OUTCOMES_OF_ONE: u64 = 100;

fn release(token: u64, owner: &str) -> LockCommand {
    LockCommand::Release { token, owner: owner.to_owned() }
}

pub(crate) fn lock() -> Box<dyn FnMut()> {
    let mut state = LockState::default();
    Box::new(move || {
        for n in 0..ROUNDS {
            let now = context(at(n), None);
            let acquire = LockCommand::Acquire { claim: claim("worker-1"), wait_ms: 0 };
            let (_, reply) = decide::<Lock>(&mut state, acquire, &now);
            decide::<Lock>(&mut state, release(token(&reply), "worker-1"), &now);
        }
    })
}

pub(crate) fn lock_queue() -> Box<dyn FnMut()> {
    let mut state = LockState::default();
    for n in 0..=WAITERS {
        let request = format!("request-{n}");
        let acquire =
            LockCommand::Acquire { claim: claim(&format!("worker-{n}")), wait_ms: 600_000 };
        decide::<Lock>(&mut state, acquire, &context(at(n), Some(&request)));
    }
    assert_eq!(state.waiters.len() as u64, WAITERS);
    Box::new(move || {
        for n in 0..WAITERS {
            let token = state.last_token;
            decide::<Lock>(
                &mut state,
                release(token, &format!("worker-{n}")),
                &context(at(1_000 + n), None),
            );
        }
        assert!(state.waiters.is_empty());
    })
}

pub(crate) fn session() -> Box<dyn FnMut()> {
    let mut state = SessionState::default();
    decide::<Session>(&mut state, create(), &context(at(0), None));
    Box::new(move || {
        for n in 0..ROUNDS {
            decide::<Session>(&mut state, patch(n), &context(at(n), None));
        }
    })
}

/// A gate that follows a closed breaker.
fn gate(state: &mut DependencyState) -> Gate {
    let breaker = BreakerSettings::default();
    let settings = Settings { weight: 1, cap: None, breaker, from_file: true };
    let configure = DependencyCommand::Configure(Box::new(settings));
    decide::<Dependency>(state, configure, &context(at(0), None));
    let mut gate = Gate::new(1);
    gate.sync(state, at(0));
    gate
}

/// The outcomes of all windows; returns what is for the machine.
fn outcomes(gate: &mut Gate) -> Vec<DependencyCommand> {
    let mut commands = Vec::new();
    for n in 0..WINDOWS {
        let began_ms = n * 10_000;
        for call in 0..OUTCOMES_OF_ONE {
            let outcome = if call % 10 == 0 { Outcome::Failure } else { Outcome::Success };
            let duration_us = 1_000 + call * 37;
            let report =
                Report { permit: None, outcome, duration_us, probe: false, injected: false };
            commands.extend(gate.record(report, at(began_ms + call * 90)));
        }
        commands.extend(gate.tick(at(began_ms + 9_999)));
    }
    commands
}

pub(crate) fn outcome() -> Box<dyn FnMut()> {
    let mut gate = gate(&mut DependencyState::default());
    Box::new(move || {
        std::hint::black_box(outcomes(&mut gate));
    })
}

pub(crate) fn dependency() -> Box<dyn FnMut()> {
    let mut state = DependencyState::default();
    let mut commands = outcomes(&mut gate(&mut state));
    commands.truncate(usize::try_from(WINDOWS).unwrap());
    assert_eq!(commands.len() as u64, WINDOWS);
    let mut commands = commands.into_iter();
    Box::new(move || {
        for (n, command) in (1..).zip(commands.by_ref()) {
            decide::<Dependency>(&mut state, command, &context(at(n * 10_000), None));
        }
    })
}
