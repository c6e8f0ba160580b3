//! A cache outside of all that stands around a call.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mainstay::dependency::{BreakerSettings, Outcome};
use mainstay::guard::{Bulkhead, Cache, CacheCounts, GuardError, LimitError, Refused, Retry};

use super::support::{Rig, breaker, is_open, ms};

const HOUR: Duration = Duration::from_hours(1);

/// Fresh for a millisecond, and for an hour better than nothing.
fn soon_stale() -> Cache<u8, u32> {
    Cache::new(ms(1)).unwrap().stale(HOUR).unwrap()
}

fn counts(hits_total: u64, misses_total: u64, stale_total: u64, failed_total: u64) -> CacheCounts {
    CacheCounts { hits_total, tier_hits_total: 0, misses_total, stale_total, failed_total }
}

/// Trips, and stays open.
fn slow_to_return() -> BreakerSettings {
    BreakerSettings { open_for_ms: 60_000, ..breaker() }
}

async fn trip(rig: &Rig) {
    let guard = rig.db.guard();
    for _ in 0..10 {
        if is_open(&guard.call(|| async { Err::<(), _>("no") }).await) {
            return;
        }
    }
    panic!("ten failures and it is not open");
}

#[tokio::test]
async fn what_is_fresh_asks_nobody_even_where_the_breaker_is_open() {
    let rig = Rig::with(slow_to_return()).await;
    let guard = rig.db.guard().cache(Cache::new(HOUR).unwrap());
    assert_eq!(guard.call(&1, || async { Ok::<_, &str>(7) }).await, Ok(7));
    trip(&rig).await;
    assert_eq!(guard.call(&1, || async { Err("asked") }).await, Ok(7));
    assert_eq!(guard.clone().call_blocking(&1, || Err("asked")), Ok(7));
    assert!(is_open(&guard.call(&2, || async { Ok::<_, &str>(8) }).await));
    assert!(is_open(&guard.call_blocking(&2, || Ok::<_, &str>(8))));
    assert_eq!(guard.kept().counts(), counts(2, 1, 0, 2));
    assert_eq!(guard.guard().dependency().name(), "db");
    rig.stay.close().await;
}

#[tokio::test]
async fn the_value_of_before_answers_before_the_fallback_does() {
    let rig = Rig::with(slow_to_return()).await;
    let guard = rig.db.guard().fallback(|_| 0).cache(soon_stale());
    guard.kept().warm([(1, 7)]);
    std::thread::sleep(ms(2));
    assert_eq!(guard.call(&1, || async { Err("no") }).await, Ok(7));
    assert_eq!(guard.call(&2, || async { Err("no") }).await, Ok(0));
    trip(&rig).await;
    for _ in 0..2 {
        assert_eq!(guard.call(&1, || async { Ok::<_, &str>(9) }).await, Ok(7), "it is open");
        assert_eq!(guard.call_blocking(&1, || Ok::<_, &str>(9)), Ok(7));
        // What the fallback said is not kept: it would count as a hit, or as the value of before.
        assert_eq!(guard.call(&2, || async { Ok::<_, &str>(9) }).await, Ok(0));
        assert_eq!(guard.call_blocking(&2, || Ok::<_, &str>(9)), Ok(0));
    }
    assert_eq!(guard.kept().counts(), counts(0, 0, 5, 5));
    rig.stay.close().await;
}

#[tokio::test]
async fn what_is_no_success_is_returned_and_not_kept() {
    let rig = Rig::new().await;
    let by_value = |result: &Result<u32, &str>| match result {
        Ok(503) => Outcome::Failure,
        Ok(204) | Err(_) => Outcome::Ignored,
        Ok(_) => Outcome::Success,
    };
    let guard = rig.db.guard().classify(by_value).fallback(|_| 0).cache(soon_stale());
    for value in [503, 204] {
        assert_eq!(guard.call(&1, || async move { Ok(value) }).await, Ok(value));
        assert_eq!(guard.call_blocking(&1, || Ok(value)), Ok(value));
    }
    guard.kept().warm([(1, 7)]);
    std::thread::sleep(ms(2));
    // An answer all the same, and no failure: neither the fallback nor the value of before hides it.
    let not_found = || Err(GuardError::Failed(Arc::new("not found")));
    assert_eq!(guard.call(&1, || async { Err("not found") }).await, not_found());
    assert_eq!(guard.call_blocking(&1, || Err("not found")), not_found());
    assert_eq!(guard.call(&1, || async { Ok(503) }).await, Ok(503));
    assert_eq!(guard.kept().counts(), counts(0, 0, 0, 7));
    rig.stay.close().await;
}

