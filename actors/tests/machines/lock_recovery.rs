//! After a restart: leases that were alive get time to be renewed, once a boot.

use mainstay_actors::lock::{Claim, Lock, LockCommand, LockReply, Mode};
use mainstay_actors::machine::{Machine, Restart};
use mainstay_actors::time::Timestamp;

use crate::lock_table::{acquire, claim, release, renew, token_of, wait_for};
use crate::support::{Entity, at};

/// Every lease of these tests was alive when the journal ended.
pub(crate) const fn recover(booted_at: Timestamp) -> LockCommand {
    LockCommand::Recover(Restart { alive_at: at(0), booted_at, fence: None })
}

#[test]
fn a_lease_that_ran_out_while_the_server_was_down_can_be_renewed() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.boot = 2;
    lock.wait_ms(3_600_000);
    let then = lock.when(recover(lock.now));
    assert_eq!(then.names(), "LeaseExtended");
    assert_eq!(lock.state.grants[0].expires_at, at(3_610_000));
    assert_eq!(lock.when(renew(token, "ann")).names(), "LeaseRenewed");
}

#[test]
fn a_short_lease_is_extended_by_its_own_length_only() {
    let mut lock = Entity::<Lock>::given();
    let mut short = claim("ann");
    short.ttl_ms = 500;
    lock.when(acquire(short));
    lock.boot = 2;
    lock.wait_ms(60_000);
    lock.when(recover(lock.now));
    assert_eq!(lock.state.grants[0].expires_at, at(60_500));
}

#[test]
fn a_lease_that_lasts_longer_keeps_its_end() {
    let mut lock = Entity::<Lock>::given();
    let mut long = claim("ann");
    long.ttl_ms = 3_600_000;
    lock.when(acquire(long));
    lock.boot = 2;
    lock.wait_ms(1_000);
    let before = lock.state.clone();
    assert_eq!(lock.when(recover(lock.now)).names(), "-", "nothing to record");
    assert_eq!(lock.state, before);
    // Beside one that is extended it keeps its end, too.
    let mut short = claim("ben");
    (short.mode, short.ttl_ms) = (Mode::Shared, 1_500);
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(Claim { ttl_ms: 3_600_000, ..short.clone() }));
    lock.when(acquire(short));
    lock.boot = 2;
    lock.wait_ms(1_000);
    assert_eq!(lock.when(recover(lock.now)).names(), "LeaseExtended");
    let ends: Vec<_> = lock.state.grants.iter().map(|grant| grant.expires_at).collect();
    assert_eq!(ends, [at(3_600_000), at(2_500)]);
}

#[test]
fn the_time_counts_from_the_restart_however_late_the_lock_is_asked() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.boot = 2;
    lock.wait_ms(60_000);
    let booted_at = lock.now;
    lock.wait_ms(9_000);
    assert_eq!(lock.when(recover(booted_at)).names(), "LeaseExtended");
    assert_eq!(lock.state.grants[0].expires_at, at(70_000));
    assert_eq!(lock.when(renew(token, "ann")).names(), "LeaseRenewed");
    // Asked again in the same boot, it is owed nothing more.
    let restart = Restart { alive_at: at(0), booted_at, fence: None };
    assert_eq!(Lock::recover(&lock.state, restart), None);
}

#[test]
fn a_boot_extends_leases_once() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(claim("ann")));
    lock.boot = 2;
    lock.wait_ms(1_000);
    assert_eq!(lock.when(recover(lock.now)).names(), "LeaseExtended");
    lock.wait_ms(10_000);
    assert_eq!(lock.when(recover(lock.now)).names(), "LeaseExpired");
}

#[test]
fn a_grant_that_waits_for_its_claim_gets_time_too() {
    let mut lock = Entity::<Lock>::given();
    let token = token_of(lock.when(acquire(claim("ann"))));
    lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    lock.when(release(token, "ann"));
    lock.boot = 2;
    lock.wait_ms(3_600_000);
    lock.when(recover(lock.now));
    assert_eq!(Lock::deadline(&lock.state), Some(at(3_605_000)));
    lock.wait_ms(4_999);
    let then = lock.when_asked("r1", wait_for(claim("bob"), 60_000));
    assert_eq!(then.names(), "LeaseClaimed");
}

#[test]
fn a_lock_without_leases_needs_no_recovery() {
    let mut lock = Entity::<Lock>::given();
    let restart = Restart { alive_at: at(0), booted_at: at(5_000), fence: None };
    assert_eq!(Lock::recover(&lock.state, restart), None);
    let token = token_of(lock.when(acquire(claim("ann"))));
    assert_eq!(Lock::recover(&lock.state, restart), Some(LockCommand::Recover(restart)));
    lock.when(release(token, "ann"));
    lock.boot = 2;
    let then = lock.when(recover(lock.now));
    assert_eq!((then.names().as_str(), then.ok()), ("-", LockReply::Done));
}

#[test]
fn a_lease_that_had_ended_before_the_journal_did_stays_ended() {
    let mut lock = Entity::<Lock>::given();
    lock.when(acquire(claim("ann")));
    let end = lock.state.grants[0].expires_at;
    lock.boot = 2;
    lock.wait_ms(3_600_000);
    let then = lock.when(LockCommand::Recover(Restart {
        alive_at: end,
        booted_at: lock.now,
        fence: None,
    }));
    assert_eq!(then.names(), "LeaseExpired");
}
