//! Ranges are half-open, of one unit a lock, and without one a claim is for everything.

use mainstay_actors::lock::{Claim, Lock, LockReject, Range, RangeUnit};

use crate::lock_table::{acquire, claim, release, shared, token_of, wait_for};
use crate::support::Entity;

const fn range(from: i64, to: i64) -> Range {
    Range { unit: RangeUnit::Dates, from, to }
}

fn ranged(owner: &str, from: i64, to: i64) -> Claim {
    Claim { range: Some(range(from, to)), ..claim(owner) }
}

#[test]
fn neighbours_share_a_bound_and_do_not_overlap() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(ranged("ann", 10, 20)));
    assert_eq!(lock.when(acquire(ranged("bob", 20, 30))).names(), "LeaseGranted");
    assert_eq!(lock.when(acquire(ranged("cat", 0, 10))).names(), "LeaseGranted");
    assert!(matches!(lock.when(acquire(ranged("dan", 19, 21))).reject(), LockReject::Held { .. }));
    assert!(matches!(lock.when(acquire(ranged("eve", 12, 13))).reject(), LockReject::Held { .. }));
}

#[test]
fn no_range_is_all_of_it() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(ranged("ann", 10, 20))));
    assert!(matches!(lock.when(acquire(claim("bob"))).reject(), LockReject::Held { .. }));
    lock.when(release(token, "ann"));
    lock.when(acquire(claim("bob")));
    assert!(matches!(lock.when(acquire(ranged("ann", 1, 2))).reject(), LockReject::Held { .. }));
}

#[test]
fn shared_claims_overlap_freely() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(Claim { range: Some(range(0, 10)), ..shared("ann") }));
    let second = Claim { range: Some(range(5, 15)), ..shared("bob") };
    assert_eq!(lock.when(acquire(second)).names(), "LeaseGranted");
}

#[test]
fn an_empty_or_reversed_range_is_refused() {
    for (from, to) in [(5, 5), (6, 5)] {
        let reject = Entity::<Lock>::given().when(acquire(ranged("ann", from, to))).reject();
        assert!(matches!(reject, LockReject::OutOfRange { field: "range", .. }));
    }
}

#[test]
fn a_lock_keeps_the_unit_of_its_first_range() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(ranged("ann", 0, 1))));
    lock.when(release(token, "ann"));
    let times = Some(Range { unit: RangeUnit::Times, from: 0, to: 1 });
    let reject = lock.when(acquire(Claim { range: times, ..claim("bob") })).reject();
    assert_eq!(reject, LockReject::OtherUnit { unit: RangeUnit::Dates });
}

#[test]
fn a_waiter_for_another_part_does_not_hold_anybody_up() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(ranged("ann", 0, 10)));
    lock.when_asked("r1", wait_for(ranged("bob", 5, 15), 60_000));
    assert_eq!(lock.when(acquire(ranged("cat", 20, 30))).names(), "LeaseGranted");
    let behind_bob = lock.when(acquire(ranged("dan", 12, 14))).reject();
    assert!(matches!(behind_bob, LockReject::Held { .. }));
}

#[test]
fn one_release_can_let_several_waiters_in() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.when_asked("r1", wait_for(ranged("bob", 0, 10), 60_000));
    lock.when_asked("r2", wait_for(ranged("cat", 5, 15), 60_000));
    lock.when_asked("r3", wait_for(ranged("dan", 10, 20), 60_000));
    lock.when_asked("r4", wait_for(ranged("eve", 20, 30), 60_000));
    let then = lock.when(release(token, "ann"));
    let granted: Vec<_> = then.answers.iter().map(|answer| answer.request.as_str()).collect();
    assert_eq!(granted, ["r1", "r4"], "r3 stands behind r2");
}
