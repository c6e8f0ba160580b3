use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;

fn timer() -> Timer {
    Timer::new(None)
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> T {
    match poll(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it is not ready"),
    }
}

fn enter(bulkhead: &Bulkhead) -> Slot<'_> {
    let timer = timer();
    let entering = pin!(bulkhead.enter(&timer));
    ready(entering).unwrap()
}

#[test]
fn what_cannot_be_is_named() {
    let refused = |bulkhead: Bulkhead| bulkhead.check().unwrap_err().field;
    assert_eq!(refused(Bulkhead::new(0)), "max");
    assert_eq!(refused(Bulkhead::new(1_000_001)), "max");
    assert_eq!(refused(Bulkhead::new(1).queue(1_000_001)), "queue");
    assert_eq!(refused(Bulkhead::new(1).wait(Duration::from_secs(3_601))), "wait");
    assert_eq!(
        refused(Bulkhead::adaptive(Gradient { min: 0, ..Gradient::default() })),
        "gradient.min"
    );
    assert_eq!(Bulkhead::new(1).resize(0).unwrap_err().field, "max");
    assert_eq!(Bulkhead::default().check(), Ok(()));
}

#[test]
fn who_came_first_goes_first() {
    let (bulkhead, timer) = (Bulkhead::new(1), timer());
    let inside = enter(&bulkhead);
    let (mut first, mut second) = (pin!(bulkhead.enter(&timer)), pin!(bulkhead.enter(&timer)));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(inside);
    assert!(poll(second.as_mut()).is_pending());
    let inside = ready(first.as_mut()).unwrap();
    assert!(poll(second.as_mut()).is_pending());
    drop(inside);
    drop(ready(second.as_mut()).unwrap());
    assert_eq!(bulkhead.counts().waited_total, 2);
}

#[test]
fn nobody_overtakes_the_line() {
    let (bulkhead, timer) = (Bulkhead::new(1).queue(1), timer());
    let inside = enter(&bulkhead);
    let mut waiting = pin!(bulkhead.enter(&timer));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(inside);
    // The place is given to who waits, although it has not looked yet.
    assert_eq!((bulkhead.counts().active, bulkhead.counts().waiting), (1, 0));
    assert!(poll(pin!(bulkhead.enter(&timer))).is_pending());
    drop(ready(waiting.as_mut()).unwrap());
}

#[test]
fn a_full_line_refuses_at_once() {
    let (bulkhead, timer) = (Bulkhead::new(1).queue(1), timer());
    let _inside = enter(&bulkhead);
    let mut waiting = pin!(bulkhead.enter(&timer));
    assert!(poll(waiting.as_mut()).is_pending());
    let full = ready(pin!(bulkhead.enter(&timer))).unwrap_err();
    assert_eq!(full.retry_after, Duration::from_millis(50));
    let counts = bulkhead.counts();
    let (exhausted, waiting) = (counts.exhausted_total, counts.waiting);
    assert_eq!((exhausted, waiting, counts.active, counts.idle), (1, 1, 1, 0));
}

#[test]
fn a_cancelled_waiter_leaves_the_line() {
    let (bulkhead, timer) = (Bulkhead::new(1), timer());
    let inside = enter(&bulkhead);
    let mut second = Box::pin(bulkhead.enter(&timer));
    let mut third = pin!(bulkhead.enter(&timer));
    assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
    drop(second);
    assert_eq!(bulkhead.counts().waiting, 1);
    drop(inside);
    drop(ready(third.as_mut()).unwrap());
}

#[test]
fn a_cancelled_waiter_gives_on_the_place_it_was_given() {
    let (bulkhead, timer) = (Bulkhead::new(1), timer());
    let inside = enter(&bulkhead);
    let mut second = Box::pin(bulkhead.enter(&timer));
    let mut third = pin!(bulkhead.enter(&timer));
    assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
    drop(inside);
    drop(second);
    drop(ready(third.as_mut()).unwrap());
    assert_eq!((bulkhead.counts().active, bulkhead.counts().waiting), (0, 0));
}

