//! A session's end releases its locks, also when the power goes between the two halves.

use std::time::Duration;

use mainstay_actors::host::{Failure, Host};
use mainstay_actors::lock::{Lock, LockCommand, LockEvent, LockReject};
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::Fault;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::support::{
    Rig, claim, create, lock, lock_events, meta, request, session, virtually, waiting,
};

async fn acquire_for(host: &Host, name: &str, owner: &str, id: &str) {
    let mut claim = claim(owner, 600_000);
    claim.session = Some(id.into());
    let acquire = LockCommand::Acquire { claim, wait_ms: 0 };
    host.ask::<Lock>(lock(name), acquire, meta()).await.unwrap();
}

async fn with_two_locks(host: &Host) {
    host.ask::<Session>(session("default/s"), create(600_000), meta()).await.unwrap();
    acquire_for(host, "a", "anna", "default/s").await;
    acquire_for(host, "b", "anna", "default/s").await;
}

#[test]
fn the_end_of_a_session_releases_its_locks_and_its_waiting_requests() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        with_two_locks(&host).await;
        host.ask::<Lock>(lock("c"), waiting("other", 600_000, 0), meta()).await.unwrap();
        let waits = spawn_local({
            let host = host.clone();
            async move {
                let mut claim = claim("anna", 600_000);
                claim.session = Some("default/s".into());
                let acquire = LockCommand::Acquire { claim, wait_ms: 600_000 };
                host.ask::<Lock>(lock("c"), acquire, request("k")).await
            }
        });
        sleep(Duration::from_millis(1)).await;
        let end = SessionCommand::End;
        host.ask::<Session>(session("default/s"), end, meta()).await.unwrap();
        let waits = waits.await.unwrap().unwrap_err();
        let ended = matches!(waits, Failure::Rejected { reason: LockReject::SessionEnded, .. });
        assert!(ended, "{waits}");
        let held = host.held_locks("", "", 10).await.unwrap();
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].0, "c");
    });
}

#[test]
fn a_session_that_runs_out_releases_its_locks_too() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        host.ask::<Session>(session("default/s"), create(5_000), meta()).await.unwrap();
        acquire_for(&host, "a", "anna", "default/s").await;
        sleep(Duration::from_millis(5_100)).await;
        assert!(host.held_locks("", "", 10).await.unwrap().is_empty());
    });
}

#[test]
fn a_power_cut_between_the_end_and_the_release_is_caught_up() {
    let rig = Rig::default();
    virtually(async {
        let (host, log) = rig.start().await;
        with_two_locks(&host).await;
        log.set(Fault::Hold);
        let ended = spawn_local({
            let host = host.clone();
            async move { host.ask::<Session>(session("default/s"), SessionCommand::End, meta()).await }
        });
        while log.held() == 0 {
            tokio::task::yield_now().await;
        }
        // The end becomes durable; what follows from it does not.
        log.release().unwrap();
        log.set(Fault::Hold);
        ended.await.unwrap().unwrap();
        sleep(Duration::from_millis(10)).await;
        assert_eq!(log.held(), 2, "the releases are not on their way");
        assert_eq!(host.held_locks("", "", 10).await.unwrap().len(), 2);
    });
    let rig = rig.cut();
    virtually(async {
        let (host, log) = rig.start().await;
        sleep(Duration::from_millis(10)).await;
        assert!(host.held_locks("", "", 10).await.unwrap().is_empty());
        for name in ["a", "b"] {
            let events = lock_events(&*log, name);
            let Some(LockEvent::LeaseReleased(last)) = events.last() else { panic!("{events:?}") };
            assert_eq!(last.session.as_deref(), Some("default/s"));
        }
    });
}
