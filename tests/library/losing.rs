//! A lease that is lost says so at once, and why; it is never held after its end.

use mainstay::journal::{Fault, Refusal};
use mainstay::lock::{Lost, ReleaseError};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::support::{Rig, TTL, acquire, client, events, held, secs, settle, virtually};

#[test]
fn a_revoked_lease_is_lost_at_once_with_the_operators_words() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let started = host.now().unwrap();
        let lost = spawn_local(lease.lost());
        assert!(lease.is_held());
        assert_eq!(client(&host).lock("room").force_release("burst pipe").await, Ok(1));
        let lost = lost.await.unwrap();
        assert_eq!(lost, Lost::Revoked { reason: "burst pipe".to_owned() });
        assert!(host.now().unwrap().ms_since(started) < 100, "it waited for a renewal");
        assert!(!lease.is_held());
        assert_eq!(lease.renewed().await, Err(lost.clone()));
        assert_eq!(lease.release().await, Err(ReleaseError::Lost(lost)));
    });
}

#[test]
fn a_lease_that_was_revoked_before_its_grant_was_told_says_why() {
    // The keeper follows a lease that has ended already; the journal knows how.
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::Hold);
        let granted = spawn_local(client(&host).lock("room").acquire("anna", TTL));
        while log.held() < 1 {
            tokio::task::yield_now().await;
        }
        let lock = client(&host).lock("room");
        let revoked = spawn_local(async move { lock.force_release("too late").await });
        while log.held() < 2 {
            tokio::task::yield_now().await;
        }
        log.release().unwrap();
        assert_eq!(revoked.await.unwrap(), Ok(1));
        let lease = granted.await.unwrap().unwrap();
        assert_eq!(lease.lost().await, Lost::Revoked { reason: "too late".to_owned() });
    });
}

#[test]
fn a_lease_that_was_released_elsewhere_is_lost() {
    use mainstay::actors::lock::{Lock, LockCommand};
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let lost = spawn_local(lease.lost());
        let release = LockCommand::Release { token: lease.token(), owner: "anna".to_owned() };
        let stream = mainstay::journal::StreamId::new("lock", "room").unwrap();
        let meta = mainstay::actors::host::Meta::of(&std::sync::Arc::from("elsewhere"));
        host.ask::<Lock>(stream, release, meta).await.unwrap();
        assert_eq!(lost.await.unwrap(), Lost::Released);
    });
}

#[test]
fn a_lease_ends_with_its_session() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let session = client(&host).sessions().create("c-1", secs(600)).await.unwrap().session;
        let lease = client(&host).lock("room").session(&session).acquire("anna", TTL).await;
        let lease = lease.unwrap();
        sleep(secs(60)).await;
        assert!(lease.is_held());
        session.end().await.unwrap();
        let of = format!("default/{}", session.id());
        assert_eq!(lease.lost().await, Lost::SessionEnded { session: of });
        let refused = client(&host).lock("room").session(&session).acquire("anna", TTL).await;
        assert_eq!(refused.unwrap_err(), mainstay::lock::AcquireError::SessionEnded);
    });
}

#[test]
fn a_lease_ends_with_a_session_that_runs_out() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let session = client(&host).sessions().create("c-1", secs(70)).await.unwrap().session;
        let lease = client(&host).lock("room").session(&session).acquire("anna", TTL).await;
        let lease = lease.unwrap();
        let started = host.now().unwrap();
        let lost = lease.lost().await;
        assert!(matches!(lost, Lost::SessionEnded { .. }), "{lost}");
        let lived_ms = host.now().unwrap().ms_since(started);
        assert!((70_000..70_500).contains(&lived_ms), "{lived_ms}");
    });
}

#[test]
fn a_lease_is_lost_at_its_end_when_the_journal_refuses_renewals() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let end = lease.expires_at();
        log.set(Fault::Refuse(Refusal::NoRoom));
        let lost = lease.lost().await;
        assert_eq!(lost, Lost::NotRenewed { reason: "the disk is full".to_owned() });
        let now = host.now().unwrap();
        assert!(now <= end && end.ms_since(now) <= 2, "told at {now}, its end is {end}");
        assert!(!lease.is_held());
    });
}

#[test]
fn a_lease_is_lost_at_its_end_when_its_renewal_is_not_answered() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let end = lease.expires_at();
        log.set(Fault::Hold);
        let lost = lease.lost().await;
        assert!(matches!(&lost, Lost::NotRenewed { reason } if reason.contains("not answered")));
        assert!(host.now().unwrap() <= end);
        // The renewal becomes durable after all: nobody may hold what was given up.
        log.release().unwrap();
        drop(lease);
        settle().await;
        assert_eq!(held(&host).await, 0);
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseRenewed", "LeaseReleased"]);
    });
}

#[test]
fn a_lease_outlives_a_journal_that_refuses_for_a_while() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        for _ in 0..5 {
            log.set(Fault::Refuse(Refusal::NoRoom));
            sleep(secs(18)).await;
            log.set(Fault::Pass);
            lease.renewed().await.unwrap();
        }
        assert!(lease.is_held());
    });
}

#[test]
fn a_lease_is_not_held_after_its_end_even_before_it_is_told() {
    // The clock is asked, not only the keeper: on a busy thread the keeper comes late.
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        log.set(Fault::Refuse(Refusal::NoRoom));
        tokio::time::advance(std::time::Duration::from_millis(29_998)).await;
        assert!(lease.is_held(), "{lease:?}");
        tokio::time::advance(secs(1)).await;
        assert!(!lease.is_held());
    });
}
