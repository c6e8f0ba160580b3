//! Dependencies on the way: every one that was touched, for their number is small.

use std::collections::BTreeMap;

use mainstay_actors::dependency::DependencyEvent;
use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::RecordRef;

use super::model::{DependencyBrief, DependencyDiff, Few};
use super::walk::step;
use super::{ENTITIES, STEPS};

/// What was seen of dependencies.
#[derive(Debug, Default)]
pub(super) struct Dependencies(BTreeMap<String, DependencyDiff>);

impl Dependencies {
    pub(super) fn see(
        &mut self,
        world: &World,
        name: &str,
        record: &RecordRef<'_>,
        event: &AnyEvent,
    ) {
        let told = self.0.entry(name.to_owned()).or_insert_with(|| DependencyDiff {
            name: name.to_owned(),
            before: world.dependencies.get(name).and_then(DependencyBrief::of),
            after: None,
            moves: Few::default(),
            calls: 0,
            failures: 0,
        });
        if let AnyEvent::Dependency(seen) = event
            && let DependencyEvent::WindowObserved(seen) = &**seen
        {
            for second in &seen.window.seconds {
                told.calls += u64::from(second.calls);
                told.failures += u64::from(second.failures);
            }
        } else {
            told.moves.push(step(record, event, None), STEPS);
        }
    }

    /// Those that moved come first: what was only observed is the least news.
    pub(super) fn end(self, world: &World) -> Few<DependencyDiff> {
        let mut all: Vec<DependencyDiff> = self.0.into_values().collect();
        all.sort_by_key(|it| it.moves.is_empty());
        let mut few = Few::default();
        for mut told in all {
            let after = world.dependencies.get(&told.name);
            told.after = after.and_then(DependencyBrief::of);
            few.push(told, ENTITIES);
        }
        few
    }
}
