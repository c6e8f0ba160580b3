//! What the guards of this process have counted: a server inside of a service has its calls. The
//! figures of a dependency come with its first guard, those of bulkheads with its first bulkhead.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Gauges, Labels, integer, seconds};
use crate::guard::Guards;

type Counters = Family<Labels, Counter>;

pub(super) fn register(registry: &mut Registry, guards: &Guards) {
    let (active, idle) = (Gauges::<Gauge>::default(), Gauges::<Gauge>::default());
    let (exhausted, waited) = (Counters::default(), Counters::default());
    let wait = Family::<Labels, Counter<f64, AtomicU64>>::default();
    let (fallbacks, cache) = (Counters::default(), Counters::default());
    for (name, figures) in guards.figures() {
        let labels = vec![("dependency", name.to_string())];
        fallbacks.get_or_create(&labels).inc_by(figures.fallbacks);
        #[cfg(feature = "cache")]
        for (result, count) in figures.caches.iter().flat_map(|it| {
            [
                ("hit", it.hits_total),
                ("tier_hit", it.tier_hits_total),
                ("miss", it.misses_total),
                ("stale", it.stale_total),
                ("failed", it.failed_total),
            ]
        }) {
            let labels = vec![("dependency", name.to_string()), ("result", result.to_owned())];
            cache.get_or_create(&labels).inc_by(count);
        }
        let Some(counts) = figures.bulkheads else { continue };
        active.get_or_create(&labels).set(integer(counts.active));
        idle.get_or_create(&labels).set(integer(counts.idle));
        exhausted.get_or_create(&labels).inc_by(counts.exhausted_total);
        waited.get_or_create(&labels).inc_by(counts.waited_total);
        wait.get_or_create(&labels).inc_by(seconds(counts.waited_us));
    }
    registry.register("cache_requests", "How caches answered calls", cache);
    registry.register("fallbacks", "Calls that a fallback answered", fallbacks);
    let registry = registry.sub_registry_with_prefix("bulkhead");
    registry.register("active", "Calls inside", active);
    registry.register("idle", "Places that are free", idle);
    registry.register("exhausted", "Calls that found no place", exhausted);
    registry.register("waited", "Calls that waited for their place and had it", waited);
    let help = "How long they waited, together";
    registry.register_with_unit("wait", help, Unit::Seconds, wait);
}

#[cfg(all(test, feature = "cache"))]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::guard::{Bulkhead, Cache};

    const CONTRACT: &str = include_str!("../../../docs/metrics.md");

    #[test]
    fn every_name_is_in_the_contract_and_every_name_of_the_contract_is_served() {
        let guards = Guards::default();
        let (tally, bulkhead) = (guards.tally(&"db".into()), Bulkhead::default());
        let cache = Cache::<u8, u8>::new(Duration::from_secs(1)).unwrap();
        tally.guard();
        tally.watch(&bulkhead);
        bulkhead.use_it();
        tally.watch_cache(cache.counters());
        let mut registry = Registry::with_prefix("mainstay");
        register(&mut registry, &guards);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let served: BTreeSet<&str> =
            samples.map(|line| line.split(['{', ' ']).next().unwrap()).collect();
        let (_, here) = CONTRACT.split_once("\n## Of a service that embeds it\n").unwrap();
        let rows = here.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(served, rows.collect());
    }
}
