//! Leases: tokens, ends, owners, limits.

use mainstay_actors::lock::{
    Lease, Lock, LockCommand, LockReject, LockReply, MAX_GRANTS, MAX_WAITERS,
};
use mainstay_actors::machine::Machine;

use crate::lock_table::{acquire, claim, release, renew, shared, token_of, wait_for};
use crate::support::{Entity, START, at};

#[test]
fn a_token_is_the_time_in_microseconds_or_one_more_than_the_last() {
    let mut lock = Entity::<Lock>::given();
    let first = token_of(lock.when(acquire(shared("ann"))));
    assert_eq!(first, START.as_micros());
    assert_eq!(token_of(lock.when(acquire(shared("bob")))), first + 1);
    lock.wait_ms(1);
    assert_eq!(token_of(lock.when(acquire(shared("eve")))), first + 1_000);
}

#[test]
fn tokens_rise_even_when_the_clock_does_not() {
    let mut lock = Entity::<Lock>::given();
    lock.state.last_token = u64::from(u32::MAX) * 1_000_000_000;
    let last = lock.state.last_token;
    assert_eq!(token_of(lock.when(acquire(claim("ann")))), last + 1);
}

#[test]
fn a_lease_tells_its_end_as_a_moment_and_as_a_distance() {
    let mut lock = Entity::<Lock>::given();
    let lease = lock.when(acquire(claim("ann"))).ok();
    let token = START.as_micros();
    assert_eq!(
        lease,
        LockReply::Lease(Lease { token, expires_at: at(10_000), expires_in_ms: 10_000 })
    );
}

#[test]
fn a_lease_that_has_run_out_is_not_live_even_when_no_timer_has_fired() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.wait_ms(10_000);
    let mut checked = lock.clone();
    assert_eq!(
        checked.when(LockCommand::Check { token }).ok(),
        LockReply::Checked { valid: false }
    );
    assert_eq!(lock.clone().when(renew(token, "ann")).reject(), LockReject::NotHeld { token });
    let then = lock.when(acquire(claim("bob")));
    assert_eq!(then.names(), "LeaseExpired+LeaseGranted");
    assert!(token_of(then) > token);
}

#[test]
fn a_lease_is_live_up_to_its_last_microsecond() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.now = mainstay_actors::time::Timestamp::from_micros(at(10_000).as_micros() - 1);
    assert_eq!(lock.when(LockCommand::Check { token }).ok(), LockReply::Checked { valid: true });
    assert_eq!(lock.when(renew(token, "ann")).names(), "LeaseRenewed");
}

#[test]
fn renewing_counts_from_now_and_may_change_the_length() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.wait_ms(4_000);
    lock.when(renew(token, "ann"));
    assert_eq!(Lock::deadline(&lock.state), Some(at(14_000)));
    let owner = "ann".to_owned();
    lock.when(LockCommand::Renew { token, owner, ttl_ms: Some(60_000) });
    lock.wait_ms(1_000);
    lock.when(renew(token, "ann"));
    assert_eq!(Lock::deadline(&lock.state), Some(at(65_000)));
}

#[test]
fn the_same_owner_does_not_get_the_lock_twice() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(claim("ann")));
    assert!(matches!(lock.when(acquire(claim("ann"))).reject(), LockReject::Held { .. }));
}

#[test]
fn a_refusal_names_the_holders_and_when_the_first_of_them_ends() {
    let mut lock = Entity::<Lock>::given();
    let mut long = shared("ann");
    long.ttl_ms = 60_000;
    lock.when(acquire(long));
    lock.when(acquire(shared("bob")));
    lock.wait_ms(1_500);
    let LockReject::Held { holders, retry_after_ms } = lock.when(acquire(claim("eve"))).reject()
    else {
        panic!("granted")
    };
    let owners: Vec<_> = holders.iter().map(|holder| holder.owner.as_str()).collect();
    assert_eq!((owners, retry_after_ms), (vec!["ann", "bob"], 8_500));
}

#[test]
fn another_owners_release_is_refused_and_recorded_once_a_second() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    let held_by_other = LockReject::HeldByOther { token };
    let first = lock.when(release(token, "eve"));
    assert_eq!(first.names(), "RefusalRecorded");
    assert_eq!(first.reject(), held_by_other);
    lock.wait_ms(999);
    let second = lock.when(renew(token, "eve"));
    assert_eq!(second.names(), "-");
    assert_eq!(second.reject(), held_by_other);
    lock.wait_ms(1);
    assert_eq!(lock.when(release(token, "eve")).names(), "RefusalRecorded");
    assert_eq!(lock.when(release(token, "ann")).names(), "LeaseReleased");
}

#[test]
fn a_token_that_is_no_lease_any_more_is_refused_and_recorded_once_a_second() {
    let mut lock = Entity::<Lock>::given();
    assert_eq!(lock.when(renew(1, "eve")).names(), "-", "nobody's lock records nothing");
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.when(release(token, "ann"));
    let stale = lock.when(renew(token, "ann"));
    assert_eq!(stale.names(), "RefusalRecorded");
    assert_eq!(stale.reject(), LockReject::NotHeld { token });
    lock.wait_ms(999);
    assert_eq!(lock.when(release(token, "ann")).names(), "-");
    lock.wait_ms(1);
    assert_eq!(lock.when(release(token, "ann")).names(), "RefusalRecorded");
}

