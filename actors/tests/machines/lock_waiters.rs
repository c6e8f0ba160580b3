//! Waiters: first come first served, durable, bounded in time, and their grants are claimed.

use mainstay_actors::lock::{Lock, LockCommand, LockReject, LockReply};
use mainstay_actors::machine::Machine;

use crate::lock_table::{acquire, claim, release, renew, shared, token_of, wait_for};
use crate::support::{Entity, Then, at};

fn held() -> (Entity<Lock>, u64) {
    let mut lock = Entity::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    (lock, token)
}

/// Who got an answer, and whether it was a lease.
fn answered(then: &Then<Lock>) -> Vec<(&str, bool)> {
    then.answers.iter().map(|answer| (answer.request.as_str(), answer.reply.is_ok())).collect()
}

#[test]
fn waiting_needs_a_request_id() {
    let (mut lock, _) = held();
    let reject = lock.when(wait_for(claim("bob"), 1_000)).reject();
    assert_eq!(reject, LockReject::WaitNeedsRequest);
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let (mut lock, token) = held();
    assert!(lock.when_asked("r1", wait_for(claim("bob"), 60_000)).is_deferred());
    assert!(lock.when_asked("r2", wait_for(claim("eve"), 60_000)).is_deferred());
    let then = lock.when(release(token, "ann"));
    assert_eq!(then.names(), "LeaseReleased+LeaseGranted");
    assert_eq!(answered(&then), [("r1", true)]);
    let next = lock.state.last_token;
    let then = lock.when(release(next, "bob"));
    assert_eq!(answered(&then), [("r2", true)]);
}

#[test]
fn the_ttl_of_a_waiter_starts_with_its_grant() {
    let (mut lock, token) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    lock.wait_ms(7_000);
    lock.when(release(token, "ann"));
    assert_eq!(lock.state.grants[0].expires_at, at(17_000));
    assert_eq!(lock.state.grants[0].claim_by, Some(at(12_000)), "min(ttl, 5 s)");
}

#[test]
fn a_newcomer_does_not_overtake_a_waiter() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(shared("ann")));
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    let LockReject::Held { holders, .. } = lock.when(acquire(shared("eve"))).reject() else {
        panic!("overtook")
    };
    assert_eq!(holders[0].owner, "ann", "the one the waiter waits for");
}

#[test]
fn shared_waiters_behind_an_exclusive_one_come_in_together() {
    let (mut lock, token) = held();
    lock.when_asked("x1", wait_for(claim("bob"), 60_000));
    lock.when_asked("s1", wait_for(shared("cat"), 60_000));
    lock.when_asked("s2", wait_for(shared("dan"), 60_000));
    lock.when_asked("x2", wait_for(claim("eve"), 60_000));
    let then = lock.when(release(token, "ann"));
    assert_eq!(answered(&then), [("x1", true)]);
    let bob = lock.state.last_token;
    let then = lock.when(release(bob, "bob"));
    assert_eq!(answered(&then), [("s1", true), ("s2", true)]);
}

#[test]
fn a_wait_that_is_over_is_answered_with_who_was_in_the_way() {
    let (mut lock, token) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 3_000));
    let then = lock.next_deadline();
    assert_eq!((lock.now, then.names()), (at(3_000), "WaiterLeft".to_owned()));
    let Err(LockReject::WaitedInVain { holders, retry_after_ms }) = &then.answers[0].reply else {
        panic!("{then:?}")
    };
    assert_eq!((holders[0].token, *retry_after_ms), (token, 7_000));
}

#[test]
fn a_waiter_past_its_deadline_is_skipped_even_when_the_timer_is_late() {
    let (mut lock, _) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 11_000));
    lock.when_asked("r2", wait_for(claim("eve"), 60_000));
    lock.wait_ms(12_000);
    let then = lock.due();
    assert_eq!(then.names(), "LeaseExpired+WaiterLeft+LeaseGranted");
    assert_eq!(answered(&then), [("r1", false), ("r2", true)]);
}

