//! Readers of a lock write nothing. Once they did: what had run out was expired by `Show` and
//! `Check`, which so failed on a full disk and stood in the journal as the cause of an expiry.

use mainstay_actors::lock::{Lock, LockCommand, LockReply, LockView};

use crate::lock_table::{acquire, claim, release, shared, token_of, wait_for};
use crate::support::Entity;

fn shown(lock: &Entity<Lock>) -> LockView {
    let then = lock.clone().when(LockCommand::Show);
    assert_eq!(then.names(), "-", "a reader wrote");
    assert_eq!(then.answers, []);
    match then.ok() {
        LockReply::State(view) => view,
        other => panic!("not shown: {other:?}"),
    }
}

fn is_valid(lock: &Entity<Lock>, token: u64) -> bool {
    let then = lock.clone().when(LockCommand::Check { token });
    assert_eq!(then.names(), "-", "a reader wrote");
    then.ok() == LockReply::Checked { valid: true }
}

#[test]
fn a_lease_that_ran_out_is_hidden_and_its_expiry_left_to_the_timer() {
    let mut lock = Entity::<Lock>::given();
    let first = token_of(lock.when(acquire(shared("ann"))));
    let mut long = shared("bob");
    long.ttl_ms = 60_000;
    let second = token_of(lock.when(acquire(long)));
    lock.wait_ms(10_000);
    let tokens: Vec<_> = shown(&lock).holders.iter().map(|holder| holder.token).collect();
    assert_eq!(tokens, [second]);
    assert!(!is_valid(&lock, first));
    assert!(is_valid(&lock, second));
    assert_eq!(lock.due().names(), "LeaseExpired");
}

#[test]
fn the_next_waiter_is_no_holder_before_its_grant_is_journaled() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(claim("ann")));
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    lock.wait_ms(10_000);
    let view = shown(&lock);
    assert_eq!(view.holders, []);
    assert_eq!(view.waiters[0].owner, "bob");
    assert_eq!(view.last_token, lock.state.last_token);
    assert_eq!(lock.due().names(), "LeaseExpired+LeaseGranted");
    assert_eq!(shown(&lock).holders[0].owner, "bob");
}

#[test]
fn a_grant_that_nobody_claimed_in_time_is_hidden() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    lock.when(release(token, "ann"));
    let bob = lock.state.last_token;
    assert!(is_valid(&lock, bob));
    lock.wait_ms(5_000);
    assert!(!is_valid(&lock, bob));
    assert_eq!(shown(&lock).holders, []);
}

#[test]
fn a_waiter_past_its_deadline_is_hidden() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(claim("ann")));
    lock.when_asked("r1", wait_for(claim("bob"), 1_000));
    lock.when_asked("r2", wait_for(claim("eve"), 60_000));
    lock.wait_ms(1_000);
    let owners: Vec<_> = shown(&lock).waiters.into_iter().map(|waiter| waiter.owner).collect();
    assert_eq!(owners, ["eve"]);
}
