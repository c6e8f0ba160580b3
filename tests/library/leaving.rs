//! Who leaves leaves nothing behind: dropped leases and dropped acquires are given back.

use std::pin::pin;

use mainstay::Unavailable;
use mainstay::journal::{Fault, Refusal};
use mainstay::lock::{AcquireError, ReleaseError};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::support::{Rig, TTL, acquire, client, events, held, secs, settle, virtually};

#[test]
fn a_dropped_lease_is_given_back() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        drop(acquire(&host, "room", "anna").await);
        settle().await;
        assert_eq!(held(&host).await, 0);
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseReleased"]);
    });
}

#[test]
fn a_dropped_lease_is_given_back_when_the_journal_takes_it() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        log.set(Fault::Refuse(Refusal::NoRoom));
        drop(lease);
        sleep(secs(5)).await;
        assert_eq!(events(&*log, "room"), ["LeaseGranted"]);
        log.set(Fault::Pass);
        sleep(secs(1)).await;
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseReleased"]);
    });
}

#[test]
fn a_release_that_was_not_decided_is_tried_again() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        log.set(Fault::Refuse(Refusal::NoRoom));
        let refused = ReleaseError::Unavailable(Unavailable::Refused(Refusal::NoRoom));
        assert_eq!(lease.release().await, Err(refused));
        log.set(Fault::Pass);
        sleep(secs(1)).await;
        assert_eq!(held(&host).await, 0);
    });
}

#[test]
fn an_acquire_that_was_dropped_in_the_queue_gives_its_grant_back() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let first = acquire(&host, "room", "first").await;
        let lock = client(&host).lock("room").wait(secs(300));
        assert!(timeout(secs(1), lock.acquire("left", TTL)).await.is_err());
        let lock = client(&host).lock("room").wait(secs(300));
        let patient = spawn_local(lock.acquire("patient", TTL));
        settle().await;
        let started = host.now().unwrap();
        first.release().await.unwrap();
        let lease = patient.await.unwrap().unwrap();
        assert_eq!(lease.owner(), "patient");
        let waited_ms = host.now().unwrap().ms_since(started);
        assert!(waited_ms < 100, "an unclaimed grant was waited for, {waited_ms} ms");
        let queued = ["LeaseGranted", "WaiterQueued", "WaiterQueued", "LeaseReleased"];
        let passed = ["LeaseGranted", "LeaseReleased", "LeaseGranted", "LeaseClaimed"];
        assert_eq!(events(&*log, "room"), [queued, passed].concat());
    });
}

#[test]
fn an_acquire_that_was_dropped_before_its_grant_was_durable_gives_it_back() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::Hold);
        let acquiring = spawn_local(client(&host).lock("room").acquire("anna", TTL));
        while log.held() < 1 {
            tokio::task::yield_now().await;
        }
        acquiring.abort();
        assert!(acquiring.await.unwrap_err().is_cancelled());
        log.release().unwrap();
        settle().await;
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseReleased"]);
    });
}

#[test]
fn an_acquire_that_is_dropped_with_its_answer_unread_gives_the_lease_back() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        {
            let mut acquiring = pin!(client(&host).lock("room").acquire("anna", TTL));
            assert!(timeout(secs(0), &mut acquiring).await.is_err());
            // The lease is there, and nobody looks.
            sleep(secs(12)).await;
            assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseRenewed"]);
        }
        settle().await;
        assert_eq!(held(&host).await, 0);
    });
}

#[test]
fn an_acquire_that_is_never_polled_asks_nothing() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        drop(client(&host).lock("room").acquire("anna", TTL));
        settle().await;
        assert!(events(&*log, "room").is_empty());
    });
}

#[test]
fn an_acquire_with_an_unknown_outcome_finds_its_lease() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::UnknownButWritten("sync failed".to_owned()));
        let acquiring = spawn_local(client(&host).lock("room").acquire("anna", TTL));
        while events(&*log, "room").is_empty() {
            tokio::task::yield_now().await;
        }
        log.set(Fault::Pass);
        let lease = acquiring.await.unwrap().unwrap();
        assert_eq!(events(&*log, "room"), ["LeaseGranted"]);
        // The host did not see it become durable; it is kept all the same.
        lease.renewed().await.unwrap();
        assert!(lease.is_held());
    });
}

#[test]
fn an_acquire_whose_outcome_stays_unknown_says_so() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::Unknown("sync failed".to_owned()));
        let refused = client(&host).lock("room").acquire("anna", TTL).await.unwrap_err();
        let unknown = Unavailable::OutcomeUnknown("sync failed".to_owned());
        assert_eq!(refused, AcquireError::Unavailable(unknown));
    });
}

#[test]
fn a_refused_acquire_leaves_nothing_behind() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::Refuse(Refusal::NoRoom));
        let refused = client(&host).lock("room").acquire("anna", TTL).await.unwrap_err();
        assert_eq!(refused, AcquireError::Unavailable(Unavailable::Refused(Refusal::NoRoom)));
        log.set(Fault::Pass);
        drop(acquire(&host, "room", "ben").await);
    });
}
