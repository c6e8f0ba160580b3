//! A lease: how it is had, renewed and given back.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use jiff::civil::date;
use mainstay::journal::ReadLog as _;
use mainstay::lock::AcquireError;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::support::{Rig, TTL, acquire, client, events, held, secs, settle, virtually};

#[test]
fn a_lease_renews_itself_at_a_third_of_its_ttl() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let (first_end, first_place) = (lease.expires_at(), lease.cursor());
        sleep(Duration::from_millis(9_995)).await;
        assert_eq!(events(&*log, "room"), ["LeaseGranted"]);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseRenewed"]);
        let gained_ms = lease.expires_at().ms_since(first_end);
        assert!((10_000..10_010).contains(&gained_ms), "{gained_ms}");
        assert!(lease.cursor() > first_place);
        assert_eq!(lease.cursor(), log.head());
        sleep(secs(300)).await;
        assert!(lease.is_held());
        assert_eq!(events(&*log, "room").len(), 1 + 31, "one renewal every ten seconds");
    });
}

#[test]
fn renewed_resolves_with_the_new_end() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let (before, started) = (lease.expires_at(), host.now().unwrap());
        let after = lease.renewed().await.unwrap();
        assert_eq!(after, lease.expires_at());
        assert!(after > before);
        let waited_ms = host.now().unwrap().ms_since(started);
        assert!((9_999..10_010).contains(&waited_ms), "{waited_ms}");
    });
}

#[test]
fn a_released_lock_is_free_at_once_and_renewed_no_more() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let lost = lease.lost();
        let token = lease.token();
        let at = lease.release().await.unwrap();
        assert_eq!(at, log.head());
        assert_eq!(lost.await, mainstay::lock::Lost::Released);
        let next = acquire(&host, "room", "ben").await;
        assert!(next.token() > token);
        drop(next);
        sleep(secs(60)).await;
        let all = ["LeaseGranted", "LeaseReleased", "LeaseGranted", "LeaseReleased"];
        assert_eq!(events(&*log, "room"), all);
    });
}

#[test]
fn a_held_lock_names_who_is_in_the_way_and_for_how_long() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        sleep(secs(5)).await;
        let refused = client(&host).lock("room").acquire("ben", TTL).await.unwrap_err();
        let AcquireError::Held { holders, retry_after } = refused else { panic!("{refused}") };
        assert_eq!((holders[0].owner.as_str(), holders[0].token), ("anna", lease.token()));
        assert!((secs(24)..=secs(25)).contains(&retry_after), "{retry_after:?}");
    });
}

#[test]
fn a_wait_that_is_over_names_who_is_in_the_way() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let _lease = acquire(&host, "room", "anna").await;
        let refused = client(&host).lock("room").wait(secs(2)).acquire("ben", TTL).await;
        let refused = refused.unwrap_err();
        let AcquireError::WaitedInVain { holders, .. } = refused else { panic!("{refused}") };
        assert_eq!(holders[0].owner, "anna");
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "WaiterQueued", "WaiterLeft"]);
    });
}

#[test]
fn who_waits_gets_the_lock_in_order_and_claims_it() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "first").await;
        let served = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..3 {
            let (client, served) = (client(&host), served.clone());
            tasks.push(spawn_local(async move {
                let lock = client.lock("room").wait(secs(300));
                let lease = lock.acquire(format!("w-{n}"), TTL).await.unwrap();
                served.borrow_mut().push((n, lease.token()));
                // Longer than an unclaimed grant stays.
                sleep(secs(20)).await;
                assert!(lease.is_held());
            }));
            settle().await;
        }
        assert!(served.borrow().is_empty());
        lease.release().await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let served = served.borrow();
        assert!(served.iter().map(|(n, _)| *n).eq(0..3), "{served:?}");
        assert!(served.is_sorted_by(|a, b| a.1 < b.1), "{served:?}");
        let names = events(&*log, "room");
        assert_eq!(names.iter().filter(|name| **name == "LeaseClaimed").count(), 3, "{names:?}");
    });
}

