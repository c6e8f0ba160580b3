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
