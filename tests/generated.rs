//! The journals that benchmarks run on are journals like any other.

#![cfg(test)]

#[path = "../benches/support/generate.rs"]
mod generate;

use std::path::Path;

use generate::{Made, Plan, generate};
use mainstay::actors::world::World;
use mainstay::event::fold;
use mainstay::journal::{Report, VerifyOptions, verify};

const PLAN: Plan = Plan {
    events: 20_000,
    entities: 2_000,
    live_percent: 90,
    days: 28,
    until_us: 1_795_305_600_000_000,
    seed: 1,
};

fn checked(directory: &Path) -> (Report, World) {
    let mut world = World::default();
    let options = VerifyOptions::default();
    let report =
        verify(directory, &options, &mut |_, _| {}, &mut |record| fold(&mut world, &record));
    (report.unwrap(), world)
}

#[test]
fn a_generated_journal_verifies_and_folds_to_what_was_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let Made { events, sessions_live, sessions_over, locks_held, locks_free } =
        generate(scratch.path(), &PLAN);
    let (report, world) = checked(scratch.path());
    assert!(report.is_good(), "{:?}", report.findings.first());
    assert!(report.store_checked);
    assert_eq!(report.records, events);
    assert!((20_000..20_100).contains(&events), "{events} events");
    assert_eq!(world.sessions.len() as u64, sessions_live + sessions_over);
    assert_eq!(world.sessions.len(), 1_600);
    assert_eq!(world.locks.len() as u64, locks_held + locks_free);
    assert_eq!(world.locks.len(), 400);
    assert!((1_400..1_500).contains(&sessions_live), "{sessions_live} of 1600 live");
    assert!(locks_held > 0);
}

#[test]
fn the_same_plan_makes_the_same_journal() {
    let scratch = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let worlds = scratch.map(|folder| {
        generate(folder.path(), &PLAN);
        checked(folder.path()).1
    });
    assert!(worlds[0] == worlds[1]);
}
