//! So many calls in a span of time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::limit::{LimitError, check};

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as Clock>::Instant>,
>;

/// See the module. Calls are spread evenly over the span; so many as the burst may come at once.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct RateLimit {
    limiter: Arc<Limiter>,
    count: u32,
    duration: Duration,
}

/// The limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is reached")]
pub struct RetryAfter(
    /// When there is room again.
    pub Duration,
);

const DAY: Duration = Duration::from_hours(24);

impl RateLimit {
    /// So many calls (1 to 1,000,000,000) in `duration` (1 ms to 1 d), at most one in a
    /// nanosecond. All of them may come at once, unless [`burst`](Self::burst) says otherwise.
    ///
    /// # Errors
    /// Out of range.
    pub fn per(count: u32, duration: Duration) -> Result<Self, LimitError> {
        Self::with(count, duration, count)
    }

    /// So many may come at once: 1 to 1,000,000,000. It begins anew: clones made before keep the
    /// old one.
    ///
    /// # Errors
    /// Out of range.
    pub fn burst(self, burst: u32) -> Result<Self, LimitError> {
        Self::with(self.count, self.duration, burst)
    }

    fn with(count: u32, duration: Duration, burst: u32) -> Result<Self, LimitError> {
        let limiter =
            RateLimiter::direct_with_clock(quota(count, duration, burst)?, MonotonicClock);
        Ok(Self { limiter: Arc::new(limiter), count, duration })
    }

    /// Whether one more call may be made now; if so, it is counted.
    ///
    /// # Errors
    /// The limit is reached; with the time until there is room again.
    pub fn try_now(&self) -> Result<(), RetryAfter> {
        self.limiter.check().map_err(|until| RetryAfter(until.wait_time_from(MonotonicClock.now())))
    }
}

fn quota(count: u32, duration: Duration, burst: u32) -> Result<Quota, LimitError> {
    const MOST: u32 = 1_000_000_000;
    check((1..=MOST).contains(&count), "count", "1 to 1000000000")?;
    check((Duration::from_millis(1)..=DAY).contains(&duration), "duration", "1 ms to 1 d")?;
    let of_burst = LimitError { field: "burst", rule: "1 to 1000000000" };
    let burst = NonZeroU32::new(burst).filter(|burst| burst.get() <= MOST).ok_or(of_burst)?;
    let of_rate = LimitError { field: "count", rule: "at most one call in a nanosecond" };
    let quota = duration.checked_div(count).and_then(Quota::with_period).ok_or(of_rate)?;
    Ok(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused_for(count: u32, duration: Duration, burst: u32) -> &'static str {
        quota(count, duration, burst).unwrap_err().field
    }

    #[test]
    fn what_cannot_be_is_named() {
        assert_eq!(refused_for(0, SECOND, 1), "count");
        assert_eq!(refused_for(u32::MAX, SECOND, 1), "count");
        assert_eq!(refused_for(1, Duration::ZERO, 1), "duration");
        assert_eq!(refused_for(1, DAY + SECOND, 1), "duration");
        assert_eq!(refused_for(1, SECOND, 0), "burst");
        assert_eq!(refused_for(1, SECOND, u32::MAX), "burst");
        assert_eq!(refused_for(1_000_000_000, Duration::from_millis(1), 1), "count");
        assert!(RateLimit::per(1, SECOND).unwrap().burst(0).is_err());
    }

    #[test]
    fn a_burst_passes_then_calls_come_evenly() {
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota(10, SECOND, 3).unwrap(), clock.clone());
        let passed =
            |limiter: &RateLimiter<_, _, _, _>| (0..20).filter(|_| limiter.check().is_ok()).count();
        assert_eq!(passed(&limiter), 3);
        clock.advance(Duration::from_millis(100));
        assert_eq!(passed(&limiter), 1);
        clock.advance(Duration::from_millis(250));
        assert_eq!(passed(&limiter), 2);
        clock.advance(SECOND * 60);
        assert_eq!(passed(&limiter), 3);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limit = RateLimit::per(3, Duration::from_hours(1)).unwrap();
        let clone = limit.clone();
        assert!(limit.try_now().is_ok() && clone.try_now().is_ok() && limit.try_now().is_ok());
        let RetryAfter(after) = clone.try_now().unwrap_err();
        assert!(
            after > Duration::from_secs(1_100) && after <= Duration::from_mins(20),
            "{after:?}"
        );
    }

    #[test]
    fn two_threads_pass_no_more_than_one_would() {
        let limit = RateLimit::per(1_000, DAY).unwrap();
        let passed = || (0..2_000).filter(|_| limit.try_now().is_ok()).count();
        let both = std::thread::scope(|scope| {
            let (one, two) = (scope.spawn(passed), scope.spawn(passed));
            one.join().unwrap() + two.join().unwrap()
        });
        assert_eq!(both, 1_000);
    }
}