#[test]
fn more_places_let_in_who_waits_and_fewer_take_none_away() {
    let (bulkhead, timer) = (Bulkhead::new(1), timer());
    let first = enter(&bulkhead);
    let mut waiting = pin!(bulkhead.enter(&timer));
    assert!(poll(waiting.as_mut()).is_pending());
    bulkhead.clone().resize(2).unwrap();
    let second = ready(waiting.as_mut()).unwrap();
    bulkhead.resize(1).unwrap();
    let mut third = pin!(bulkhead.enter(&timer));
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    assert!(poll(third.as_mut()).is_pending(), "one is inside still");
    drop(second);
    drop(ready(third.as_mut()).unwrap());
}

#[test]
fn who_may_not_wait_is_refused_at_once() {
    let (bulkhead, timer) = (Bulkhead::new(1).wait(Duration::ZERO), timer());
    let _inside = enter(&bulkhead);
    assert!(ready(pin!(bulkhead.enter(&timer))).is_err());
    assert!(bulkhead.enter_blocking().is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused_and_out_of_the_line() {
    let bulkhead = Bulkhead::new(1);
    let _inside = enter(&bulkhead);
    assert!(bulkhead.enter(&timer()).await.is_err());
    assert_eq!((bulkhead.counts().waiting, bulkhead.counts().exhausted_total), (0, 1));
}

#[test]
fn a_thread_waits_no_longer_than_it_may() {
    let bulkhead = Bulkhead::new(1).wait(Duration::from_millis(2));
    let inside = bulkhead.enter_blocking().unwrap();
    assert!(bulkhead.enter_blocking().is_err());
    drop(inside);
    assert!(bulkhead.enter_blocking().is_ok());
}

#[test]
fn an_adaptive_one_takes_on_its_limit() {
    let bulkhead = Bulkhead::adaptive(Gradient { initial: 4, ..Gradient::default() });
    let slots: Vec<_> = (0..4).map(|_| enter(&bulkhead)).collect();
    assert_eq!(bulkhead.counts().idle, 0);
    for slot in slots {
        slot.finished(1_000, false);
    }
    assert!(bulkhead.counts().idle > 4, "{:?}", bulkhead.counts());
}

/// Threads go in and out, blocking and with futures that are cancelled half of the time.
#[test]
fn threads_never_are_more_inside_than_may_be_and_none_is_forgotten() {
    const ROUNDS: u32 = 5_000;
    for (max, threads) in [(1, 2), (1, 4), (2, 4)] {
        let bulkhead = Bulkhead::new(max);
        let (inside, entered) = (AtomicU32::new(0), AtomicU32::new(0));
        let work = || {
            let timer = timer();
            for round in 0..ROUNDS {
                if round % 3 == 0 {
                    let mut cancelled = Box::pin(bulkhead.enter(&timer));
                    let _ = poll(cancelled.as_mut());
                    std::thread::yield_now();
                }
                let slot = bulkhead.enter_blocking().unwrap();
                assert!(inside.fetch_add(1, Ordering::SeqCst) < max);
                if round % 7 == 0 {
                    std::thread::yield_now();
                }
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(slot);
                entered.fetch_add(1, Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        assert_eq!(entered.into_inner(), threads * ROUNDS);
        let counts = bulkhead.counts();
        assert_eq!((counts.active, counts.waiting, counts.exhausted_total), (0, 0, 0));
    }
}

#[test]
fn a_waker_may_use_the_bulkhead_when_it_is_dropped() {
    struct Resizes(Bulkhead);
    impl std::task::Wake for Resizes {
        fn wake(self: std::sync::Arc<Self>) {}
    }
    impl Drop for Resizes {
        fn drop(&mut self) {
            self.0.resize(1).unwrap();
        }
    }
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (bulkhead, timer) = (Bulkhead::new(1), timer());
        let _inside = enter(&bulkhead);
        let mut waiting = pin!(bulkhead.enter(&timer));
        let waker = Waker::from(std::sync::Arc::new(Resizes(bulkhead.clone())));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        let _ = tell.send(poll(waiting).is_pending());
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(true));
}
