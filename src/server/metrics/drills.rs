//! Figures of drills: when the last ones were, how long recovery took, and whether the next is overdue.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use mainstay_actors::host::{Host, Meta};
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{DRILLS, System, SystemCommand};
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use prometheus_client::registry::{Registry, Unit};

use super::{Real, seconds, whole};
use crate::config::Span;
use crate::server::App;
use crate::server::page;
use crate::server::problem::Problem;

/// How often a good drill is due, and since when.
#[derive(Debug, Clone)]
pub(in crate::server) struct DrillClock {
    every: Span,
    /// When the journal begins, as far as it is here; it never changes while a server runs but by a drop.
    first: Arc<OnceLock<Timestamp>>,
}

impl DrillClock {
    pub(in crate::server) fn new(every: Span) -> Self {
        Self { every, first: Arc::default() }
    }

    /// Whether no drill was good for longer than there may be between two, and a tenth of that.
    fn is_stale(&self, good: Option<Timestamp>, first: Timestamp, now: Timestamp) -> bool {
        let every = self.every.as_ms();
        now.ms_since(good.unwrap_or(first)) > every.saturating_add(every / 10)
    }

    async fn first(&self, host: &Host) -> Result<Timestamp, Problem> {
        if let Some(first) = self.first.get() {
            return Ok(*first);
        }
        let log = host.log().ok_or_else(|| page::not_ready(host))?;
        let first = page::off_arbiter(move || {
            let position = log.base().map_or(0, |base| base.head().position) + 1;
            let mut first = None;
            log.scan(position, position, &mut |record| {
                first = Some(Timestamp::from_micros(record.at_us));
                ControlFlow::Break(())
            })?;
            Ok(first)
        });
        let first = first.await?.or_else(|| host.now()).unwrap_or_default();
        Ok(*self.first.get_or_init(|| first))
    }
}

pub(super) async fn register(
    registry: &mut Registry,
    host: &Host,
    app: &App,
    now: Timestamp,
) -> Result<(), Problem> {
    let none = || Problem::internal("there is no stream of drills");
    let stream = StreamId::new(System::KIND, DRILLS).ok_or_else(none)?;
    let meta = Meta::of(&Arc::from("system:metrics"));
    let known = host.ask::<System>(stream, SystemCommand::Show, meta).await?;
    let known = known.reply.0.operations;
    let first = app.drills.first(host).await?;
    let registry = registry.sub_registry_with_prefix("drill");
    let moment = |at: Option<Timestamp>| at.map_or(0.0, |at| seconds(at.as_micros()));
    let figures = [
        ("last_timestamp", "When the last drill was recorded; 0: none", moment(known.drilled)),
        (
            "last_good_timestamp",
            "When the last good one was recorded; 0: none",
            moment(known.good_drill),
        ),
        (
            "rto",
            "From the disaster to the first verified write in the last one",
            seconds(known.drill_rto_ms.saturating_mul(1_000)),
        ),
    ];
    for (name, help, value) in figures {
        let gauge = Real::default();
        gauge.set(value);
        registry.register_with_unit(name, help, Unit::Seconds, gauge);
    }
    let stale = app.drills.is_stale(known.good_drill, first, now);
    whole(
        registry,
        "stale",
        "Whether no drill was good for longer than drill.every",
        u32::from(stale),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_stale_a_tenth_after_the_next_was_due() {
        let clock = DrillClock::new(Span::from_ms(1_000));
        let at = |ms| Timestamp::from_micros(0).plus_ms(ms);
        assert!(!clock.is_stale(None, at(0), at(1_100)));
        assert!(clock.is_stale(None, at(0), at(1_101)));
        assert!(!clock.is_stale(Some(at(500)), at(0), at(1_600)));
        assert!(clock.is_stale(Some(at(500)), at(0), at(1_601)));
    }
}
