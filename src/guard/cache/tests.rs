mod tiers;

use std::cell::Cell as Shown;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU32;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::*;

const HOUR: Duration = Duration::from_hours(1);
const MS: Duration = Duration::from_millis(1);

#[derive(Debug, PartialEq)]
struct Down;

fn cache(ttl: Duration) -> Cache<u8, u32> {
    Cache::new(ttl).unwrap()
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn load<T: Tier<u8, u32>>(cache: &Cache<u8, u32, T>, value: u32) -> Result<u32, Arc<Down>> {
    cache.get_blocking(&1, || Ok(value))
}

fn fail<T: Tier<u8, u32>>(cache: &Cache<u8, u32, T>) -> Result<u32, Arc<Down>> {
    cache.get_blocking(&1, || Err(Down))
}

/// Time passes until it holds.
fn at_last(mut holds: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never holds");
        std::thread::yield_now();
    }
}

async fn told(told: oneshot::Receiver<Result<u32, Down>>) -> Result<u32, Down> {
    told.await.unwrap()
}

#[test]
fn what_cannot_be_is_named() {
    let good = || cache(HOUR);
    let field = |made: Result<Cache<u8, u32>, LimitError>| made.unwrap_err().field;
    assert_eq!(field(Cache::new(Duration::from_micros(999))), "ttl");
    assert_eq!(field(Cache::new(25 * HOUR)), "ttl");
    assert_eq!(field(good().capacity(0)), "capacity");
    assert_eq!(field(good().capacity(100_000_001)), "capacity");
    assert_eq!(field(good().stale(8 * 24 * HOUR)), "stale");
    assert!(good().capacity(1).unwrap().stale(Duration::ZERO).is_ok());
}

#[test]
fn what_is_fresh_is_not_loaded_again() {
    let cache = cache(HOUR);
    assert_eq!(load(&cache, 1), Ok(1));
    assert_eq!(load(&cache.clone(), 2), Ok(1));
    assert_eq!(cache.get_blocking(&2, || Ok::<_, Down>(3)), Ok(3), "another key");
    let expected = CacheCounts { hits_total: 1, misses_total: 2, ..CacheCounts::default() };
    assert_eq!(cache.counts(), expected);
}

#[test]
fn what_is_no_longer_fresh_is_loaded_again() {
    let cache = cache(MS);
    load(&cache, 1).unwrap();
    at_last(|| load(&cache, 2) != Ok(1));
    assert_eq!(cache.counts().misses_total, 2);
}

#[test]
fn who_comes_during_a_load_has_its_value() {
    let cache = cache(HOUR);
    let (tell, of_first) = oneshot::channel();
    let mut first = pin!(cache.get(&1, || told(of_first)));
    let mut second = pin!(cache.get(&1, || ready(Ok::<_, Down>(2))));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    assert_eq!(cache.get_blocking(&2, || Ok::<_, Down>(3)), Ok(3), "another key does not wait");
    tell.send(Ok(1)).unwrap();
    assert_eq!(poll(first), Poll::Ready(Ok(1)));
    assert_eq!(poll(second), Poll::Ready(Ok(1)));
    assert_eq!((cache.counts().hits_total, cache.counts().misses_total), (1, 2));
}

#[test]
fn an_error_of_another_type_is_nobody_elses() {
    let cache = cache(HOUR);
    let (tell, of_first) = oneshot::channel();
    let mut first = pin!(cache.get(&1, || told(of_first)));
    let mut second = pin!(cache.get(&1, || ready(Ok::<_, u8>(2))));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    tell.send(Err(Down)).unwrap();
    assert_eq!(poll(first), Poll::Ready(Err(Arc::new(Down))));
    assert_eq!(poll(second), Poll::Ready(Ok(2)));
}

#[test]
fn all_who_wait_have_the_error_of_one_load() {
    let cache = cache(HOUR);
    let loads = Shown::new(0);
    let (tell, of_first) = oneshot::channel();
    let mut first = pin!(cache.get(&1, || told(of_first)));
    assert!(poll(first.as_mut()).is_pending());
    let again = || {
        loads.set(loads.get() + 1);
        ready(Err::<u32, _>(Down))
    };
    let mut others: Vec<_> = (0..5).map(|_| Box::pin(cache.get(&1, again))).collect();
    assert!(others.iter_mut().all(|other| poll(other.as_mut()).is_pending()));
    tell.send(Err(Down)).unwrap();
    assert_eq!(poll(first), Poll::Ready(Err(Arc::new(Down))));
    for other in &mut others {
        assert_eq!(poll(other.as_mut()), Poll::Ready(Err(Arc::new(Down))));
    }
    assert_eq!((loads.get(), cache.counts().failed_total), (0, 6));
    assert_eq!(load(&cache, 7), Ok(7));
}

