//! The largest decisions are one append of the journal. Once a release in front of 1,000 shared
//! waiters was larger than that, and was refused again and again.

use mainstay_actors::codec::Payload;
use mainstay_actors::lock::{
    Claim, Grant, Lock, LockCommand, LockEvent, LockReply, LockState, MAX_GRANTS, MAX_WAITERS,
    Mode, Range, RangeUnit, Waiter,
};
use mainstay_actors::machine::Machine;

use crate::lock_recovery::recover;
use crate::lock_table::{release, shared};
use crate::support::{Entity, START, Then, at};

const APPEND_BYTES: usize = 1 << 20;
const RECORD_BYTES: usize = 32 * 1024;
/// A record's fixed part, the stream of a lock, and a cause.
const FRAME_BYTES: usize = 44 + 205 + 12;
/// `local` with an `Idempotency-Key` and a trace of 200 bytes each: the longest over HTTP.
const CALLER_BYTES: usize = 5 + (206 + 8) + 200;
/// A timer or a rule between entities has neither.
const INTERNAL_BYTES: usize = 32;
/// The owner as a tag.
const TAG_BYTES: usize = 3 + 200;

fn large(n: usize, session: Option<&str>) -> Claim {
    let mut claim = shared(&"o".repeat(200));
    claim.session = Some(session.map_or_else(|| format!("{n:s>401}").into(), Into::into));
    claim.range = Some(Range { unit: RangeUnit::Times, from: i64::MIN, to: i64::MAX });
    claim.ttl_ms = 7 * 24 * 3_600 * 1_000;
    claim.delay_ms = 60_000;
    claim.request = Some(format!("{n:r>512}").into());
    claim
}

/// So many leases up to the end of `lease_ms`, and waiters up to that of `wait_ms`.
fn full(leases: usize, lease_ms: u64, wait_ms: u64, session: Option<&str>) -> Entity<Lock> {
    let grants = (0..leases).map(|n| Grant {
        token: START.as_micros() + n as u64,
        claim: large(n, session),
        expires_at: at(lease_ms),
        claim_by: None,
    });
    let waiters = (0..MAX_WAITERS)
        .map(|n| Waiter { claim: large(MAX_GRANTS + n, session), deadline: at(wait_ms) });
    Entity::at_state(LockState {
        last_token: START.as_micros() + 1_000,
        unit: Some(RangeUnit::Times),
        grants: grants.collect(),
        waiters: waiters.collect(),
        ..LockState::default()
    })
}

/// All that one decision appends, and its largest record.
fn sizes(then: &Then<Lock>, caller_bytes: usize) -> (usize, usize) {
    let records = then.events.iter().map(|event| {
        let mut bytes = Vec::new();
        event.encode(&mut bytes).expect("an event can be written");
        let tag = if matches!(event, LockEvent::LeaseGranted(_)) { TAG_BYTES } else { 0 };
        bytes.len() + FRAME_BYTES + caller_bytes + tag
    });
    let records: Vec<usize> = records.collect();
    (records.iter().sum(), records.into_iter().max().unwrap_or_default())
}

fn assert_fits(then: &Then<Lock>, caller_bytes: usize) {
    let (sum, largest) = sizes(then, caller_bytes);
    assert!(sum < APPEND_BYTES, "{sum} bytes in {} events", then.events.len());
    assert!(largest < RECORD_BYTES, "{largest} bytes");
}

/// The timer, until nothing is due; how often it fired.
fn settle(lock: &mut Entity<Lock>) -> usize {
    for fired in 0..100 {
        if Lock::deadline(&lock.state).is_none_or(|due| due > lock.now) {
            return fired;
        }
        let then = lock.due();
        assert_ne!(then.names(), "-", "a timer spins");
        assert_fits(&then, INTERNAL_BYTES);
    }
    panic!("never settles")
}

fn granted(then: &Then<Lock>) -> usize {
    then.events.iter().filter(|event| matches!(event, LockEvent::LeaseGranted(_))).count()
}

#[test]
fn a_release_lets_a_thousand_waiters_in_by_portions_and_in_order() {
    let mut lock = full(1, 60_000, 60_000, None);
    lock.state.grants[0].claim.mode = Mode::Exclusive;
    let queue: Vec<_> = lock.state.waiters.iter().map(|it| it.claim.request.clone()).collect();
    let then = lock.when_asked("r", release(START.as_micros(), &"o".repeat(200)));
    assert_fits(&then, CALLER_BYTES);
    assert_eq!(granted(&then), 256);
    assert_eq!(then.answers.len(), 256, "each of them is told");
    assert!(Lock::deadline(&lock.state).is_some_and(|due| due <= lock.now), "due at once");
    assert_eq!(settle(&mut lock), 3);
    let holders: Vec<_> = lock.state.grants.iter().map(|it| it.claim.request.clone()).collect();
    assert_eq!(holders, queue);
}

