//! A retried request gets its first answer.

use mainstay_actors::lock::{
    LeaseReleased, LeaseRevoked, Lock, LockCommand, LockEvent, LockReject, LockReply,
    RefusalRecorded, RefusedFor,
};
use mainstay_actors::machine::{Again, Machine};

use crate::lock_table::{acquire, claim, release, renew, token_of, wait_for};
use crate::support::{Entity, at};

fn again(lock: &Entity<Lock>, request: &str, events: &[LockEvent]) -> Again<Lock> {
    Lock::answer_again(&lock.state, request, events, lock.now)
}

#[test]
fn a_live_lease_is_decided_again_so_that_its_distance_is_from_now() {
    let mut lock = Entity::<Lock>::given();
    let first = lock.when_asked("r1", acquire(claim("ann")));
    assert_eq!(again(&lock, "r1", &first.events), Again::Decide);
    let token = token_of(first);
    let second = lock.when_asked("r1", acquire(claim("ann")));
    assert_eq!(second.names(), "-");
    assert_eq!(token_of(second), token);
}

#[test]
fn a_lease_that_has_ended_is_spent() {
    let mut lock = Entity::<Lock>::given();
    let first = lock.when_asked("r1", acquire(claim("ann")));
    let events = first.events.clone();
    lock.when(release(token_of(first), "ann"));
    let spent = Again::Reply(Err(LockReject::RequestSpent));
    assert_eq!(again(&lock, "r1", &events), spent);
}

#[test]
fn a_lease_that_ran_out_is_spent_before_the_timer_has_fired() {
    let mut lock = Entity::<Lock>::given();
    let events = lock.when_asked("r1", acquire(claim("ann"))).events;
    lock.wait_ms(9_999);
    assert_eq!(again(&lock, "r1", &events), Again::Decide);
    lock.wait_ms(1);
    let spent = Again::Reply(Err(LockReject::RequestSpent));
    assert_eq!(again(&lock, "r1", &events), spent);
    lock.due();
    assert_eq!(again(&lock, "r1", &events), spent);
}

#[test]
fn a_waiters_grant_that_nobody_claimed_in_time_is_spent() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    let queued = lock.when_asked("r1", wait_for(claim("bob"), 60_000)).events;
    lock.when(release(token, "ann"));
    assert_eq!(again(&lock, "r1", &queued), Again::Decide);
    lock.wait_ms(5_000);
    assert_eq!(again(&lock, "r1", &queued), Again::Reply(Err(LockReject::RequestSpent)));
}

#[test]
fn a_waiter_still_waits_and_is_spent_when_it_has_left() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(claim("ann")));
    let queued = lock.when_asked("r1", wait_for(claim("bob"), 1_000));
    assert_eq!(again(&lock, "r1", &queued.events), Again::Waiting);
    assert!(lock.when_asked("r1", wait_for(claim("bob"), 1_000)).is_deferred());
    lock.next_deadline();
    let spent = Again::Reply(Err(LockReject::RequestSpent));
    assert_eq!(again(&lock, "r1", &queued.events), spent);
}

#[test]
fn a_release_is_answered_from_its_events_whatever_it_let_in() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.when_asked("w1", wait_for(claim("bob"), 60_000));
    let then = lock.when_asked("r1", release(token, "ann"));
    let ended = Again::Reply(Ok(LockReply::Ended { released: 1 }));
    assert_eq!(again(&lock, "r1", &then.events), ended);
}

#[test]
fn taken_leases_are_counted_again() {
    let revoked = |token| LockEvent::from(LeaseRevoked { token, reason: "stuck".to_owned() });
    let lock = Entity::<Lock>::given();
    let ended = Again::Reply(Ok(LockReply::Ended { released: 2 }));
    assert_eq!(again(&lock, "r1", &[revoked(1), revoked(2)]), ended);
}

#[test]
fn a_sessions_end_and_a_recorded_refusal_are_answered_again() {
    let lock = Entity::<Lock>::given();
    let released = LeaseReleased { token: 1, session: Some("default/s1".to_owned()) };
    assert_eq!(again(&lock, "r1", &[released.into()]), Again::Reply(Ok(LockReply::Done)));
    let (owner, command) = ("eve".to_owned(), "renew".to_owned());
    let because = RefusedFor::Owner;
    let refused = RefusalRecorded { token: 7, owner, command, because, at: at(0) };
    let held = Again::Reply(Err(LockReject::HeldByOther { token: 7 }));
    assert_eq!(again(&lock, "r1", &[refused.clone().into()]), held);
    let stale = RefusalRecorded { because: RefusedFor::Token, ..refused };
    let gone = Again::Reply(Err(LockReject::NotHeld { token: 7 }));
    assert_eq!(again(&lock, "r1", &[stale.into()]), gone);
}

#[test]
fn renewals_and_what_only_time_did_are_decided_again() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    let renewed = lock.when_asked("r1", renew(token, "ann"));
    assert_eq!(again(&lock, "r1", &renewed.events), Again::Decide);
    lock.wait_ms(60_000);
    let expired = lock.when_asked("r2", LockCommand::Due);
    assert_eq!(expired.names(), "LeaseExpired");
    assert_eq!(again(&lock, "r2", &expired.events), Again::Decide);
}
