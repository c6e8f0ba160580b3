//! Many threads, one breaker: every call is counted once, and no more trial calls than permits.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use mainstay::dependency::{BreakerSettings, Mode, Window};

use super::support::{Rig, breaker, is_open, ms};

/// More threads than have stripes of their own: the rest shares one.
const THREADS: usize = 80;
const CALLS: usize = 100;

#[tokio::test]
async fn every_call_of_every_thread_is_counted_once() {
    for window in [Window::Seconds(60), Window::Calls(10_000)] {
        // Fewer than the window over calls holds: one that is lost is missed.
        let failure_rate = mainstay::actors::rate::Rate::ONE;
        let rig = Rig::with(BreakerSettings { window, failure_rate, ..breaker() }).await;
        let guard = rig.db.guard();
        let barrier = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    for call in 0..CALLS {
                        // Not the first ones: half of the first four would trip it.
                        let fails = call % 10 == 9;
                        let _ = guard.call_blocking(|| if fails { Err(()) } else { Ok(()) });
                    }
                });
            }
        });
        let all = (THREADS * CALLS) as u64;
        let mut seen = (0, 0.0);
        for _ in 0..2_000 {
            let view = rig.db.state().await.unwrap().unwrap();
            seen =
                (view.calls, view.failure_rate.map_or(0.0, mainstay::actors::rate::Rate::as_f64));
            if seen.0 == all {
                break;
            }
            tokio::time::sleep(ms(10)).await;
        }
        assert_eq!(seen.0, all, "{window:?}");
        assert!((seen.1 - 0.1_f64).abs() < 1e-9, "{window:?}: {seen:?}");
        rig.stay.close().await;
    }
}

/// Half-open admitted 100 of 100.
#[tokio::test]
async fn of_a_hundred_threads_as_many_as_have_permits_try() {
    let rig = Rig::new().await;
    rig.trip().await;
    rig.becomes(Mode::HalfOpen).await;
    let guard = rig.db.guard();
    let (inside, refused) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let barrier = Barrier::new(100);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                barrier.wait();
                let result = guard.call_blocking(|| {
                    inside.fetch_add(1, Ordering::SeqCst);
                    // Until everybody else was refused.
                    let began = std::time::Instant::now();
                    while refused.load(Ordering::SeqCst) < 98 && began.elapsed() < ms(5_000) {
                        std::thread::yield_now();
                    }
                    Ok::<_, Infallible>(())
                });
                if is_open(&result) {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!((inside.load(Ordering::SeqCst), refused.load(Ordering::SeqCst)), (2, 98));
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
}