#[test]
fn waiters_left_over_come_in_with_any_command() {
    let mut lock = full(1, 60_000, 60_000, None);
    lock.state.grants[0].claim.mode = Mode::Exclusive;
    lock.when(release(START.as_micros(), &"o".repeat(200)));
    let mut claim = large(9_999, None);
    claim.request = None;
    let then = lock.when(LockCommand::Acquire { claim, wait_ms: 0 });
    assert_eq!(granted(&then), 257, "nobody in conflict waits");
    assert_fits(&then, CALLER_BYTES);
    settle(&mut lock);
    assert_eq!(lock.state.grants.len(), MAX_GRANTS, "and one waits on");
    assert_eq!(lock.state.waiters.len(), 1);
}

#[test]
fn a_thousand_leases_run_out_and_a_thousand_waiters_follow_or_leave() {
    for (wait_ms, delay_ms) in [(60_000, 0), (10_000, 0), (60_000, 5_000)] {
        let mut lock = full(MAX_GRANTS, 10_000, wait_ms, None);
        for grant in &mut lock.state.grants {
            grant.claim.delay_ms = delay_ms;
        }
        lock.wait_ms(10_000);
        assert_fits(&lock.clone().when(LockCommand::Due), INTERNAL_BYTES);
        let then = lock.when_asked("r", release(1, "ann"));
        assert_fits(&then, CALLER_BYTES);
        assert!(settle(&mut lock) > 0 || delay_ms > 0);
        let expected = if wait_ms == 60_000 && delay_ms == 0 { MAX_WAITERS } else { 0 };
        assert_eq!(lock.state.grants.len(), expected);
        lock.wait_ms(delay_ms);
        settle(&mut lock);
        assert!(lock.state.waiters.is_empty());
    }
}

#[test]
fn a_thousand_leases_are_forced_away_at_once() {
    let mut lock = full(MAX_GRANTS, 60_000, 60_000, None);
    let force = LockCommand::ForceRelease { token: None, reason: "r".repeat(200) };
    let then = lock.when_asked("r", force);
    assert_fits(&then, CALLER_BYTES);
    assert_eq!(then.ok(), LockReply::Ended { released: MAX_GRANTS });
    settle(&mut lock);
    assert_eq!(lock.state.grants.len(), MAX_GRANTS);
    assert!(lock.state.waiters.is_empty());
}

#[test]
fn a_session_with_a_thousand_leases_and_waiters_ends_wholly() {
    let session = "s".repeat(401);
    for leases in [0, 1, MAX_GRANTS] {
        let mut lock = full(leases, 60_000, 60_000, Some(&session));
        if let Some(grant) = lock.state.grants.first_mut() {
            grant.claim.mode = Mode::Exclusive;
        }
        let then = lock.when(LockCommand::SessionEnded { session: session.clone() });
        assert_fits(&then, INTERNAL_BYTES);
        assert!(lock.state.grants.is_empty(), "nobody of the session is let in");
        settle(&mut lock);
        assert!(lock.state.grants.is_empty() && lock.state.waiters.is_empty());
    }
}

/// Waiters past their deadline, and some that a release had no room for, meet the largest commands.
#[test]
fn what_is_left_over_does_not_make_the_largest_commands_larger() {
    let session = "s".repeat(401);
    for wait_ms in [10_000, 60_000] {
        let mut lock = full(600, 60_000, wait_ms, Some(&session));
        for waiter in lock.state.waiters.iter_mut().take(500) {
            waiter.claim.session = None;
        }
        lock.wait_ms(10_000);
        let force = LockCommand::ForceRelease { token: None, reason: "r".repeat(200) };
        let mut forced = lock.clone();
        assert_fits(&forced.when_asked("r", force), CALLER_BYTES);
        settle(&mut forced);
        lock.when(LockCommand::SessionEnded { session: session.clone() });
        settle(&mut lock);
        let others = if wait_ms == 60_000 { 500 } else { 0 };
        assert_eq!(lock.state.grants.len(), others, "those of other sessions came in");
        assert!(lock.state.waiters.is_empty());
    }
}

#[test]
fn a_sessions_waiters_leave_wholly_behind_many_late_ones() {
    let session = "s".repeat(401);
    let mut lock = full(1, 60_000, 60_000, None);
    lock.state.grants[0].claim.mode = Mode::Exclusive;
    for (n, waiter) in lock.state.waiters.iter_mut().enumerate() {
        if n < 600 {
            waiter.deadline = at(10_000);
        } else {
            waiter.claim.session = Some(session.as_str().into());
        }
    }
    lock.wait_ms(10_000);
    assert_fits(&lock.when(LockCommand::SessionEnded { session }), INTERNAL_BYTES);
    assert!(settle(&mut lock) > 0);
    assert!(lock.state.waiters.is_empty());
    assert_eq!(lock.state.grants.len(), 1);
}

#[test]
fn a_thousand_leases_are_extended_by_one_record() {
    let mut lock = full(MAX_GRANTS, 60_000, 60_000, None);
    (lock.boot, lock.state.last_token) = (u64::MAX, u64::MAX);
    for (n, grant) in lock.state.grants.iter_mut().enumerate() {
        grant.token = u64::MAX - n as u64;
    }
    let then = lock.when(recover(at(60_000_000)));
    assert_eq!(then.names(), "LeaseExtended");
    assert_fits(&then, INTERNAL_BYTES);
}
