//! A restore: what was held at the fork is over, at once and for good, whatever comes between.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::dependency::Mode;
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::host::{Failure, Host};
use mainstay_actors::lock::{
    LeasesFenced, Lock, LockCommand, LockEvent, LockReject, LockReply, WaiterQueued,
};
use mainstay_actors::session::{
    Session, SessionCommand, SessionEvent, SessionFenced, SessionReject, SessionReply,
};
use mainstay_actors::system::{RESTORE, System, SystemCommand};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Fault, ReadLog, Refusal, StreamId};
use tokio::time::sleep;

use super::support::{
    Rig, acquire, breaker, claim, create, lock, lock_events, meta, request, session, virtually,
    waiting,
};

/// What was held when the backup was made.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Of anna, on `room`; ben waits for it.
    token: u64,
    /// Of cleo, on `desk`, by way of the session `default/one`.
    of_session: u64,
    /// The newest time of the history that is left.
    now: Timestamp,
}

async fn hold(host: &Host) -> Held {
    host.ask::<Session>(session("default/one"), create(3_600_000), request("s1")).await.unwrap();
    let held = host.ask::<Lock>(lock("room"), waiting("anna", 600_000, 0), request("r1")).await;
    let LockReply::Lease(room) = held.unwrap().reply else { panic!() };
    let (ben, command) = (host.clone(), waiting("ben", 600_000, 600_000));
    actix::spawn(async move { ben.ask::<Lock>(lock("room"), command, request("r2")).await });
    let mut claim = claim("cleo", 600_000);
    claim.session = Some("default/one".into());
    let acquire = LockCommand::Acquire { claim, wait_ms: 0 };
    let held = host.ask::<Lock>(lock("desk"), acquire, meta()).await;
    let LockReply::Lease(desk) = held.unwrap().reply else { panic!() };
    let now = host.now().unwrap();
    Held { token: room.token, of_session: desk.token, now }
}

/// A journal with what [`hold`] holds.
fn held(rig: &Rig) -> Held {
    virtually(async {
        let (host, _log) = rig.start().await;
        hold(&host).await
    })
}

fn renew(token: u64, owner: &str) -> LockCommand {
    LockCommand::Renew { token, owner: owner.to_owned(), ttl_ms: None }
}

async fn is_valid(host: &Host, name: &str, token: u64) -> bool {
    let checked = host.ask::<Lock>(lock(name), LockCommand::Check { token }, meta()).await.unwrap();
    checked.reply == LockReply::Checked { valid: true }
}

/// Nothing of what was held is live, whoever looks.
async fn all_is_over(host: &Host, held: Held) {
    assert_eq!(host.held_locks("", "", 10).await.unwrap(), []);
    assert_eq!(host.occupancy().await.unwrap().held_locks, 0);
    assert!(!is_valid(host, "room", held.token).await);
    assert!(!is_valid(host, "desk", held.of_session).await);
    let shown = host.ask::<Session>(session("default/one"), SessionCommand::Show, meta()).await;
    let Err(Failure::Rejected { reason, .. }) = shown else { panic!("{shown:?}") };
    assert_eq!(reason, SessionReject::NotFound);
}

fn session_events(log: &dyn ReadLog, id: &str) -> Vec<SessionEvent> {
    let mut events = Vec::new();
    log.read_stream(&session(id), u64::MAX, &mut |record| {
        let event = SessionEvent::decode(record.type_id, record.schema, record.payload);
        events.push(event.unwrap());
        ControlFlow::Continue(())
    })
    .unwrap();
    events
}

/// Each of the three has said once that it is over.
fn said_so(log: &dyn ReadLog, held: Held, at: Timestamp) {
    let fences = |name: &str| {
        let mut events = lock_events(log, name);
        events.retain(|event| matches!(event, LockEvent::LeasesFenced(_)));
        events
    };
    let room = LeasesFenced { at, tokens: vec![held.token], waiters: 1 };
    assert_eq!(fences("room"), [room.into()]);
    let desk = LeasesFenced { at, tokens: vec![held.of_session], waiters: 0 };
    assert_eq!(fences("desk"), [desk.into()]);
    let events = session_events(log, "default/one");
    assert_eq!(events.get(1..), Some(&[SessionFenced { at }.into()][..]), "{events:?}");
}