#[test]
fn a_free_lock_is_had_at_once_also_by_who_would_wait() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let lease = client(&host).lock("room").wait(secs(60)).acquire("anna", TTL).await.unwrap();
        assert!(lease.is_held());
        assert_eq!(events(&*log, "room"), ["LeaseGranted"]);
    });
}

#[test]
fn shared_leases_stand_together_and_exclude_an_exclusive_one() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lock = || client(&host).lock("room");
        let one = lock().shared().acquire("anna", TTL).await.unwrap();
        let two = lock().shared().acquire("ben", TTL).await.unwrap();
        let refused = lock().acquire("carl", TTL).await.unwrap_err();
        let AcquireError::Held { holders, .. } = refused else { panic!("{refused}") };
        assert_eq!(holders.len(), 2);
        drop((one, two));
    });
}

#[test]
fn ranges_conflict_where_they_overlap_and_have_one_unit() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lock = || client(&host).lock("room");
        let day = |day| date(2026, 12, day);
        let one = lock().range(day(1)..day(5)).acquire("anna", TTL).await.unwrap();
        let two = lock().range(day(5)..day(7)).acquire("ben", TTL).await.unwrap();
        let refused = lock().range(day(4)..day(6)).acquire("carl", TTL).await.unwrap_err();
        let AcquireError::Held { holders, .. } = refused else { panic!("{refused}") };
        assert_eq!(holders.len(), 2);
        let refused = lock().range(1..5).acquire("carl", TTL).await.unwrap_err();
        assert!(matches!(refused, AcquireError::OtherUnit { .. }), "{refused}");
        let refused = lock().range(day(9)..day(9)).acquire("carl", TTL).await.unwrap_err();
        assert!(matches!(refused, AcquireError::Invalid { field: "range", .. }), "{refused}");
        drop((one, two));
    });
}

#[test]
fn what_is_out_of_its_range_is_told_with_the_range() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lock = |name: &str| client(&host).lock(name);
        for (refused, text) in [
            (lock("a/b").acquire("anna", TTL).await, "name must be 1 to 200 bytes of letters"),
            (lock("a").acquire("", TTL).await, "owner must be"),
            (lock("a").acquire("anna", secs(0)).await, "ttl_ms must be"),
            (lock("a").wait(secs(3_600)).acquire("anna", TTL).await, "wait_ms must be"),
            (lock("a").lock_delay(Duration::MAX).acquire("anna", TTL).await, "lock_delay_ms must"),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, AcquireError::Invalid { .. }), "{refused:?}");
            assert!(refused.to_string().starts_with(text), "{refused}");
        }
        assert_eq!(held(&host).await, 0);
    });
}

#[test]
fn a_lock_delay_keeps_everybody_out_after_an_expiry() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let delay = client(&host).lock("room").lock_delay(secs(20));
        let lease = delay.acquire("anna", TTL).await.unwrap();
        log.set(mainstay::journal::Fault::Refuse(mainstay::journal::Refusal::NoRoom));
        lease.lost().await;
        std::mem::forget(lease);
        log.set(mainstay::journal::Fault::Pass);
        sleep(secs(10)).await;
        assert_eq!(events(&*log, "room"), ["LeaseGranted", "LeaseExpired"]);
        let refused = client(&host).lock("room").acquire("ben", TTL).await.unwrap_err();
        assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
        sleep(secs(20)).await;
        drop(acquire(&host, "room", "ben").await);
    });
}

#[test]
fn exactly_the_token_of_a_live_lease_is_valid() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let lease = acquire(&host, "room", "anna").await;
        let token = lease.token();
        let lock = client(&host).lock("room");
        assert!(lock.check(token).await.unwrap());
        assert!(!lock.check(token + 1).await.unwrap());
        lease.release().await.unwrap();
        assert!(!lock.check(token).await.unwrap());
        assert!(!client(&host).lock("no/name").check(token).await.unwrap());
    });
}
