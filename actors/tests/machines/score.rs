//! A dependency's score folds journaled facts only.

use mainstay_actors::dependency::{BreakerSettings, Dependency, DependencyCommand, Mode, Observed};
use mainstay_actors::rate::{Rate, Score};

use crate::breaker_table::{conclude, observation, trip};
use crate::breaker_world::{configure, force};
use crate::support::Entity;

fn observed(failure: Option<u32>, slow: Option<u32>) -> Entity<Dependency> {
    let mut it = Entity::<Dependency>::given();
    it.when(configure(BreakerSettings::default()));
    let mut window = observation();
    window.observed = Observed {
        calls: 100,
        failures: 0,
        slow: 0,
        failure_rate: failure.map(Rate::from_ten_thousandths),
        slow_rate: slow.map(Rate::from_ten_thousandths),
    };
    let generation = it.state.breaker.generation;
    it.when(DependencyCommand::Observe { generation, window: Box::new(window) });
    it
}

fn score(failure: u32, slow: u32) -> u32 {
    observed(Some(failure), Some(slow)).state.score().expect("a score").ten_thousandths()
}

#[test]
fn failures_count_whole_and_slow_calls_half() {
    assert_eq!(score(0, 0), 1_000_000);
    assert_eq!(score(2_000, 0), 800_000);
    assert_eq!(score(0, 2_000), 900_000);
    assert_eq!(score(2_000, 2_000), 720_000);
    assert_eq!(score(10_000, 0), 0);
    assert_eq!(score(0, 10_000), 500_000);
}

#[test]
fn the_product_is_rounded_down_once() {
    assert_eq!(score(1, 1), 999_850, "0.9999 * 0.99995 = 0.999850005");
    assert_eq!(score(3_333, 3_333), 555_594, "0.6667 * 0.83335 = 0.55559445");
}

#[test]
fn unknown_rates_count_as_nothing() {
    assert_eq!(observed(None, None).state.score(), Some(Score::FULL));
    assert_eq!(observed(Some(5_000), None).state.score(), Some(Score::points(50)));
}

#[test]
fn before_the_first_outcome_the_score_is_unknown() {
    let mut it = Entity::<Dependency>::given();
    assert_eq!(it.state.score(), None, "not configured");
    it.when(configure(BreakerSettings::default()));
    assert_eq!(it.state.score(), None, "no outcome");
}

#[test]
fn each_mode_has_its_score() {
    let scores = Mode::ALL.map(|mode| {
        let mut it = observed(Some(1_000), Some(0));
        if mode == Mode::HalfOpen {
            it.when(force(Mode::Open));
        }
        it.when(force(mode));
        assert_eq!(it.state.breaker.mode, mode);
        it.state.score().map(Score::shown)
    });
    // closed, open, half_open, forced_open, disabled, metrics_only (which counts anew)
    assert_eq!(scores, [Some(90), Some(0), Some(50), Some(0), None, Some(100)]);
}

#[test]
fn a_retired_dependency_has_no_score() {
    let mut it = observed(Some(0), Some(0));
    it.when(DependencyCommand::Retire);
    assert_eq!(it.state.score(), None);
}

#[test]
fn a_closed_breaker_is_not_blamed_for_what_opened_it() {
    let mut it = observed(Some(9_000), Some(0));
    it.when(trip(0));
    assert_eq!(it.state.score(), Some(Score::points(0)));
    it.when(force(Mode::Closed));
    assert_eq!(it.state.score(), Some(Score::FULL));
}

#[test]
fn an_observation_of_before_a_move_is_kept_and_says_nothing_of_the_window_since() {
    let mut it = observed(Some(8_000), None);
    assert_eq!(it.state.score(), Some(Score::points(20)));
    it.when(trip(0));
    it.next_deadline();
    it.when(conclude(it.state.breaker.generation, true));
    assert_eq!(it.state.score(), Some(Score::points(100)), "a closed breaker counts anew");
    let mut window = observation();
    window.observed.failure_rate = Some(Rate::from_ten_thousandths(8_000));
    let late = DependencyCommand::Observe { generation: 1, window: Box::new(window.clone()) };
    assert_eq!(it.when(late).names(), "WindowObserved");
    assert_eq!(it.state.score(), Some(Score::points(100)));
    let generation = it.state.breaker.generation;
    it.when(DependencyCommand::Observe { generation, window: Box::new(window) });
    assert_eq!(it.state.score(), Some(Score::points(20)));
}