#[test]
fn a_token_that_is_made_up_hides_no_attempt_by_another_owner() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    assert_eq!(lock.when(release(7, "eve")).names(), "RefusalRecorded");
    assert_eq!(lock.when(release(token, "eve")).names(), "RefusalRecorded");
    assert_eq!(lock.when(release(token, "eve")).names(), "-");
    assert_eq!(lock.when(release(7, "eve")).names(), "-");
}

#[test]
fn a_delay_follows_an_expiry_but_not_a_release() {
    let mut delayed = claim("ann");
    delayed.delay_ms = 5_000;
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(delayed.clone())));
    lock.when(release(token, "ann"));
    token_of(lock.when(acquire(delayed)));
    lock.wait_ms(12_000);
    let LockReject::Held { holders, retry_after_ms } = lock.when(acquire(claim("bob"))).reject()
    else {
        panic!("granted")
    };
    assert_eq!((holders.len(), retry_after_ms), (0, 3_000), "the delay counts from the end");
    lock.wait_ms(3_000);
    assert_eq!(lock.when(acquire(claim("bob"))).names(), "LeaseGranted");
}

#[test]
fn a_sessions_end_releases_its_leases_only() {
    let mut lock = Entity::<Lock>::given();
    let mut mine = shared("ann");
    mine.session = Some("default/s1".into());
    lock.when(acquire(mine));
    let other = token_of(lock.when(acquire(shared("bob"))));
    let then = lock.when(LockCommand::SessionEnded { session: "default/s1".to_owned() });
    assert_eq!(then.names(), "LeaseReleased");
    let live: Vec<_> = lock.state.grants.iter().map(|grant| grant.token).collect();
    assert_eq!(live, [other]);
}

#[test]
fn an_operator_takes_one_lease_or_all() {
    let mut lock = Entity::<Lock>::given();
    let first = token_of(lock.when(acquire(shared("ann"))));
    lock.when(acquire(shared("bob")));
    lock.when(acquire(shared("eve")));
    let force = |token| LockCommand::ForceRelease { token, reason: "stuck".to_owned() };
    assert_eq!(lock.when(force(Some(first))).ok(), LockReply::Ended { released: 1 });
    assert_eq!(lock.when(force(None)).ok(), LockReply::Ended { released: 2 });
    assert_eq!(lock.when(force(None)).ok(), LockReply::Ended { released: 0 });
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let refused = |command: LockCommand| match Entity::<Lock>::given().when(command).reject() {
        LockReject::OutOfRange { field, .. } => field,
        other => panic!("{other}"),
    };
    let with = |change: fn(&mut mainstay_actors::lock::Claim)| {
        let mut claim = claim("ann");
        change(&mut claim);
        acquire(claim)
    };
    assert_eq!(refused(with(|claim| claim.owner = "".into())), "owner");
    assert_eq!(refused(with(|claim| claim.owner = "o".repeat(201).into())), "owner");
    assert_eq!(refused(with(|claim| claim.ttl_ms = 99)), "ttl_ms");
    assert_eq!(refused(with(|claim| claim.ttl_ms = 604_800_001)), "ttl_ms");
    assert_eq!(refused(with(|claim| claim.delay_ms = 60_001)), "lock_delay_ms");
    assert_eq!(refused(with(|claim| claim.session = Some("".into()))), "session");
    assert_eq!(refused(wait_for(claim("ann"), 600_001)), "wait_ms");
    let renewed = LockCommand::Renew { token: 1, owner: "ann".to_owned(), ttl_ms: Some(1) };
    assert_eq!(refused(renewed), "ttl_ms");
    assert_eq!(refused(release(1, "")), "owner");
    let unexplained = LockCommand::ForceRelease { token: None, reason: String::new() };
    assert_eq!(refused(unexplained), "reason");
}

#[test]
fn leases_and_waiters_are_bounded() {
    let mut lock = Entity::<Lock>::given();
    for n in 0..MAX_GRANTS {
        lock.when(acquire(shared(&format!("o{n}"))));
    }
    let full = lock.when(acquire(shared("one more"))).reject();
    assert_eq!(full, LockReject::TooManyGrants);
    let waiter = lock.state.grants[0].claim.clone();
    for n in 0..MAX_WAITERS {
        let claim = mainstay_actors::lock::Claim {
            request: Some(format!("r{n}").into()),
            ..waiter.clone()
        };
        let deadline = at(500_000);
        lock.state.waiters.push_back(mainstay_actors::lock::Waiter { claim, deadline });
    }
    let full = lock.when_asked("last", wait_for(claim("one more"), 1_000)).reject();
    assert_eq!(full, LockReject::TooManyWaiters);
}
