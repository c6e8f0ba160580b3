//! Request ids: a retry finds its first answer, from memory and from the journal.

use std::time::Duration;

use mainstay_actors::host::{Failure, Meta};
use mainstay_actors::lock::{Lock, LockCommand, LockEvent, LockReject, LockReply};
use mainstay_actors::session::{Session, SessionCommand, SessionReply};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::support::{
    Rig, acquire, create, lock, lock_events, meta, request, session, virtually, waiting,
};

fn other_body(id: &str) -> Meta {
    let mut meta = request(id);
    meta.request = meta.request.map(|(id, _)| (id, 2));
    meta
}

#[test]
fn a_retry_after_a_power_cut_finds_its_lease_and_another_body_is_refused() {
    let rig = Rig::default();
    let wait = waiting("anna", 600_000, 0);
    let first = virtually(async {
        let (host, _log) = rig.start().await;
        host.ask::<Lock>(lock("pool"), wait.clone(), request("k")).await.unwrap().reply
    });
    let LockReply::Lease(first) = first else { panic!("{first:?}") };
    let rig = rig.cut();
    virtually(async {
        let (host, log) = rig.start().await;
        let again = host.ask::<Lock>(lock("pool"), wait.clone(), request("k")).await.unwrap();
        let LockReply::Lease(again) = again.reply else { panic!("{again:?}") };
        assert_eq!((again.token, again.expires_at), (first.token, first.expires_at));
        let reused = host.ask::<Lock>(lock("pool"), wait.clone(), other_body("k")).await;
        assert_eq!(reused.unwrap_err(), Failure::KeyReused);
        let release = LockCommand::Release { token: first.token, owner: "anna".to_owned() };
        host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap();
        let spent = host.ask::<Lock>(lock("pool"), wait.clone(), request("k")).await.unwrap_err();
        let is_spent = matches!(spent, Failure::Rejected { reason: LockReject::RequestSpent, .. });
        assert!(is_spent, "{spent}");
        let granted = |event: &&LockEvent| matches!(event, LockEvent::LeaseGranted(_));
        assert_eq!(lock_events(&*log, "pool").iter().filter(granted).count(), 1);
    });
}

#[test]
fn a_request_that_waits_twice_gets_one_grant_and_two_answers() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let held = acquire(&host, "pool", "anna", 600_000).await;
        let ask = || {
            let host = host.clone();
            spawn_local(async move {
                let wait = waiting("ben", 600_000, 60_000);
                host.ask::<Lock>(lock("pool"), wait, request("k")).await.unwrap().reply
            })
        };
        let (once, twice) = (ask(), ask());
        sleep(Duration::from_millis(1)).await;
        assert_eq!(host.held_locks("", "", 1).await.unwrap()[0].1.waiters.len(), 1);
        let release = LockCommand::Release { token: held.token, owner: "anna".to_owned() };
        host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap();
        let (once, twice) = (once.await.unwrap(), twice.await.unwrap());
        assert!(matches!(once, LockReply::Lease(_)), "{once:?}");
        assert_eq!(once, twice);
    });
}

#[test]
fn a_waiter_keeps_its_place_over_a_power_cut() {
    let rig = Rig::default();
    let token = virtually(async {
        let (host, _log) = rig.start().await;
        let held = acquire(&host, "pool", "anna", 600_000).await;
        let _gone = spawn_local({
            let host = host.clone();
            async move {
                let wait = waiting("ben", 600_000, 600_000);
                host.ask::<Lock>(lock("pool"), wait, request("k")).await
            }
        });
        sleep(Duration::from_millis(1)).await;
        held.token
    });
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        let again = spawn_local({
            let host = host.clone();
            async move {
                let wait = waiting("ben", 600_000, 600_000);
                host.ask::<Lock>(lock("pool"), wait, request("k")).await.unwrap().reply
            }
        });
        let late = spawn_local({
            let host = host.clone();
            async move {
                let wait = waiting("carl", 600_000, 1_000);
                host.ask::<Lock>(lock("pool"), wait, request("l")).await
            }
        });
        sleep(Duration::from_millis(1)).await;
        let release = LockCommand::Release { token, owner: "anna".to_owned() };
        host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap();
        assert!(matches!(again.await.unwrap(), LockReply::Lease(_)));
        late.await.unwrap().unwrap_err();
    });
}

#[test]
fn a_retried_patch_after_a_power_cut_answers_its_own_revision() {
    let rig = Rig::default();
    let id = session("default/s");
    let patch = || {
        let value = mainstay_actors::session::Sealed::plain(b"1");
        let changes = [("a".to_owned(), Some(value))].into();
        SessionCommand::Patch { if_revision: Some(1), changes }
    };
    virtually(async {
        let (host, _log) = rig.start().await;
        host.ask::<Session>(id.clone(), create(600_000), meta()).await.unwrap();
        host.ask::<Session>(id.clone(), patch(), request("p")).await.unwrap();
        let more = SessionCommand::Patch {
            if_revision: Some(2),
            changes: [("a".to_owned(), None)].into(),
        };
        host.ask::<Session>(id.clone(), more, meta()).await.unwrap();
    });
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        let again = host.ask::<Session>(id, patch(), request("p")).await.unwrap().reply;
        assert!(matches!(again, SessionReply::Kept { revision: 2, .. }), "{again:?}");
    });
}

#[test]
fn a_request_that_claimed_its_grant_is_spent_when_its_lease_has_ended() {
    // The claim was remembered as if it were all that the request had led to: a retry after the
    // lease's end was granted another lease.
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let ask = |command, key| host.ask::<Lock>(lock("pool"), command, request(key));
        let lease = |answered: mainstay_actors::host::Answered<Lock>| match answered.unwrap().reply
        {
            LockReply::Lease(lease) => lease,
            other => panic!("{other:?} is no lease"),
        };
        let release = |token, owner: &str| LockCommand::Release { token, owner: owner.to_owned() };
        let held = acquire(&host, "pool", "anna", 600_000).await;
        let wait = waiting("ben", 600_000, 60_000);
        let next = waiting("carl", 600_000, 60_000);
        let (ben, carl, ()) = tokio::join!(
            ask(wait.clone(), "k"),
            async {
                sleep(Duration::from_millis(1)).await;
                ask(next, "other").await
            },
            async {
                sleep(Duration::from_millis(2)).await;
                let released = release(held.token, "anna");
                host.ask::<Lock>(lock("pool"), released, meta()).await.unwrap();
                let claimed = lease(ask(wait.clone(), "k").await);
                ask(release(claimed.token, "ben"), "done").await.unwrap();
            },
        );
        lease(ben);
        ask(release(lease(carl).token, "carl"), "done too").await.unwrap();
        let spent = ask(wait, "k").await.unwrap_err();
        let is_spent = matches!(spent, Failure::Rejected { reason: LockReject::RequestSpent, .. });
        assert!(is_spent, "{spent}");
        let granted = |event: &&LockEvent| matches!(event, LockEvent::LeaseGranted(_));
        assert_eq!(lock_events(&*log, "pool").iter().filter(granted).count(), 3);
    });
}
