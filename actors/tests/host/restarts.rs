//! Power cut and start: what was acknowledged holds, and holders get time to come back.

use std::time::Duration;

use mainstay_actors::dependency::Mode;
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::host::Host;
use mainstay_actors::key::{Key, KeyCommand, KeyHash, RefusedBecause, Role};
use mainstay_actors::lock::{Lock, LockCommand, LockEvent, LockReply};
use mainstay_actors::machine::Machine;
use mainstay_journal::StreamId;
use tokio::time::sleep;

use super::support::{Rig, acquire, breaker, lock, lock_events, meta, virtually};

#[test]
fn a_restart_extends_live_leases_so_that_their_holders_can_renew() {
    let rig = Rig::default();
    let (short, long) = virtually(async {
        let (host, _log) = rig.start().await;
        let short = acquire(&host, "short", "anna", 1_000).await;
        sleep(Duration::from_millis(900)).await;
        (short, acquire(&host, "long", "ben", 600_000).await)
    });
    let rig = rig.cut();
    virtually(async {
        let (host, log) = rig.start().await;
        let events = lock_events(&*log, "short");
        let [_, LockEvent::LeaseExtended(extended)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(extended.leases.len(), 1);
        let (token, until) = extended.leases[0];
        assert!(token == short.token && until > short.expires_at, "{extended:?}");
        // A lease that is long enough keeps its end.
        let held = host.held_locks("long", "", 1).await.unwrap();
        assert_eq!(held[0].1.grants[0].expires_at, long.expires_at);
        sleep(Duration::from_millis(500)).await;
        let renew =
            LockCommand::Renew { token: short.token, owner: "anna".to_owned(), ttl_ms: None };
        let renewed = host.ask::<Lock>(lock("short"), renew, meta()).await.unwrap();
        assert!(matches!(renewed.reply, LockReply::Lease(_)), "{renewed:?}");
        // And it ends when it is not renewed: the timers were set again.
        sleep(Duration::from_millis(1_100)).await;
        assert!(host.held_locks("short", "", 1).await.unwrap().is_empty());
    });
}

#[test]
fn tokens_rise_over_restarts() {
    let mut rig = Rig::default();
    let mut last = 0;
    for _ in 0..5 {
        last = virtually(async {
            let (host, _log) = rig.start().await;
            let lease = acquire(&host, "pool", "anna", 60_000).await;
            assert!(lease.token > last, "{} after {last}", lease.token);
            let release = LockCommand::Release { token: lease.token, owner: "anna".to_owned() };
            host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap();
            lease.token
        });
        rig = rig.cut();
    }
}

#[test]
fn an_open_breaker_survives_a_restart_with_deadline_and_attempt() {
    let mut rig = Rig::default();
    rig.options.dependencies.insert("db".to_owned(), breaker());
    let before = virtually(async {
        let (host, _log) = rig.start().await;
        let failure = Report {
            permit: None,
            outcome: Outcome::Failure,
            duration_us: 1,
            probe: false,
            injected: false,
        };
        host.record("db", vec![failure; 3]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        host.dependency("db").await.unwrap().unwrap().breaker
    });
    assert_eq!((before.mode, before.attempt), (Mode::Open, 1));
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        assert_eq!(host.dependency("db").await.unwrap().unwrap().breaker, before);
        sleep(Duration::from_millis(5_100)).await;
        let after = host.dependency("db").await.unwrap().unwrap().breaker;
        assert_eq!((after.mode, after.attempt), (Mode::HalfOpen, 1));
    });
}

#[test]
fn a_journal_that_is_over_an_hour_ahead_is_continued_only_on_request() {
    let rig = Rig::default();
    virtually(async {
        let (host, _log) = rig.start().await;
        sleep(Duration::from_hours(2)).await;
        acquire(&host, "pool", "anna", 60_000).await;
    });
    let mut rig = rig.cut();
    let reason = virtually(async {
        let (host, _log) = rig.try_start().await;
        host.ready().await.unwrap_err().to_string()
    });
    assert!(reason.contains("--accept-clock"), "{reason}");
    rig.options.accept_clock = true;
    virtually(async {
        let (host, log) = rig.start().await;
        acquire(&host, "other", "ben", 60_000).await;
        let LockEvent::LeaseGranted(first) = &lock_events(&*log, "pool")[0] else { panic!() };
        let LockEvent::LeaseGranted(second) = &lock_events(&*log, "other")[0] else { panic!() };
        assert!(second.expires_at >= first.expires_at, "time went back");
    });
}

#[test]
fn a_key_that_has_expired_stays_so_when_the_wall_clock_goes_back() {
    let rig = Rig::default();
    let refusal = |host: &Host| {
        let key = host.keys().unwrap().get("ops").unwrap();
        key.key.as_ref().unwrap().refusal(host.now().unwrap())
    };
    virtually(async {
        let (host, _log) = rig.start().await;
        let create = KeyCommand::Create {
            role: Role::Admin,
            tenant: None,
            hash: KeyHash([7; 32]),
            life_ms: Some(30 * 60_000),
        };
        let stream = StreamId::new(Key::KIND, "ops").unwrap();
        host.ask::<Key>(stream, create, meta()).await.unwrap();
        assert_eq!(refusal(&host), None);
        sleep(Duration::from_mins(40)).await;
        acquire(&host, "pool", "anna", 60_000).await;
        assert_eq!(refusal(&host), Some(RefusedBecause::Expired));
    });
    // The wall clock of the next start is 40 minutes behind the journal.
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        assert_eq!(refusal(&host), Some(RefusedBecause::Expired));
    });
}

#[test]
fn a_dependency_that_vanished_from_the_configuration_is_retired() {
    let mut rig = Rig::default();
    rig.options.dependencies.insert("db".to_owned(), breaker());
    virtually(async {
        let (host, _log) = rig.start().await;
        assert_eq!(host.health().await.unwrap().dependencies.len(), 1);
    });
    let mut rig = rig.cut();
    rig.options.dependencies.clear();
    virtually(async {
        let (host, _log) = rig.start().await;
        assert!(host.health().await.unwrap().dependencies.is_empty());
        assert!(host.dependency("db").await.unwrap().unwrap().retired);
        assert!(host.admit("db").await.is_err());
    });
}