async fn fence(host: &Host) -> Timestamp {
    let stream = StreamId::new("system", RESTORE).unwrap();
    let shown = host.ask::<System>(stream, SystemCommand::Show, meta()).await.unwrap();
    shown.reply.0.restored.unwrap()
}

#[test]
fn after_a_restore_no_lease_waiter_or_session_from_before_is_live_and_the_lock_is_free_at_once() {
    let rig = Rig::default();
    let held = held(&rig);
    let rig = rig.restored(2, held.now);
    virtually(async {
        let (host, log) = rig.start().await;
        all_is_over(&host, held).await;
        for command in [
            renew(held.token, "anna"),
            LockCommand::Release { token: held.token, owner: "anna".to_owned() },
        ] {
            let refused = host.ask::<Lock>(lock("room"), command, meta()).await;
            let Err(Failure::Rejected { reason, at }) = refused else { panic!("{refused:?}") };
            assert_eq!((reason, at.epoch), (LockReject::NotHeld { token: held.token }, 2));
        }
        let lease = acquire(&host, "room", "dora", 600_000).await;
        assert!(lease.token > held.token && lease.token > held.now.as_micros());
        let granted = lock_events(&*log, "room");
        let granted = granted.iter().filter(|it| matches!(it, LockEvent::LeaseGranted(_)));
        assert_eq!(granted.count(), 2, "ben was served");
        said_so(&*log, held, fence(&host).await);
    });
}

#[test]
fn what_nobody_asks_for_says_by_itself_that_it_is_over() {
    let rig = Rig::default();
    let held = held(&rig);
    let rig = rig.restored(2, held.now);
    virtually(async {
        let (host, log) = rig.start().await;
        sleep(Duration::from_millis(100)).await;
        said_so(&*log, held, fence(&host).await);
        let quiet = log.head();
        sleep(Duration::from_mins(30)).await;
        assert_eq!(log.head(), quiet);
        assert_eq!(host.occupancy().await.unwrap().timers, 0);
    });
}

#[test]
fn a_start_that_is_cut_short_anywhere_behind_a_restore_revives_nothing() {
    for checkpoint_events in [0, 1] {
        let mut rig = Rig::default();
        rig.options.limits.checkpoint_events = checkpoint_events;
        let held = held(&rig);
        let rig = rig.restored(2, held.now);
        let (mut early, mut late) = (0, 0);
        for nth in 1..60 {
            let cut = rig.after_cut();
            cut.disk.cut_after(nth);
            virtually(async {
                let (host, _log) = cut.try_start().await;
                if host.ready().await.is_ok() {
                    sleep(Duration::from_millis(100)).await;
                }
            });
            let left = cut.cut();
            virtually(async {
                let (host, log) = left.start().await;
                let fenced = |name| lock_events(&*log, name).len() > 2;
                if fenced("room") {
                    late += 1;
                } else {
                    early += 1;
                }
                assert_eq!(host.held_locks("", "", 10).await.unwrap(), []);
                // By itself, before anybody asks.
                sleep(Duration::from_millis(100)).await;
                said_so(&*log, held, fence(&host).await);
                all_is_over(&host, held).await;
                acquire(&host, "room", "dora", 600_000).await;
                acquire(&host, "desk", "dora", 600_000).await;
            });
        }
        assert!(early > 5 && late > 5, "{early} cuts before the fences, {late} behind them");
    }
}

#[test]
fn a_start_from_a_checkpoint_behind_the_restore_knows_what_has_not_said_so_yet() {
    let mut rig = Rig::default();
    let held = held(&rig);
    rig.options.limits.checkpoint_events = 1;
    let rig = rig.restored(2, held.now);
    virtually(async {
        let (_host, log) = rig.start().await;
        log.set(Fault::Hold);
        assert!(log.kept("checkpoint").unwrap().is_some());
        sleep(Duration::from_millis(100)).await;
        assert!(!lock_events(&*log, "room").iter().any(is_fence), "it was fenced already");
    });
    // Killed: a checkpoint may be lost with the power.
    let rig = Rig { disk: rig.disk.kill(), ..rig };
    virtually(async {
        let (host, log) = rig.start().await;
        assert_eq!(host.held_locks("", "", 10).await.unwrap(), []);
        sleep(Duration::from_millis(100)).await;
        said_so(&*log, held, fence(&host).await);
    });
}

