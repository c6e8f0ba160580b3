//! The weighted mean, its floors and its caps.

use mainstay_actors::dependency::Mode;
use mainstay_actors::health::{Assessment, Input, Level, assess, cause};
use mainstay_actors::rate::Score;
use proptest::prelude::*;

use crate::health_combinations::input;

fn one(score: u32) -> Level {
    assess(&[input("db", 7, Some(score), false)]).level
}

#[test]
fn each_level_begins_at_its_floor() {
    assert_eq!((one(900_000), one(899_999)), (Level::Optimal, Level::Degraded));
    assert_eq!((one(700_000), one(699_999)), (Level::Degraded, Level::Limited));
    assert_eq!((one(500_000), one(499_999)), (Level::Limited, Level::Minimal));
    assert_eq!((one(200_000), one(199_999)), (Level::Minimal, Level::Emergency));
}

#[test]
fn floors_are_compared_unrounded() {
    // 89.99997: it shows 89, and no rounding lifts it.
    let it = assess(&[input("a", 2, Some(900_000), false), input("b", 1, Some(899_999), false)]);
    assert_eq!((it.score.shown(), it.level), (89, Level::Degraded));
    assert_eq!(it.score.ten_thousandths(), 899_999, "shown rounded down");
}

#[test]
fn unknown_scores_are_outside_the_weights() {
    let it = assess(&[input("a", 10, Some(400_000), false), input("b", 90, None, false)]);
    assert_eq!((it.score.shown(), it.known_weight), (40, 10));
}

#[test]
fn nothing_known_is_100_with_a_known_weight_of_0() {
    let full = Assessment { score: Score::FULL, known_weight: 0, level: Level::Optimal };
    assert_eq!(assess(&[]), full);
    assert_eq!(assess(&[input("a", 10, None, false)]), full);
    assert_eq!(assess(&[input("a", 0, Some(0), false)]), full, "no weight");
}

#[test]
fn optimal_means_that_everything_weighted_is_available() {
    let light = [input("a", 999, Some(1_000_000), false), input("b", 1, Some(500_000), true)];
    assert_eq!(assess(&light).level, Level::Degraded);
    let unweighted = [input("a", 999, Some(1_000_000), false), input("b", 0, Some(0), true)];
    assert_eq!(assess(&unweighted).level, Level::Optimal);
}

#[test]
fn a_critical_dependency_that_is_down_caps_the_level() {
    let mut db = input("db", 1, Some(0), true);
    db.cap = Some(Level::Minimal);
    let others = input("a", 99, Some(1_000_000), false);
    assert_eq!(assess(&[others, db]).level, Level::Minimal);
    db.down = false;
    assert_eq!(assess(&[others, db]).level, Level::Optimal, "only while it is down");
}

#[test]
fn a_cap_never_lifts_the_level() {
    let mut db = input("db", 1, Some(0), true);
    db.cap = Some(Level::Degraded);
    assert_eq!(assess(&[db]).level, Level::Emergency);
}

#[test]
fn a_critical_dependency_without_weight_still_caps() {
    let mut db = input("db", 0, Some(0), true);
    db.cap = Some(Level::Limited);
    let it = assess(&[db]);
    assert_eq!((it.level, it.known_weight, it.score), (Level::Limited, 0, Score::FULL));
}

#[test]
fn the_worst_of_several_caps_holds() {
    let capped = |name, cap| Input { cap: Some(cap), ..input(name, 1, Some(500_000), true) };
    let it = assess(&[
        input("a", 100, Some(1_000_000), false),
        capped("b", Level::Limited),
        capped("c", Level::Minimal),
        capped("d", Level::Degraded),
    ]);
    assert_eq!(it.level, Level::Minimal);
}

#[test]
fn both_caps_hold_in_open_half_open_and_forced_open() {
    let down = Mode::ALL.map(Mode::is_down);
    assert_eq!(down, [false, true, true, true, false, false]);
}

#[test]
fn the_heaviest_weights_do_not_overflow() {
    let inputs = vec![input("a", u32::MAX, Some(1_000_000), false); 10_000];
    let it = assess(&inputs);
    assert_eq!((it.score, it.level), (Score::FULL, Level::Optimal));
    assert_eq!(it.known_weight, 10_000 * u64::from(u32::MAX));
}

fn words(inputs: &[Input<'_>]) -> String {
    let mode = |input: &Input<'_>| match input.score {
        Some(score) if score == Score::points(50) => Mode::HalfOpen,
        _ => Mode::Open,
    };
    cause(&assess(inputs), inputs, mode)
}

#[test]
fn the_cause_names_what_is_down_heaviest_first() {
    let up = input("s3", 5, Some(1_000_000), false);
    assert_eq!(words(&[input("database", 30, Some(0), true), up]), "database is open");
    let several =
        [input("redis", 15, Some(500_000), true), up, input("database", 30, Some(0), true)];
    assert_eq!(words(&several), "database is open, redis is half_open");
    let many: Vec<_> =
        ["a", "b", "c", "d", "e"].iter().map(|name| input(name, 1, Some(0), true)).collect();
    assert_eq!(words(&many), "a is open, b is open, c is open, 2 more are down");
}

#[test]
fn without_anything_down_the_cause_is_the_score() {
    assert_eq!(words(&[input("database", 30, Some(651_234), false)]), "score 65");
    assert_eq!(words(&[input("database", 30, Some(1_000_000), false)]), "everything is available");
    assert_eq!(words(&[]), "nothing weighted is known");
    let unweighted = input("cache", 0, Some(0), true);
    assert_eq!(words(&[unweighted]), "nothing weighted is known", "it bears on nothing");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_level_is_that_of_the_exact_mean(
        parts in proptest::collection::vec((1_u32..=1_000_000, 0_u32..=1_000_000), 1..12),
    ) {
        let inputs: Vec<_> =
            parts.iter().map(|(weight, score)| input("a", *weight, Some(*score), false)).collect();
        let it = assess(&inputs);
        let sum: u128 = parts.iter().map(|(w, s)| u128::from(*w) * u128::from(*s)).sum();
        let weight: u128 = parts.iter().map(|(w, _)| u128::from(*w)).sum();
        let floor = |points: u128| sum >= points * 10_000 * weight;
        let expected = match () {
            () if floor(90) => Level::Optimal,
            () if floor(70) => Level::Degraded,
            () if floor(50) => Level::Limited,
            () if floor(20) => Level::Minimal,
            () => Level::Emergency,
        };
        prop_assert_eq!(it.level, expected);
        prop_assert_eq!(u128::from(it.score.ten_thousandths()), sum / weight);
    }
}