#[test]
fn a_grant_that_nobody_claims_passes_on_without_a_delay() {
    let (mut lock, token) = held();
    let mut delayed = claim("bob");
    delayed.delay_ms = 60_000;
    lock.when_asked("r1", wait_for(delayed, 60_000));
    lock.when_asked("r2", wait_for(claim("eve"), 60_000));
    lock.when(release(token, "ann"));
    let then = lock.next_deadline();
    assert_eq!(lock.now, at(5_000));
    assert_eq!(then.names(), "LeaseExpired+LeaseGranted");
    assert_eq!(answered(&then), [("r2", true)]);
}

#[test]
fn a_renewal_claims_the_grant() {
    let (mut lock, token) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    lock.when(release(token, "ann"));
    let bob = lock.state.last_token;
    lock.wait_ms(4_999);
    assert_eq!(lock.when(renew(bob, "bob")).names(), "LeaseRenewed");
    assert_eq!(Lock::deadline(&lock.state), Some(at(14_999)));
}

#[test]
fn the_same_request_claims_its_grant_once() {
    let (mut lock, token) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    lock.when(release(token, "ann"));
    let bob = lock.state.last_token;
    lock.wait_ms(1_000);
    let then = lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    assert_eq!(then.names(), "LeaseClaimed");
    assert_eq!(token_of(then), bob);
    let then = lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    assert_eq!(then.names(), "-");
    let LockReply::Lease(lease) = then.ok() else { panic!("no lease") };
    assert_eq!((lease.token, lease.expires_in_ms), (bob, 9_000), "the distance is from now");
}

#[test]
fn a_session_that_ends_leaves_the_queue_and_is_told_so() {
    let (mut lock, token) = held();
    let mut bobs = claim("bob");
    bobs.session = Some("default/s1".into());
    lock.when_asked("r1", wait_for(bobs, 60_000));
    lock.when_asked("r2", wait_for(claim("eve"), 60_000));
    let then = lock.when(LockCommand::SessionEnded { session: "default/s1".to_owned() });
    assert_eq!(then.names(), "WaiterLeft");
    assert_eq!(then.answers[0].reply, Err(LockReject::SessionEnded));
    assert_eq!(answered(&lock.when(release(token, "ann"))), [("r2", true)]);
}

#[test]
fn a_delay_holds_waiters_back_and_has_a_deadline_of_its_own() {
    let mut lock = Entity::<Lock>::given();
    let mut delayed = claim("ann");
    delayed.delay_ms = 5_000;
    lock.when(acquire(delayed));
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    assert_eq!(lock.next_deadline().names(), "LeaseExpired");
    assert_eq!(lock.next_deadline().names(), "LeaseGranted");
    assert_eq!(lock.now, at(15_000));
}

#[test]
fn a_delay_that_is_over_leaves_no_deadline_behind_a_blocked_waiter() {
    let mut lock = Entity::<Lock>::given();
    let mut delayed = shared("ann");
    delayed.delay_ms = 1_000;
    lock.when(acquire(delayed));
    let mut long = shared("bob");
    long.ttl_ms = 600_000;
    lock.when(acquire(long));
    lock.when_asked("r1", wait_for(claim("eve"), 300_000));
    lock.next_deadline();
    assert_eq!(Lock::deadline(&lock.state), Some(at(300_000)), "only the waiter's own");
}

#[test]
fn forcing_all_leases_away_lets_the_next_one_in() {
    let (mut lock, _) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    let then = lock.when(LockCommand::ForceRelease { token: None, reason: "stuck".to_owned() });
    assert_eq!(answered(&then), [("r1", true)]);
    assert_eq!(then.ok(), LockReply::Ended { released: 1 });
}

#[test]
fn a_request_whose_lease_ran_out_at_this_moment_is_spent() {
    let mut lock = Entity::<Lock>::given();
    lock.when_asked("r1", acquire(claim("ann")));
    lock.wait_ms(10_000);
    let then = lock.when_asked("r1", acquire(claim("ann")));
    assert_eq!(then.names(), "LeaseExpired");
    assert_eq!(then.reject(), LockReject::RequestSpent);
}

#[test]
fn a_request_whose_wait_ended_at_this_moment_waited_in_vain() {
    let (mut lock, _) = held();
    lock.when_asked("r1", wait_for(claim("bob"), 3_000));
    lock.wait_ms(3_000);
    let then = lock.when_asked("r1", wait_for(claim("bob"), 3_000));
    assert_eq!(then.names(), "WaiterLeft");
    assert!(matches!(then.reject(), LockReject::WaitedInVain { .. }));
}
