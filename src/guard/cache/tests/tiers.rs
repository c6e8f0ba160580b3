use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::*;

/// A tier that processes would share.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    kept: HashMap<u8, u32>,
    is_down: bool,
}

impl Shared {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}

impl Tier<u8, u32> for Shared {
    type Error = Down;

    async fn get(&self, key: &u8) -> Option<u32> {
        self.inside().kept.get(key).copied()
    }

    async fn put(&self, key: &u8, value: &u32) {
        let mut asked = false;
        let later = std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }
        });
        later.await;
        self.inside().kept.insert(*key, *value);
    }

    async fn remove(&self, key: &u8) -> Result<(), Down> {
        let mut inside = self.inside();
        if inside.is_down {
            return Err(Down);
        }
        inside.kept.remove(key);
        Ok(())
    }
}

fn over(tier: &Shared) -> Cache<u8, u32, Shared> {
    cache(HOUR).tier(tier.clone())
}

#[test]
fn what_one_has_loaded_the_other_finds() {
    let tier = Shared::default();
    let (one, other) = (over(&tier), over(&tier));
    assert_eq!(load(&one, 1), Ok(1));
    assert_eq!((fail(&other), fail(&other)), (Ok(1), Ok(1)));
    let counts = other.counts();
    assert_eq!((counts.tier_hits_total, counts.hits_total, counts.misses_total), (1, 1, 0));
}

#[test]
fn what_is_taken_out_is_out_of_the_tier_too() {
    let tier = Shared::default();
    let (one, other) = (over(&tier), over(&tier));
    load(&one, 1).unwrap();
    one.invalidate_blocking(&1).unwrap();
    assert_eq!(load(&other, 2), Ok(2));
}

#[test]
fn a_load_under_way_puts_nothing_back_into_the_tier() {
    let tier = Shared::default();
    let cache = over(&tier);
    let (tell, of_first) = oneshot::channel();
    let mut first = pin!(cache.get(&1, || told(of_first)));
    let mut taking_out = pin!(cache.invalidate(&1));
    assert!(poll(first.as_mut()).is_pending() && poll(taking_out.as_mut()).is_pending());
    tell.send(Ok(1)).unwrap();
    assert!(poll(first.as_mut()).is_pending(), "the tier takes its time");
    assert!(poll(taking_out.as_mut()).is_pending());
    assert_eq!(poll(first), Poll::Ready(Ok(1)));
    assert_eq!(poll(taking_out), Poll::Ready(Ok(())));
    assert!(tier.inside().kept.is_empty());
}

#[test]
fn a_tier_that_cannot_remove_says_so_and_the_memory_is_empty() {
    let tier = Shared::default();
    let cache = over(&tier);
    load(&cache, 1).unwrap();
    tier.inside().is_down = true;
    assert_eq!(cache.invalidate_blocking(&1), Err(Down));
    tier.inside().kept.insert(1, 2);
    assert_eq!(fail(&cache), Ok(2), "from the tier");
}
