//! Waiting for something to be, with a bound.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mainstay::actors::time::Timestamp;

/// Looks again and again until there is something; fails the test after `seconds`.
pub(crate) fn until<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    #[expect(clippy::disallowed_methods, reason = "a bound on waiting for another process")]
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(seconds), "waited {seconds} s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// This moment, as a person asks for it.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a moment in the past of the server under test")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap())
}