#[test]
fn what_begins_behind_a_restore_lives_over_restarts_and_ends_with_the_next_restore() {
    let rig = Rig::default();
    let old = held(&rig);
    let rig = rig.restored(2, old.now);
    let new = virtually(async {
        let (host, _log) = rig.start().await;
        let id = session("default/two");
        host.ask::<Session>(id, create(3_600_000), meta()).await.unwrap();
        acquire(&host, "room", "dora", 600_000).await
    });
    let rig = rig.cut();
    let now = virtually(async {
        let (host, _log) = rig.start().await;
        assert!(is_valid(&host, "room", new.token).await);
        let shown = host.ask::<Session>(session("default/two"), SessionCommand::Show, meta()).await;
        assert!(matches!(shown.unwrap().reply, SessionReply::Shown(_)));
        host.now().unwrap()
    });
    let rig = rig.restored(3, now);
    virtually(async {
        let (host, log) = rig.start().await;
        assert!(!is_valid(&host, "room", new.token).await);
        all_is_over(&host, old).await;
        let at = fence(&host).await;
        let last = lock_events(&*log, "room").pop().unwrap();
        assert_eq!(last, LeasesFenced { at, tokens: vec![new.token], waiters: 0 }.into());
        sleep(Duration::from_millis(100)).await;
        let last = session_events(&*log, "default/two").pop().unwrap();
        assert_eq!(last, SessionFenced { at }.into());
        let lease = acquire(&host, "room", "ella", 600_000).await;
        assert!(lease.token > new.token);
    });
}

#[test]
fn a_retry_of_a_request_from_before_the_fork_gets_no_lease_and_no_session() {
    let rig = Rig::default();
    let held = held(&rig);
    let rig = rig.restored(2, held.now);
    virtually(async {
        let (host, _log) = rig.start().await;
        for (owner, wait_ms, id) in [("anna", 0, "r1"), ("ben", 600_000, "r2")] {
            let again =
                host.ask::<Lock>(lock("room"), waiting(owner, 600_000, wait_ms), request(id)).await;
            let Err(Failure::Rejected { reason, .. }) = again else { panic!("{again:?}") };
            assert_eq!(reason, LockReject::RequestSpent, "{owner}");
        }
        let id = session("default/one");
        let again = host.ask::<Session>(id, create(3_600_000), request("s1")).await;
        let Err(Failure::Rejected { reason, .. }) = again else { panic!("{again:?}") };
        assert_eq!(reason, SessionReject::Exists);
    });
}

#[test]
fn tokens_lie_above_all_that_the_left_history_gave_behind_the_fork() {
    let rig = Rig::default();
    let before = held(&rig);
    // The history that is left went on for half an hour and gave tokens there.
    let floor = before.now.plus_ms(30 * 60_000);
    let rig = rig.restored(2, floor);
    virtually(async {
        let (host, _log) = rig.start().await;
        assert!(fence(&host).await > floor);
        for name in ["room", "fresh"] {
            let lease = acquire(&host, name, "dora", 600_000).await;
            assert!(lease.token > floor.as_micros(), "{name}: {}", lease.token);
        }
    });
}

