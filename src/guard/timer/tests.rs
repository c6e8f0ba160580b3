use std::future::{pending, ready};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::guard::block::block_on;

const HOUR: Duration = Duration::from_hours(1);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn it_sleeps_on_the_callers_runtime() {
    let began = tokio::time::Instant::now();
    let timer = Timer::new(None);
    timer.sleep(HOUR).await;
    assert_eq!(timer.at_most(HOUR, tokio::time::sleep(2 * HOUR)).await, Err(Elapsed));
    assert_eq!(timer.at_most(2 * HOUR, tokio::time::sleep(HOUR)).await, Ok(()));
    assert!(began.elapsed() >= 3 * HOUR);
}

#[test]
fn without_a_runtime_of_the_callers_it_sleeps_on_its_own() {
    let own = runtime();
    let timer = Timer::new(Some(own.handle().clone()));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| own.block_on(ended));
        let began = tokio::time::Instant::now();
        block_on(timer.sleep(Duration::from_millis(2)));
        assert!(began.elapsed() >= Duration::from_millis(2));
        let other = timer.clone();
        let late = timer.at_most(Duration::from_millis(1), other.sleep(Duration::from_secs(10)));
        assert_eq!(block_on(late), Err(Elapsed));
        drop(end);
    });
}

#[test]
fn what_is_ready_at_once_costs_no_timer() {
    // Where the time is not enabled every timer panics.
    let timeless = Builder::new_current_thread().build().unwrap();
    let timer = Timer::new(None);
    assert_eq!(timeless.block_on(timer.at_most(HOUR, ready(7))), Ok(7));
}

#[test]
fn without_any_runtime_it_does_not_sleep() {
    let timer = Timer::new(None);
    assert!(poll(pin!(timer.sleep(HOUR))).is_ready());
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut waiting = pin!(timer.at_most(Duration::ZERO, told));
    assert!(poll(waiting.as_mut()).is_pending());
    tell.send(7).unwrap();
    assert_eq!(poll(waiting), Poll::Ready(Ok(Ok(7))));
}

#[test]
fn the_end_of_its_own_runtime_ends_every_wait() {
    let own = runtime();
    let timer = Timer::new(Some(own.handle().clone()));
    let mut waiting = pin!(timer.at_most(HOUR, pending::<()>()));
    let mut sleeping = pin!(timer.sleep(HOUR));
    assert!(poll(waiting.as_mut()).is_pending() && poll(sleeping.as_mut()).is_pending());
    drop(own);
    assert_eq!(poll(waiting), Poll::Ready(Err(Elapsed)));
    assert!(poll(sleeping).is_ready());
}

#[test]
fn a_sleep_that_nobody_waits_for_ends() {
    let own = runtime();
    let timer = Timer::new(Some(own.handle().clone()));
    let tasks = || own.metrics().num_alive_tasks();
    {
        let mut waiting = pin!(timer.at_most(HOUR, pending::<()>()));
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!(tasks(), 1);
    }
    own.block_on(tokio::task::yield_now());
    assert_eq!(tasks(), 0);
}
