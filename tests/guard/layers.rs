//! Retry, rate limit and bulkhead around a call, and what they mean for the breaker.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use mainstay::dependency::{BreakerSettings, Mode, Outcome};
use mainstay::guard::{Bulkhead, GuardError, LimitError, RateLimit, Refused, Retry};

use super::support::{Rig, breaker, is_open, ms};

#[tokio::test]
async fn a_call_that_fails_is_made_again_and_each_try_counts() {
    let (minimum_calls, failure_rate) = (5, mainstay::actors::rate::Rate::ONE);
    let rig = Rig::with(BreakerSettings { minimum_calls, failure_rate, ..breaker() }).await;
    let guard = rig.db.guard().retry(Retry::attempts(3).base(ms(1)).max(ms(5)));
    let made = AtomicU32::new(0);
    let third = guard.call(|| async {
        if made.fetch_add(1, Ordering::Relaxed) < 2 { Err("not yet") } else { Ok(7) }
    });
    assert_eq!(third.await, Ok(7));
    let never = guard.call(|| async { Err::<u8, _>("never") }).await;
    assert_eq!(never, Err(GuardError::Failed("never")));
    assert_eq!(seen(&rig, 5).await, 5, "three tries, and two: the budget has three retries");
    rig.stay.close().await;
}

/// Calls of the last observation, once there are so many.
async fn seen(rig: &Rig, calls: u64) -> u64 {
    let began = Instant::now();
    loop {
        let seen = rig.db.state().await.unwrap().unwrap().calls;
        if seen >= calls || began.elapsed() > ms(15_000) {
            return seen;
        }
        tokio::time::sleep(ms(50)).await;
    }
}

#[tokio::test]
async fn what_is_ignored_is_not_made_again() {
    let rig = Rig::new().await;
    let guard =
        rig.db.guard().retry(Retry::attempts(5)).classify(|_: &Result<(), &str>| Outcome::Ignored);
    let made = AtomicU32::new(0);
    let call = guard.call(|| async {
        made.fetch_add(1, Ordering::Relaxed);
        Err("not found")
    });
    assert_eq!(call.await, Err(GuardError::Failed("not found")));
    assert_eq!(made.load(Ordering::Relaxed), 1);
    rig.stay.close().await;
}

#[tokio::test]
async fn a_retry_waits_for_the_breaker_where_it_says_how_long() {
    let rig = Rig::new().await;
    rig.trip().await;
    let guard = rig.db.guard().retry(Retry::attempts(3).base(ms(20)).max(ms(1_000)));
    let began = Instant::now();
    guard.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    assert!(began.elapsed() >= ms(100), "it came back too early: {:?}", began.elapsed());
    rig.stay.close().await;
}

#[tokio::test]
async fn the_rate_limit_refuses_with_a_time_and_gives_the_trial_back() {
    let rig = Rig::new().await;
    rig.trip().await;
    rig.becomes(Mode::HalfOpen).await;
    let limit = RateLimit::per(1, ms(60_000)).unwrap();
    let limited = rig.db.guard().rate_limit(limit);
    limited.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    for _ in 0..10 {
        let refused = limited.call(|| async { Ok::<_, Infallible>(()) }).await;
        let Err(GuardError::Refused(Refused::RateLimited { retry_after })) = refused else {
            panic!("{refused:?}")
        };
        assert!(retry_after > ms(50_000) && retry_after <= ms(60_000), "{retry_after:?}");
    }
    // The second trial permit is still there.
    rig.db.guard().call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn a_full_bulkhead_refuses_and_counts_as_nothing() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().bulkhead(Bulkhead::new(2).queue(0));
    let inside = [guard.clone(), guard.clone()];
    let [first, second] = inside
        .each_ref()
        .map(|guard| Box::pin(guard.call(std::future::pending::<Result<(), Infallible>>)));
    let (mut first, mut second) = (first, second);
    assert!(tokio::time::timeout(ms(5), &mut first).await.is_err());
    assert!(tokio::time::timeout(ms(5), &mut second).await.is_err());
    for _ in 0..20 {
        let refused = guard.call(|| async { Ok::<_, Infallible>(()) }).await;
        assert!(matches!(refused, Err(GuardError::Refused(Refused::Full { .. }))), "{refused:?}");
    }
    drop(first);
    guard.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    assert_eq!(rig.db.state().await.unwrap().unwrap().state, Mode::Closed);
    rig.stay.close().await;
}