#[test]
fn a_breaker_keeps_its_state_over_a_restore() {
    let mut rig = Rig::default();
    rig.options.dependencies = BTreeMap::from([("db".to_owned(), breaker())]);
    let before = virtually(async {
        let (host, _log) = rig.start().await;
        let (permit, outcome) = (None, Outcome::Failure);
        let failure = Report { permit, outcome, duration_us: 1, probe: false, injected: false };
        host.record("db", vec![failure; 3]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        host.dependency("db").await.unwrap().unwrap().breaker
    });
    assert_eq!(before.mode, Mode::Open);
    let rig = rig.restored(2, Timestamp::default());
    virtually(async {
        let (host, _log) = rig.start().await;
        assert_eq!(host.dependency("db").await.unwrap().unwrap().breaker, before);
    });
}

#[test]
fn without_room_for_the_fence_nothing_is_decided_on_what_it_ends() {
    let rig = Rig::default();
    let held = held(&rig);
    let rig = rig.restored(2, held.now);
    for fault in [Fault::Full, Fault::Refuse(Refusal::NoRoom)] {
        let rig = rig.after_cut();
        virtually(async {
            let (host, log) = rig.start().await;
            // Before the deadline queue has its turn.
            log.set(fault.clone());
            for command in [LockCommand::Check { token: held.token }, renew(held.token, "anna")] {
                let refused = host.ask::<Lock>(lock("room"), command, meta()).await;
                let no = matches!(refused, Err(Failure::Busy(_) | Failure::Refused(_)));
                assert!(no, "{refused:?}");
            }
            assert!(!lock_events(&*log, "room").iter().any(is_fence), "it was fenced already");
            log.set(Fault::Pass);
            sleep(Duration::from_secs(10)).await;
            all_is_over(&host, held).await;
            said_so(&*log, held, fence(&host).await);
        });
    }
}

#[test]
fn while_the_queue_is_full_who_asks_for_what_is_fenced_finds_it_busy_each_time() {
    let mut rig = Rig::default();
    let held = held(&rig);
    rig.options.limits.in_flight = 1;
    let rig = rig.restored(2, held.now);
    virtually(async {
        let (host, log) = rig.start().await;
        log.set(Fault::Hold);
        let takes_the_room = waiting("ella", 1_000, 0);
        let (other, id) = (host.clone(), lock("another"));
        actix::spawn(async move { other.ask::<Lock>(id, takes_the_room, meta()).await });
        tokio::task::yield_now().await;
        for _ in 0..3 {
            let check = LockCommand::Check { token: held.token };
            let asked = host.ask::<Lock>(lock("room"), check, meta());
            // Or its own fence has the room in the queue: then there is no answer at all.
            let answered = tokio::time::timeout(Duration::from_millis(10), asked).await;
            assert!(matches!(answered, Ok(Err(Failure::Busy(_))) | Err(_)), "{answered:?}");
        }
        log.set(Fault::Pass);
        log.release().unwrap();
        sleep(Duration::from_secs(10)).await;
        all_is_over(&host, held).await;
        said_so(&*log, held, fence(&host).await);
    });
}

fn is_fence(event: &LockEvent) -> bool {
    matches!(event, LockEvent::LeasesFenced(_))
}

#[test]
fn a_lock_with_its_most_leases_and_waiters_is_fenced_by_one_event() {
    let rig = Rig::default();
    virtually(async {
        let (host, log) = rig.start().await;
        for number in 0..1_000 {
            let mut shared = claim(&format!("owner-{number}"), 600_000);
            shared.mode = mainstay_actors::lock::Mode::Shared;
            let command = LockCommand::Acquire { claim: shared, wait_ms: 0 };
            host.ask::<Lock>(lock("hall"), command, meta()).await.unwrap();
        }
        for number in 0..1_000 {
            let (host, id) = (host.clone(), format!("w{number}"));
            let command = waiting(&id, 600_000, 600_000);
            actix::spawn(
                async move { host.ask::<Lock>(lock("hall"), command, request(&id)).await },
            );
            // Within the bound of the lock's mailbox.
            sleep(Duration::from_millis(1)).await;
        }
        let queued = lock_events(&*log, "hall");
        let queued =
            queued.iter().filter(|it| matches!(it, LockEvent::WaiterQueued(WaiterQueued { .. })));
        assert_eq!(queued.count(), 1_000);
    });
    let rig = rig.restored(2, Timestamp::default());
    virtually(async {
        let (host, log) = rig.start().await;
        acquire(&host, "hall", "dora", 600_000).await;
        let events = lock_events(&*log, "hall");
        let [.., LockEvent::LeasesFenced(fence), LockEvent::LeaseGranted(_)] = &events[..] else {
            panic!("{:?}", events.last())
        };
        assert_eq!((fence.tokens.len(), fence.waiters), (1_000, 1_000));
    });
}
