//! Random walks of a lock against the promises it makes.

use mainstay_actors::lock::{
    Claim, Lock, LockCommand, LockEvent, LockReply, LockState, Mode, Range, RangeUnit,
};
use mainstay_actors::machine::Machine;
use mainstay_actors::time::Timestamp;
use proptest::prelude::*;

use crate::lock_recovery::recover;
use crate::support::Entity;

#[derive(Debug, Clone)]
enum Step {
    Acquire {
        claim: Claim,
        wait_ms: u64,
    },
    /// On the nth live lease.
    Renew(usize),
    Release(usize),
    Wrong(usize),
    Force(Option<usize>),
    SessionEnded,
    Claim(usize),
    Wait(u64),
    Timer,
    Restart,
}

fn claims() -> impl Strategy<Value = Claim> {
    let range = proptest::option::of((0_i64..6, 1_i64..4));
    (0_u8..4, any::<bool>(), range, any::<bool>(), 0_u64..2, 1_u64..8).prop_map(
        |(owner, shared, range, session, delay, ttl)| Claim {
            owner: format!("o{owner}").into(),
            session: session.then(|| "default/s1".into()),
            mode: if shared { Mode::Shared } else { Mode::Exclusive },
            range: range.map(|(from, length)| Range {
                unit: RangeUnit::Integers,
                from,
                to: from + length,
            }),
            ttl_ms: ttl * 1_000,
            delay_ms: delay * 700,
            request: None,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (claims(), 0_u64..4).prop_map(|(claim, wait)| Step::Acquire { claim, wait_ms: wait * 2_000 }),
        2 => (0_usize..3).prop_map(Step::Renew),
        4 => (0_usize..3).prop_map(Step::Release),
        1 => (0_usize..3).prop_map(Step::Wrong),
        1 => proptest::option::of(0_usize..3).prop_map(Step::Force),
        1 => Just(Step::SessionEnded),
        2 => (0_usize..3).prop_map(Step::Claim),
        3 => (0_u64..3_000).prop_map(Step::Wait),
        2 => Just(Step::Timer),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

fn command(
    state: &LockState,
    step: &Step,
    now: Timestamp,
) -> Option<(LockCommand, Option<String>)> {
    let grant = |nth: usize| state.grants.get(nth);
    Some(match step {
        Step::Acquire { claim, wait_ms } => {
            (LockCommand::Acquire { claim: claim.clone(), wait_ms: *wait_ms }, None)
        },
        Step::Renew(nth) => {
            let grant = grant(*nth)?;
            let (token, owner) = (grant.token, grant.claim.owner.to_string());
            (LockCommand::Renew { token, owner, ttl_ms: None }, None)
        },
        Step::Release(nth) => {
            let grant = grant(*nth)?;
            let (token, owner) = (grant.token, grant.claim.owner.to_string());
            (LockCommand::Release { token, owner }, None)
        },
        Step::Wrong(nth) => {
            let (token, owner) = (grant(*nth)?.token, "eve".to_owned());
            (LockCommand::Release { token, owner }, None)
        },
        Step::Force(nth) => {
            let token = nth.and_then(|nth| grant(nth).map(|grant| grant.token));
            (LockCommand::ForceRelease { token, reason: "test".to_owned() }, None)
        },
        Step::SessionEnded => {
            (LockCommand::SessionEnded { session: "default/s1".to_owned() }, None)
        },
        Step::Claim(nth) => {
            let claim = grant(*nth)?.claim.clone();
            let request = claim.request.as_ref()?.to_string();
            (LockCommand::Acquire { claim, wait_ms: 0 }, Some(request))
        },
        Step::Wait(_) | Step::Timer => (LockCommand::Due, None),
        Step::Restart => (recover(now), None),
    })
}

fn conflict(one: &Claim, other: &Claim) -> bool {
    let both_shared = one.mode == Mode::Shared && other.mode == Mode::Shared;
    let apart = one.range.zip(other.range).is_some_and(|(a, b)| !a.overlaps(&b));
    !both_shared && !apart
}

fn check_state(state: &LockState) {
    for (index, one) in state.grants.iter().enumerate() {
        for other in state.grants.iter().skip(index + 1) {
            assert!(!conflict(&one.claim, &other.claim), "two holders: {one:?} {other:?}");
        }
    }
    if state.delayed_until.is_some() {
        return;
    }
    for (index, waiter) in state.waiters.iter().enumerate() {
        let blocked = state.grants.iter().any(|grant| conflict(&grant.claim, &waiter.claim))
            || state.waiters.iter().take(index).any(|it| conflict(&it.claim, &waiter.claim));
        assert!(blocked, "{waiter:?} waits for nobody");
    }
}

/// A grant comes after every conflicting request that queued before it.
fn check_order(before: &LockState, events: &[LockEvent]) {
    let mut queue: Vec<Claim> = before.waiters.iter().map(|waiter| waiter.claim.clone()).collect();
    for event in events {
        match event {
            LockEvent::WaiterLeft(event) => {
                queue.retain(|claim| claim.request.as_deref() != Some(&*event.request));
            },
            LockEvent::LeaseGranted(event) => {
                let place = queue.iter().position(|claim| claim.request == event.claim.request);
                let place = place.filter(|_| event.claim.request.is_some());
                let earlier = queue.iter().take(place.unwrap_or(queue.len()));
                assert!(!earlier.clone().any(|claim| conflict(claim, &event.claim)), "overtaken");
                if let Some(place) = place {
                    queue.remove(place);
                }
            },
            _ => {},
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_walk_breaks_a_promise(steps in steps()) {
        let mut lock = Entity::<Lock>::given();
        lock.state.recovered_boot = 1;
        let mut last_token = 0;
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Wait(ms) => drop(lock.wait_ms(*ms)),
                Step::Timer => lock.now = Lock::deadline(&lock.state).map_or(lock.now, |at| at.max(lock.now)),
                Step::Restart => lock.boot += 1,
                _ => {},
            }
            let Some((command, request)) = command(&lock.state, step, lock.now) else { continue };
            let waits = matches!(command, LockCommand::Acquire { wait_ms: 1.., .. });
            let request = request.or_else(|| waits.then(|| format!("r{index}")));
            let before = lock.state.clone();
            // `when` encodes, decodes and folds every event, so it fails on illegal history.
            let then = match &request {
                Some(request) => lock.when_asked(request, command.clone()),
                None => lock.when(command.clone()),
            };
            for event in &then.events {
                if let LockEvent::LeaseGranted(event) = event {
                    prop_assert!(event.token > last_token);
                    last_token = event.token;
                }
            }
            check_order(&before, &then.events);
            if matches!(command, LockCommand::Recover(_)) {
                continue; // Waiters past their deadline leave with the next command.
            }
            check_state(&lock.state);
            let now = lock.now;
            prop_assert!(lock.state.grants.iter().all(|grant| grant.expires_at > now));
            prop_assert!(lock.state.waiters.iter().all(|waiter| waiter.deadline > now));
            prop_assert!(Lock::deadline(&lock.state).is_none_or(|at| at > now), "a timer would spin");
            for grant in lock.state.grants.clone() {
                let checked = lock.when(LockCommand::Check { token: grant.token }).ok();
                prop_assert_eq!(checked, LockReply::Checked { valid: true });
            }
        }
    }
}