#[tokio::test]
async fn a_wait_for_the_bulkhead_is_within_the_timeout_and_no_failure() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().bulkhead(Bulkhead::new(1).queue(5)).timeout(ms(30));
    let holder = guard.clone();
    let mut held = Box::pin(holder.call(std::future::pending::<Result<(), Infallible>>));
    assert!(tokio::time::timeout(ms(5), &mut held).await.is_err());
    for _ in 0..6 {
        let late = guard.call(|| async { Ok::<_, Infallible>(()) }).await;
        assert!(matches!(late, Err(GuardError::Refused(Refused::Full { .. }))), "{late:?}");
        let late = guard.call_blocking(|| Ok::<_, Infallible>(()));
        assert!(matches!(late, Err(GuardError::Refused(Refused::Full { .. }))), "{late:?}");
    }
    // Calls that were never made say nothing about the dependency.
    assert_eq!(rig.db.guard().call_blocking(|| Ok::<_, Infallible>(1)), Ok(1));
    drop(held);
    rig.stay.close().await;
}

#[tokio::test]
async fn a_blocking_call_that_takes_too_long_is_a_failure_and_its_result_is_returned() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().timeout(ms(2)).retry(Retry::attempts(3).base(ms(1)));
    let made = AtomicU32::new(0);
    for _ in 0..4 {
        let late = guard.call_blocking(|| {
            made.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(ms(10));
            Ok::<_, Infallible>(1)
        });
        assert_eq!(late, Ok(1));
    }
    assert_eq!(made.load(Ordering::Relaxed), 4, "what has a result is not made again");
    assert!(is_open(&rig.db.guard().call_blocking(|| Ok::<_, Infallible>(1))));
    rig.stay.close().await;
}

/// The sleep lived on the mainstay's runtime: its end was a panic in every call that waited.
#[test]
fn a_mainstay_that_closes_ends_the_waits_of_callers_without_a_runtime() {
    let rig = futures(Rig::new());
    let guard = rig.db.guard().timeout(ms(60_000));
    let waits = std::thread::spawn(move || {
        futures(guard.call(std::future::pending::<Result<(), Infallible>>))
    });
    std::thread::sleep(ms(100));
    futures(rig.stay.close());
    let over = waits.join().unwrap();
    assert_eq!(over, Err(Refused::TimedOut { after: ms(60_000) }.into()));
}

fn futures<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park_timeout(ms(50)),
        }
    }
}

#[tokio::test]
async fn a_mistake_is_not_hidden_by_a_fallback() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().bulkhead(Bulkhead::new(0)).fallback(|_: GuardError<()>| 9);
    assert!(matches!(guard.call_blocking(|| Ok(1)), Err(GuardError::Refused(Refused::Setting(_)))));
    let unknown = rig.stay.dependency("unknown").guard().fallback(|_: GuardError<()>| 9);
    let refused = unknown.call(|| async { Ok(1) }).await;
    assert!(matches!(refused, Err(GuardError::Refused(Refused::Unknown { .. }))), "{refused:?}");
    rig.stay.close().await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_is_named_by_every_call() {
    let rig = Rig::new().await;
    let named = |field, rule| Refused::Setting(LimitError { field, rule });
    let cases = [
        (rig.db.guard().bulkhead(Bulkhead::new(0)), named("max", "1 to 1000000")),
        (rig.db.guard().bulkhead(Bulkhead::new(1).wait(ms(3_600_001))), named("wait", "0 to 1 h")),
        (rig.db.guard().retry(Retry::attempts(0)), named("attempts", "1 to 100")),
        (rig.db.guard().retry(Retry::attempts(2).base(ms(0))), named("retry.base", "1 ms to max")),
    ];
    for (guard, refused) in cases {
        assert_eq!(guard.check(), Err(refused.clone()));
        let called = guard.call_blocking(|| Ok::<_, Infallible>(()));
        assert_eq!(called, Err(refused.into()));
    }
    rig.stay.close().await;
}
