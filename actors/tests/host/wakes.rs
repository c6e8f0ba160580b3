//! Timers in virtual time: what time alone changes is journaled when it is due.

use std::time::Duration;

use mainstay_actors::dependency::{Dependency, DependencyEvent, Mode};
use mainstay_actors::gate::{Admission, Outcome, Report};
use mainstay_actors::host::{Failure, Host};
use mainstay_actors::lock::{Lock, LockEvent, LockReject, LockReply};
use mainstay_actors::session::{EndReason, Session, SessionCommand, SessionEvent, SessionReject};
use mainstay_actors::{codec::Payload as _, machine::Machine as _};
use mainstay_journal::{ReadLog, StreamId};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::support::{
    Rig, acquire, breaker, create, lock, lock_events, meta, request, session, virtually, waiting,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_lease_that_expires_passes_to_the_waiter_at_that_moment() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let started = Instant::now();
        let first = acquire(&host, "pool", "anna", 10_000).await;
        let wait = waiting("ben", 10_000, 60_000);
        let granted = host.ask::<Lock>(lock("pool"), wait, request("k")).await.unwrap();
        let LockReply::Lease(lease) = granted.reply else { panic!("{granted:?}") };
        assert!(lease.token > first.token);
        let waited = started.elapsed();
        assert!((seconds(10)..seconds(10) + Duration::from_millis(50)).contains(&waited));
        let events = lock_events(&*log, "pool");
        assert!(matches!(events[2], LockEvent::LeaseExpired(_)), "{events:?}");
        assert!(matches!(events[3], LockEvent::LeaseGranted(_)), "{events:?}");
    });
}

#[test]
fn a_grant_that_is_not_claimed_passes_on_and_a_wait_ends_in_time() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        acquire(&host, "pool", "anna", 10_000).await;
        let asked = |owner: &'static str, wait_ms| {
            let host = host.clone();
            spawn_local(async move {
                let wait = waiting(owner, 600_000, wait_ms);
                host.ask::<Lock>(lock("pool"), wait, request(owner)).await
            })
        };
        let (ben, carl, dora) = (asked("ben", 60_000), asked("carl", 60_000), asked("dora", 9_000));
        let dora = dora.await.unwrap().unwrap_err();
        let in_vain = |failure: &Failure<LockReject>| {
            matches!(failure, Failure::Rejected { reason: LockReject::WaitedInVain { .. }, .. })
        };
        assert!(in_vain(&dora), "{dora}");
        ben.await.unwrap().unwrap();
        // Ben's client has left; carl gets it five seconds later and claims it.
        carl.await.unwrap().unwrap();
        let again =
            host.ask::<Lock>(lock("pool"), waiting("carl", 600_000, 60_000), request("carl"));
        assert!(matches!(again.await.unwrap().reply, LockReply::Lease(_)));
        sleep(seconds(60)).await;
        let held = host.held_locks("", "", 1).await.unwrap();
        assert_eq!(held[0].1.grants[0].claim.owner, "carl");
        let expired = |event: &&LockEvent| matches!(event, LockEvent::LeaseExpired(_));
        assert_eq!(lock_events(&*log, "pool").iter().filter(expired).count(), 2);
    });
}

#[test]
fn a_session_ends_by_itself_and_is_unreadable_from_that_moment() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let id = session("default/s");
        host.ask::<Session>(id.clone(), create(10_000), meta()).await.unwrap();
        sleep(Duration::from_millis(9_990)).await;
        host.ask::<Session>(id.clone(), SessionCommand::Show, meta()).await.unwrap();
        sleep(Duration::from_millis(20)).await;
        let gone = host.ask::<Session>(id.clone(), SessionCommand::Show, meta()).await.unwrap_err();
        assert!(
            matches!(gone, Failure::Rejected { reason: SessionReject::NotFound, .. }),
            "{gone}"
        );
        let mut reasons = Vec::new();
        log.read_stream(&id, u64::MAX, &mut |record| {
            let event = SessionEvent::decode(record.type_id, record.schema, record.payload);
            if let SessionEvent::SessionEnded(event) = event.unwrap() {
                reasons.push(event.reason);
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(reasons, [EndReason::Idle]);
        // An actor that is over leaves, and its timer with it.
        assert_eq!(host.occupancy().await.unwrap().sessions, 0);
    });
}

async fn mode(host: &Host) -> Mode {
    host.dependency("db").await.unwrap().unwrap().breaker.mode
}

async fn report(host: &Host, outcome: Outcome, admission: Option<Admission>) {
    let permit = match admission {
        Some(Admission::Admitted(permit)) => Some(permit),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    let report = Report { permit, outcome, duration_us: 1_000, probe: false, injected: false };
    host.record("db", vec![report]).await.unwrap();
}

#[test]
fn a_breaker_opens_waits_half_opens_and_closes_on_its_trial() {
    virtually(async {
        let mut rig = Rig::default();
        rig.options.dependencies.insert("db".to_owned(), breaker());
        let (host, log) = rig.start().await;
        for _ in 0..3 {
            report(&host, Outcome::Failure, None).await;
        }
        sleep(Duration::from_millis(1)).await;
        assert_eq!(mode(&host).await, Mode::Open);
        let refused = host.admit("db").await.unwrap();
        assert!(matches!(refused, Admission::Rejected { retry_after_ms: Some(4_000..=5_000) }));
        sleep(Duration::from_millis(4_900)).await;
        assert_eq!(mode(&host).await, Mode::Open);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(mode(&host).await, Mode::HalfOpen);
        let trial = host.admit("db").await.unwrap();
        assert!(matches!(host.admit("db").await.unwrap(), Admission::Rejected { .. }));
        report(&host, Outcome::Success, Some(trial)).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(mode(&host).await, Mode::Closed);
        let names = names(&*log);
        assert_eq!(
            names,
            ["DependencyConfigured", "BreakerOpened", "BreakerHalfOpened", "BreakerClosed"]
        );
    });
}

fn names(log: &dyn ReadLog) -> Vec<&'static str> {
    let mut names = Vec::new();
    let stream = StreamId::new(Dependency::KIND, "db").unwrap();
    log.read_stream(&stream, u64::MAX, &mut |record| {
        let event = DependencyEvent::decode(record.type_id, record.schema, record.payload);
        names.push(event.unwrap().name());
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    names.retain(|name| *name != "WindowObserved");
    names
}
