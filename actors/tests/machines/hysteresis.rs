//! Down at once, up only after the better level has held.

use mainstay_actors::health::{Hysteresis, Level};
use mainstay_actors::time::Timestamp;
use proptest::prelude::*;

use Level::{Degraded, Emergency, Limited, Minimal, Optimal};

use crate::support::at;

fn at_10s(level: Level) -> Hysteresis {
    Hysteresis::new(level, 10_000)
}

/// Observes these raw levels at these milliseconds; what changed, and to what.
fn walk(it: &mut Hysteresis, raw: &[(u64, Level)]) -> Vec<(u64, Level)> {
    let changes = raw.iter().filter_map(|(ms, raw)| it.observe(*raw, at(*ms)).map(|to| (*ms, to)));
    changes.collect()
}

#[test]
fn a_worse_level_holds_at_once() {
    let mut it = at_10s(Optimal);
    let changes = walk(&mut it, &[(0, Optimal), (1, Limited), (2, Emergency)]);
    assert_eq!(changes, [(1, Limited), (2, Emergency)]);
}

#[test]
fn a_better_level_holds_after_the_wait_and_not_a_millisecond_before() {
    let mut it = at_10s(Limited);
    let changes = walk(&mut it, &[(0, Optimal), (9_999, Optimal), (10_000, Optimal)]);
    assert_eq!(changes, [(10_000, Optimal)]);
}

#[test]
fn the_deadline_says_when_to_look_again() {
    let mut it = at_10s(Limited);
    assert_eq!(it.deadline(), None);
    it.observe(Optimal, at(500));
    assert_eq!(it.deadline(), Some(at(10_500)));
    it.observe(Optimal, at(10_500));
    assert_eq!((it.deadline(), it.level()), (None, Optimal));
}

#[test]
fn a_relapse_begins_the_wait_anew() {
    let mut it = at_10s(Limited);
    let changes = walk(
        &mut it,
        &[(0, Optimal), (9_000, Limited), (9_001, Optimal), (18_999, Optimal), (19_001, Optimal)],
    );
    assert_eq!(changes, [(19_001, Optimal)]);
}

#[test]
fn it_rises_to_the_worst_level_of_the_span() {
    let mut it = at_10s(Minimal);
    let raw = [(0, Optimal), (4_000, Degraded), (6_000, Optimal), (10_000, Optimal)];
    assert_eq!(walk(&mut it, &raw), [(10_000, Degraded)]);
    assert_eq!(it.deadline(), Some(at(16_000)), "ten seconds after it was last degraded");
    assert_eq!(it.observe(Optimal, at(16_000)), Some(Optimal));
}

#[test]
fn it_rises_step_by_step_as_the_raw_level_does() {
    let mut it = at_10s(Emergency);
    let raw = [(0, Minimal), (3_000, Limited), (10_000, Limited), (13_000, Limited)];
    assert_eq!(walk(&mut it, &raw), [(10_000, Minimal), (13_000, Limited)]);
}

#[test]
fn a_fall_within_the_wait_is_a_fall() {
    let mut it = at_10s(Limited);
    let changes =
        walk(&mut it, &[(0, Optimal), (1_000, Minimal), (2_000, Optimal), (12_000, Optimal)]);
    assert_eq!(changes, [(1_000, Minimal), (12_000, Optimal)]);
}

#[test]
fn a_restart_begins_the_wait_anew() {
    let mut before = at_10s(Limited);
    before.observe(Optimal, at(0));
    let mut after = at_10s(before.level());
    assert_eq!(walk(&mut after, &[(9_000, Optimal), (10_000, Optimal)]), []);
    assert_eq!(after.observe(Optimal, at(19_000)), Some(Optimal));
}

#[test]
fn without_a_wait_it_follows_the_raw_level() {
    let mut it = Hysteresis::new(Optimal, 0);
    let changes = walk(&mut it, &[(0, Minimal), (0, Optimal), (1, Limited), (1, Limited)]);
    assert_eq!(changes, [(0, Minimal), (0, Optimal), (1, Limited)]);
}

#[test]
fn flapping_never_rises() {
    let mut it = at_10s(Degraded);
    for second in 0..100 {
        let raw = if second % 2 == 0 { Optimal } else { Degraded };
        assert_eq!(it.observe(raw, at(second * 1_000)), None);
    }
}

const LEVELS: [Level; 5] = [Emergency, Minimal, Limited, Degraded, Optimal];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rule as it is written: the worst raw level of the span that ends here.
    #[test]
    fn the_level_is_the_worst_raw_level_of_the_span(
        steps in proptest::collection::vec((0_u64..6_000, 0_usize..5), 1..60),
    ) {
        let mut it = at_10s(Limited);
        let mut now = at(100_000);
        // Raw levels with the moment each began; the journaled one held before.
        let mut raw: Vec<(Timestamp, Level)> = vec![(Timestamp::default(), Limited)];
        for (wait, index) in steps {
            now = now.plus_ms(wait);
            let level = LEVELS[index];
            raw.push((now, level));
            it.observe(level, now);
            let ends = raw.iter().skip(1).map(|(from, _)| *from).chain([now.plus_ms(1)]);
            let in_span = raw.iter().zip(ends).filter(|((_, level), end)| {
                // Followed by itself it has not ended.
                end.plus_ms(10_000) > now || *level == raw[raw.len() - 1].1
            });
            let worst = in_span.map(|((_, level), _)| *level).filter(|worst| *worst <= level).min();
            prop_assert_eq!(Some(it.level()), worst);
        }
    }
}