#[test]
fn a_load_that_is_dropped_or_panics_passes_the_turn_on() {
    let cache = cache(HOUR);
    let mut dropped = Box::pin(cache.get(&1, pending::<Result<u32, Down>>));
    let mut second =
        pin!(cache.get(&1, || -> std::future::Ready<Result<u32, Down>> { panic!("planned") }));
    let mut third = pin!(cache.get(&1, || ready(Ok::<_, Down>(3))));
    assert!(poll(dropped.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
    drop(dropped);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(second.as_mut()))).is_err());
    assert_eq!(poll(third), Poll::Ready(Ok(3)));
}

#[test]
fn the_value_of_before_answers_for_a_load_that_fails() {
    let cache = cache(MS).stale(HOUR).unwrap();
    assert_eq!(fail(&cache), Err(Arc::new(Down)));
    load(&cache, 1).unwrap();
    at_last(|| {
        assert_eq!(fail(&cache), Ok(1));
        cache.counts().stale_total > 0
    });
    assert_eq!((cache.counts().failed_total, cache.counts().misses_total), (1, 1));
}

#[test]
fn a_value_that_is_too_old_answers_no_more() {
    for stale in [Duration::ZERO, MS] {
        let cache = cache(MS).stale(stale).unwrap();
        load(&cache, 1).unwrap();
        at_last(|| fail(&cache).is_err());
        assert_eq!(cache.counts().failed_total, 1);
    }
}

#[test]
fn what_is_taken_out_is_loaded_again_and_is_not_the_value_of_before() {
    let cache = cache(HOUR).stale(HOUR).unwrap();
    load(&cache, 1).unwrap();
    cache.invalidate_blocking(&1).unwrap();
    assert_eq!(fail(&cache), Err(Arc::new(Down)));
    assert_eq!(load(&cache, 2), Ok(2));
}

#[test]
fn taking_out_waits_for_the_load_under_way() {
    let cache = cache(HOUR);
    let (tell, of_first) = oneshot::channel();
    let mut first = pin!(cache.get(&1, || told(of_first)));
    let mut taking_out = pin!(cache.invalidate(&1));
    assert!(poll(first.as_mut()).is_pending() && poll(taking_out.as_mut()).is_pending());
    tell.send(Ok(1)).unwrap();
    assert_eq!(poll(first), Poll::Ready(Ok(1)));
    assert!(poll(taking_out).is_ready());
    assert_eq!(load(&cache, 2), Ok(2));
}

#[test]
fn known_values_are_taken_in() {
    let cache = cache(HOUR);
    cache.warm([(1, 10), (2, 20)]);
    assert_eq!(fail(&cache), Ok(10));
    assert_eq!(cache.get_blocking(&2, || Err(Down)), Ok(20));
    assert_eq!(cache.counts().hits_total, 2);
}

#[test]
fn no_more_keys_are_kept_than_may_be() {
    let cache = cache(HOUR).capacity(10).unwrap();
    cache.warm((0..=u8::MAX).map(|key| (key, 0)));
    cache.cells.run_pending_tasks();
    assert!((1..=10).contains(&cache.cells.entry_count()), "{}", cache.cells.entry_count());
}

#[tokio::test]
async fn a_blocking_load_may_be_inside_of_a_runtime() {
    let cache = cache(HOUR);
    assert_eq!(load(&cache, 1), Ok(1));
}

#[test]
fn what_is_kept_is_not_printed() {
    let cache = Cache::<&str, &str>::new(HOUR).unwrap();
    cache.warm([("name of a guest", "number of a card")]);
    let printed = format!("{cache:?}");
    assert!(printed.contains("3600s") && !printed.contains("guest") && !printed.contains("card"));
}

/// Two threads ask, change and take out. A load never runs beside another of its key; after a value
/// has been taken out nobody sees one that is older; every call is counted once.
#[test]
fn threads_never_load_a_key_twice_at_a_time_nor_see_what_was_taken_out() {
    const ROUNDS: u32 = 20_000;
    let cache = cache(MS);
    let truth: [AtomicU32; 2] = Default::default();
    let loading: [AtomicU32; 2] = Default::default();
    let work = |thread: u32| {
        for round in 0..ROUNDS {
            let key = (round / 3) % 2;
            let (truth, loading) = (&truth[key as usize], &loading[key as usize]);
            let key = u8::try_from(key).unwrap();
            let mut least = 0;
            if round % 16 == thread {
                least = truth.fetch_add(1, Ordering::SeqCst) + 1;
                cache.invalidate_blocking(&key).unwrap();
            }
            let got = cache.get_blocking(&key, || {
                assert_eq!(loading.fetch_add(1, Ordering::SeqCst), 0);
                let value = truth.load(Ordering::SeqCst);
                if round % 5 == 0 {
                    std::thread::yield_now();
                }
                loading.fetch_sub(1, Ordering::SeqCst);
                if round % 7 == 0 { Err(Down) } else { Ok(value) }
            });
            if let Ok(value) = got {
                assert!(value >= least, "{value} after {least}");
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(|| work(0)), scope.spawn(|| work(1))];
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let counts = cache.counts();
    let all = counts.hits_total + counts.misses_total + counts.failed_total;
    assert_eq!(all, u64::from(2 * ROUNDS));
    assert!(counts.hits_total > 0 && counts.misses_total > 0 && counts.failed_total > 0);
}
