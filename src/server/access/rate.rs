//! How often a key may ask, and how often an address may try one that is not good.
//!
//! ```text
//!   good key ──► its own bucket: burst at once, then rate_per_second ──► empty? 429
//!   bad key ───► the address's bucket: 20 at once, then 20 a second ──► empty? 429, not recorded
//! ```
//!
//! A good key is never refused for its neighbours: all clients of a proxy share one address. The
//! header fields are those of draft-ietf-httpapi-ratelimit-headers-10.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::AccessConfig;
use crate::server::problem::Problem;

/// Of one address, at once and in a second.
const FAILURES: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Buckets that are kept; with more, whoever is new shares one.
const MOST: usize = 65_536;
/// Full buckets are given up after so many requests.
const SWEEP_EVERY: usize = 16_384;

/// The buckets.
#[derive(Debug)]
pub(in crate::server) struct Rates {
    keys: Option<Buckets<Arc<str>>>,
    failures: Buckets<IpAddr>,
    clock: MonotonicClock,
}

/// What is left to a key after a request, and whether the request was one too many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Share {
    policy: (u32, u64),
    left: u32,
    full_in_seconds: u64,
    /// Until the next one is taken, if this one was not.
    wait_ms: Option<u64>,
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Rates {
    pub(in crate::server) fn new(config: &AccessConfig) -> Self {
        let number = |count: usize| u32::try_from(count).ok().and_then(NonZeroU32::new);
        let rate = number(config.rate_per_second.size());
        let burst = number(config.burst.size());
        let quota = rate.zip(burst).map(|(rate, burst)| Quota::per_second(rate).allow_burst(burst));
        Self {
            keys: quota.map(|quota| Buckets::new(quota, Arc::from(""))),
            failures: Buckets::new(Quota::per_second(FAILURES), Ipv6Addr::UNSPECIFIED.into()),
            clock: MonotonicClock,
        }
    }

    /// Counts a request of a key; `None` if there is no limit.
    pub(super) fn of_key(&self, principal: &Arc<str>) -> Option<Share> {
        let keys = self.keys.as_ref()?;
        let quota = keys.quota;
        let burst = quota.burst_size().get();
        let every_ns = quota.replenish_interval().as_nanos().max(1);
        let seconds = |missing: u32| {
            let ns = u128::from(missing) * every_ns;
            u64::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
        };
        let (left, wait_ms) = match keys.take(principal) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now()).as_millis();
                (0, Some(u64::try_from(wait).unwrap_or(u64::MAX).max(1)))
            },
        };
        let policy = (burst, seconds(burst).max(1));
        Some(Share { policy, left, full_in_seconds: seconds(burst - left), wait_ms })
    }

    /// Counts a request with a bad key; a problem if there were too many.
    pub(super) fn of_failure(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), network);
        self.failures.take(&peer).map(drop).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now()).as_millis();
            limited(u64::try_from(wait).unwrap_or(u64::MAX).max(1), "with keys that are not good")
        })
    }
}

impl Share {
    /// A problem if the request was one too many.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.wait_ms.map_or(Ok(()), |ms| Err(limited(ms, "with this key")))
    }

    /// Tells it to the client.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let (quota, window) = self.policy;
        let (left, full) = (self.left, self.full_in_seconds);
        for (name, text) in [
            (RATE_LIMIT_POLICY, format!("\"key\";q={quota};w={window}")),
            (RATE_LIMIT, format!("\"key\";r={left};t={full}")),
        ] {
            // Digits are good in a header.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

fn limited(wait_ms: u64, whose: &str) -> Problem {
    let detail = format!("too many requests {whose}; nothing happened");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail).retry_after_ms(wait_ms)
}

/// Who has one address of a network of version 6 has all of the last 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => mapped.into(),
            None => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, StateInformationMiddleware>;
type NotUntil = governor::NotUntil<<MonotonicClock as Clock>::Instant>;

/// A bucket for each of a bounded number.
#[derive(Debug)]
struct Buckets<K: Eq + Hash + Clone> {
    limiter: Limiter<K>,
    quota: Quota,
    /// The bucket of those for whom there is none.
    others: K,
    until_sweep: AtomicUsize,
    full: AtomicBool,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn new(quota: Quota, others: K) -> Self {
        let limiter = Limiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        let until_sweep = AtomicUsize::new(SWEEP_EVERY);
        Self { limiter, quota, others, until_sweep, full: AtomicBool::new(false) }
    }

    fn take(&self, whose: &K) -> Result<StateSnapshot, NotUntil> {
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.sweep();
        }
        let shared = self.full.load(Ordering::Relaxed);
        self.limiter.check_key(if shared { &self.others } else { whose })
    }

    /// Gives up the buckets that are as full as new ones.
    fn sweep(&self) {
        self.limiter.retain_recent();
        self.full.store(self.limiter.len() >= MOST, Ordering::Relaxed);
        self.until_sweep.store(SWEEP_EVERY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::Config;

    fn rates(text: &str) -> Rates {
        Rates::new(&Config::from_text(text, "test", []).unwrap().access)
    }

    fn written(share: &Share) -> [String; 2] {
        let mut headers = HeaderMap::new();
        share.write(&mut headers);
        [RATE_LIMIT_POLICY, RATE_LIMIT]
            .map(|it| headers.get(it).unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_key_has_its_burst_and_then_waits_and_another_does_not() {
        let rates = rates("[access]\nrate_per_second = 1\nburst = 3\n");
        let (one, other) = (Arc::from("key:one"), Arc::from("key:other"));
        for left in [2, 1, 0] {
            let share = rates.of_key(&one).unwrap();
            share.check().unwrap();
            let full = 3 - left;
            let expected = ["\"key\";q=3;w=3".to_owned(), format!("\"key\";r={left};t={full}")];
            assert_eq!(written(&share), expected);
        }
        let share = rates.of_key(&one).unwrap();
        let problem = share.check().unwrap_err();
        assert_eq!(problem.status(), 429);
        let wait = problem.body()["retry_after_ms"].as_u64().unwrap();
        assert!((1..=1_000).contains(&wait), "{wait}");
        assert_eq!(written(&share)[1], "\"key\";r=0;t=3");
        rates.of_key(&other).unwrap().check().unwrap();
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        assert_eq!(rates("[access]\nrate_per_second = 0\n").of_key(&Arc::from("key:a")), None);
    }

    #[test]
    fn failures_are_counted_by_address_and_by_network_in_version_6() {
        let rates = rates("");
        let address = |text: &str| Some(text.parse().unwrap());
        for _ in 0..FAILURES.get() {
            rates.of_failure(address("192.0.2.1")).unwrap();
            rates.of_failure(address("2001:db8::1")).unwrap();
        }
        for spent in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::ffff:2"] {
            assert_eq!(rates.of_failure(address(spent)).unwrap_err().status(), 429, "{spent}");
        }
        rates.of_failure(address("192.0.2.2")).unwrap();
        rates.of_failure(address("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn a_million_addresses_take_no_more_than_their_bound() {
        let rates = rates("");
        let mut refused = 0;
        for number in 0..1_000_000_u32 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            refused += usize::from(rates.of_failure(Some(address)).is_err());
            assert!(rates.failures.limiter.len() <= MOST + SWEEP_EVERY);
        }
        // Those that are too many share a bucket, and are held to its rate.
        assert!(refused > 0 || !rates.failures.full.load(Ordering::Relaxed));
    }
}
