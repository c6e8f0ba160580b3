//! A restore: its own event, and what it makes of a lock, a session and the world.

use mainstay_actors::lock::{LeasesFenced, Lock, LockCommand, LockReject, LockReply};
use mainstay_actors::machine::{Again, Machine, Restart};
use mainstay_actors::session::{EndReason, Session, SessionCommand, SessionFenced, SessionState};
use mainstay_actors::system::{Restored, System, SystemCommand};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, World};

use crate::lock_table::{acquire, claim, token_of, wait_for};
use crate::support::{Entity, at};

const FENCE: Timestamp = at(90_000);

fn restart() -> Restart {
    Restart { alive_at: at(0), booted_at: at(95_000), fence: Some(FENCE) }
}

fn restore(floor: Timestamp) -> SystemCommand {
    let source = "backup".to_owned();
    SystemCommand::Restore { fork_epoch: 1, fork_position: 9, source, floor }
}

#[test]
fn a_restore_lies_behind_its_floor_and_never_before_the_last_one() {
    let mut system = Entity::<System>::given();
    system.now = at(5_000);
    system.when(restore(at(1_000)));
    assert_eq!((system.state.restored, system.state.restores), (Some(at(5_000)), 1));
    system.when(restore(at(60_000)));
    let fence = at(60_000).plus_us(1);
    assert_eq!((system.state.restored, system.state.restores), (Some(fence), 2));
    // The wall clock went back.
    system.now = at(7_000);
    system.when(restore(at(6_000)));
    assert_eq!((system.state.restored, system.state.restores), (Some(fence), 3));
    for (at, floor) in [(at(6_500), at(6_000)), (at(70_000), at(70_000))] {
        let source = String::new();
        let event = Restored { fork_epoch: 1, fork_position: 9, source, at, floor };
        assert!(System::apply(system.state.clone(), &event.into()).is_err(), "{at}");
    }
}

#[test]
fn a_fence_ends_every_lease_and_waiter_of_a_lock_in_one_event_and_tokens_rise_on() {
    let mut lock = Entity::<Lock>::given();
    assert_eq!(Lock::recover(&lock.state, restart()), None);
    let mut mine = claim("ann");
    mine.delay_ms = 5_000;
    let token = token_of(lock.when_asked("r1", acquire(mine)));
    lock.when_asked("r2", wait_for(claim("bob"), 600_000));
    let events = lock.state.clone();
    let owed = Lock::recover(&lock.state, restart());
    assert_eq!(owed, Some(LockCommand::Fence { at: FENCE }), "and no time to renew");
    // The lease has run out meanwhile, and bob would be served.
    lock.wait_ms(90_000);
    let then = lock.when(LockCommand::Fence { at: FENCE });
    let fenced = LeasesFenced { at: FENCE, tokens: vec![token], waiters: 1 };
    assert_eq!((then.events.as_slice(), then.answers.as_slice()), (&[fenced.into()][..], &[][..]));
    assert!(!lock.state.is_in_use() && lock.state.delayed_until.is_none());
    assert_eq!(Lock::deadline(&lock.state), None);
    assert_eq!(Lock::recover(&lock.state, restart()), None);
    let checked = lock.when(LockCommand::Check { token }).ok();
    assert_eq!(checked, LockReply::Checked { valid: false });
    assert!(token_of(lock.when(acquire(claim("eve")))) > token);
    // The granted and the queued request are spent.
    let granted = mainstay_actors::lock::LeaseGranted {
        token,
        claim: events.grants[0].claim.clone(),
        expires_at: at(10_000),
        claim_by: None,
    };
    let again = Lock::answer_again(&lock.state, "r1", &[granted.into()], lock.now);
    assert_eq!(again, Again::Reply(Err(LockReject::RequestSpent)));
}

#[test]
fn a_fence_ends_a_session_for_good_whether_it_has_run_out_or_not() {
    let mut session = Entity::<Session>::given();
    assert_eq!(Session::recover(&session.state, restart()), None);
    session.when(crate::session_rules::create());
    let plain = Restart { fence: None, ..restart() };
    assert_eq!(Session::recover(&session.state, plain), None);
    let owed = Session::recover(&session.state, restart());
    assert_eq!(owed, Some(SessionCommand::Fence { at: FENCE }));
    session.when(SessionCommand::Fence { at: FENCE });
    assert_eq!(session.state, SessionState::Ended { reason: EndReason::Restored, at: FENCE });
    assert_eq!(Session::recover(&session.state, restart()), None);
}

#[test]
fn a_world_shows_nothing_that_a_restore_has_ended_and_takes_no_other_word_for_it() {
    let mut world = World::default();
    let mut lock = Entity::<Lock>::given();
    let granted = lock.when(acquire(claim("ann"))).events;
    let created = Entity::<Session>::given().when(crate::session_rules::create()).events;
    let lock_event = |event: &_| AnyEvent::Lock(Clone::clone(event));
    world.apply("room", &lock_event(&granted[0])).unwrap();
    world.apply("default/one", &AnyEvent::Session(created[0].clone())).unwrap();
    let before = world.clone();
    let mut system = Entity::<System>::given();
    let restored = system.when(restore(at(80_000))).events;
    world.apply("restore", &AnyEvent::System(restored[0].clone())).unwrap();
    assert!(world.locks.is_empty() && world.sessions.is_empty());
    assert_eq!((&world.fenced.locks, &world.fenced.sessions), (&before.locks, &before.sessions));

    // No lease of before the fork goes on, and none begins beside it.
    let renewed = lock.when(crate::lock_table::renew(lock.state.last_token, "ann")).events;
    let early = world.apply("room", &lock_event(&renewed[0])).unwrap_err();
    assert!(early.to_string().contains("fenced by a restore"), "{early}");
    let tokens = vec![lock.state.last_token];
    let fenced = LeasesFenced { at: FENCE, tokens, waiters: 0 };
    world.apply("room", &AnyEvent::Lock(fenced.clone().into())).unwrap();
    assert!(!world.locks.get("room").unwrap().is_in_use());
    assert!(world.apply("room", &AnyEvent::Lock(fenced.into())).is_err(), "it holds none");
    let ended = AnyEvent::Session(SessionFenced { at: FENCE }.into());
    world.apply("default/one", &ended).unwrap();
    assert!(world.apply("default/one", &ended).is_err(), "it has ended");
    assert!(world.fenced.locks.is_empty() && world.fenced.sessions.is_empty());
}
