//! Waits for a future on a thread of its own: for the blocking twins.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Parks the thread until the future is ready. It needs no runtime and may be called inside one,
/// where it blocks that thread as any blocking call does.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// As [`block_on`], for so long at most: `None` when the time is over. Needs no timer.
pub(crate) fn block_at_most<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let began = now();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        // A thread may wake for no reason: what is left is asked again.
        let left = duration.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
        std::thread::park_timeout(left);
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a wait, decides no state by it")]
fn now() -> Instant {
    Instant::now()
}