#[tokio::test]
async fn no_kept_value_hides_a_mistake() {
    let rig = Rig::new().await;
    let nobody = rig.stay.dependency("nobody").guard().cache(soon_stale());
    nobody.kept().warm([(1, 7)]);
    std::thread::sleep(ms(2));
    let unknown = GuardError::Refused(Refused::Unknown { name: "nobody".to_owned() });
    assert_eq!(nobody.call(&1, || async { Ok::<_, Infallible>(1) }).await, Err(unknown));

    let wrong = rig.db.guard().bulkhead(Bulkhead::new(0)).cache(Cache::new(HOUR).unwrap());
    wrong.kept().warm([(1, 7)]);
    let refused = [
        wrong.call(&1, || async { Ok::<_, Infallible>(1) }).await,
        wrong.call_blocking(&1, || Ok::<_, Infallible>(1)),
    ];
    for refused in refused {
        let Err(GuardError::Refused(Refused::Setting(LimitError { field, .. }))) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(field, "max");
    }
    rig.stay.close().await;
}

#[tokio::test]
async fn who_comes_during_a_call_has_its_error_and_it_counts_once() {
    let minimum_calls = 2;
    let rig = Rig::with(BreakerSettings { minimum_calls, ..breaker() }).await;
    let guard = rig.db.guard().cache(Cache::<u8, u32>::new(HOUR).unwrap());
    let made = AtomicU32::new(0);
    let (fail, failed) = tokio::sync::watch::channel(());
    let call = || async {
        made.fetch_add(1, Ordering::Relaxed);
        failed.clone().changed().await.unwrap();
        Err("no")
    };
    let all = futures_util::future::join_all((0..5).map(|_| guard.call(&1, call)));
    let (all, ()) = tokio::join!(all, async { fail.send(()).unwrap() });
    for one in all {
        assert_eq!(one, Err(GuardError::Failed(Arc::new("no"))));
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
    // One failure of two calls that it takes: the breaker is closed.
    assert_eq!(rig.db.guard().call(|| async { Ok::<_, Infallible>(1) }).await, Ok(1));
    rig.stay.close().await;
}

#[tokio::test]
async fn a_call_for_the_cache_passes_every_layer() {
    let failure_rate = mainstay::actors::rate::Rate::ONE;
    let rig = Rig::with(BreakerSettings { failure_rate, ..breaker() }).await;
    let guard = rig.db.guard().retry(Retry::attempts(3).base(ms(1))).timeout(ms(50));
    let guard = guard.cache(Cache::new(HOUR).unwrap());
    let made = AtomicU32::new(0);
    let third = || if made.fetch_add(1, Ordering::Relaxed) % 3 < 2 { Err("no") } else { Ok(7) };
    let value = guard.call(&1, || async { third() }).await;
    assert_eq!((value, made.load(Ordering::Relaxed)), (Ok(7), 3));
    let late = guard.call(&2, std::future::pending::<Result<u32, &str>>).await;
    assert_eq!(late, Err(GuardError::Refused(Refused::TimedOut { after: ms(50) })));
    rig.stay.close().await;
}

#[tokio::test]
async fn a_cached_call_may_go_to_any_thread() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().fallback(|_| 0).cache(Cache::<u8, u32>::new(HOUR).unwrap());
    let call = async move { guard.call(&1, || async { Ok::<_, Infallible>(7) }).await };
    assert_eq!(tokio::spawn(call).await.unwrap(), Ok(7));
    rig.stay.close().await;
}
