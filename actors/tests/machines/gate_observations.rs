//! Observation windows: ten seconds of traffic, or less when a rate moves.

use mainstay_actors::dependency::{
    DependencyEvent, LatencySummary, Mode, ObservationWindow, Second, WindowObserved,
};
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::rate::{Rate, Score};

use crate::breaker_world::{Guarded, force};

use Outcome::{Failure, Ignored, Success};

fn windows(it: &Guarded) -> Vec<&ObservationWindow> {
    let windows = it.journal.iter().filter_map(|event| match event {
        DependencyEvent::WindowObserved(WindowObserved { window, .. }) => Some(window),
        _ => None,
    });
    windows.collect()
}

#[test]
fn ten_seconds_of_traffic_are_one_event() {
    let mut it = Guarded::default_settings();
    for _ in 0..10 {
        it.calls(1, Success);
        it.wait_s(1);
    }
    let windows = windows(&it);
    // The tenth call made the rate known; the rest of the traffic is nothing yet.
    assert_eq!(windows.len(), 1);
    let calls: Vec<u32> = windows[0].seconds.iter().map(|second| second.calls).collect();
    assert_eq!(calls, [1; 10]);
}

#[test]
fn a_few_calls_are_told_after_ten_seconds() {
    let mut it = Guarded::default_settings();
    it.calls(3, Success);
    it.wait_s(9);
    assert_eq!(windows(&it).len(), 0);
    it.wait_s(1);
    let windows = windows(&it);
    assert_eq!(windows.len(), 1);
    assert_eq!(windows[0].from.as_micros() % 1_000_000, 0);
    assert_eq!((windows[0].observed.calls, windows[0].observed.failure_rate), (3, None));
}

#[test]
fn a_rate_that_becomes_known_is_told_at_once() {
    let mut it = Guarded::default_settings();
    it.calls(10, Success);
    assert_eq!(windows(&it).len(), 1);
    assert_eq!(it.entity.state.score(), Some(Score::FULL));
}

#[test]
fn a_rate_that_moves_by_five_points_is_told_early_but_once_a_second_at_most() {
    let mut it = Guarded::default_settings();
    it.calls(20, Success);
    it.wait_s(1);
    it.calls(1, Failure);
    assert_eq!(windows(&it).len(), 1, "4.7 points");
    it.calls(1, Failure);
    assert_eq!(windows(&it).len(), 2, "9.0 points");
    it.calls(5, Failure);
    assert_eq!(windows(&it).len(), 2, "within the second");
    it.wait_s(1);
    assert_eq!(windows(&it).len(), 3);
}

#[test]
fn silence_is_not_told() {
    let mut it = Guarded::default_settings();
    it.wait_s(120);
    assert_eq!(it.journal.len(), 1, "only its configuration");
}

#[test]
fn ignored_calls_alone_are_not_told() {
    let mut it = Guarded::default_settings();
    it.calls(50, Ignored);
    it.wait_s(60);
    assert_eq!(windows(&it).len(), 0);
}

#[test]
fn ignored_calls_beside_others_are_counted_apart() {
    let mut it = Guarded::default_settings();
    it.calls(2, Success);
    it.calls(3, Ignored);
    it.calls(1, Failure);
    it.wait_s(10);
    let second = Second { calls: 3, failures: 1, slow: 0, ignored: 3 };
    assert_eq!(windows(&it)[0].seconds, [second]);
}

#[test]
fn when_the_window_has_emptied_one_closing_observation_says_so() {
    let mut it = Guarded::default_settings();
    it.calls(16, Success);
    it.calls(4, Failure);
    it.wait_s(2);
    assert_eq!(it.entity.state.score(), Some(Score::points(80)));
    it.wait_s(200);
    let observed = it.entity.state.observed.expect("observed");
    assert_eq!((observed.calls, observed.failure_rate), (0, None));
    assert_eq!(it.entity.state.score(), Some(Score::FULL));
    let closing: Vec<_> = windows(&it).into_iter().filter(|it| it.seconds.is_empty()).collect();
    assert_eq!(closing.len(), 1);
    assert_eq!(closing[0].latencies.summary(), LatencySummary::default());
}

#[test]
fn a_restart_begins_with_an_empty_window_and_brings_the_rates_up_to_date() {
    let mut it = Guarded::default_settings();
    it.calls(16, Success);
    it.calls(4, Failure);
    it.wait_s(2);
    it.restart();
    assert_eq!(it.gate.counts(it.entity.now).calls, 0);
    assert_eq!(it.entity.state.score(), Some(Score::points(80)), "the journaled fact");
    it.wait_s(9);
    assert_eq!(it.entity.state.score(), Some(Score::points(80)));
    it.wait_s(1);
    assert_eq!(it.entity.state.score(), Some(Score::FULL));
}

#[test]
fn the_longest_run_of_failures_is_in_the_window() {
    let mut it = Guarded::with(|settings| settings.failure_rate = Rate::ONE);
    it.calls(1, Success);
    it.calls(3, Failure);
    it.calls(1, Success);
    it.calls(2, Failure);
    it.wait_s(10);
    assert_eq!(windows(&it)[0].longest_failure_run, 3);
}

#[test]
fn latencies_are_a_histogram_in_microseconds() {
    let mut it = Guarded::default_settings();
    for duration_us in [1_000; 198].into_iter().chain([50_000, 50_000, 9_000_000_000]) {
        let permit = Some(it.permit());
        it.report(Report { permit, outcome: Success, duration_us, probe: false, injected: false });
    }
    it.wait_s(11);
    let last = windows(&it)[1].latencies.summary();
    let near = |value: u64, exact: u64| value.abs_diff(exact) * 100 <= exact;
    assert_eq!(last.count, 191, "after the ten that made the rate known");
    assert!(near(last.p50, 1_000) && near(last.p95, 1_000), "{last:?}");
    assert!(near(last.p99, 50_000) && near(last.max, 3_600_000_000), "an hour at most: {last:?}");
    let json = serde_json::to_value(&windows(&it)[1].latencies).expect("json");
    assert_eq!(json["count"], 191);
    assert!(windows(&it)[1].latencies.size_bytes() < 4_096);
}

#[test]
fn a_host_that_forgets_to_tick_still_gets_whole_windows() {
    let mut it = Guarded::with(|settings| settings.minimum_calls = 1_000);
    for _ in 0..100 {
        it.calls(2, Success);
        it.entity.wait_ms(1_000);
    }
    let windows = windows(&it);
    assert_eq!(windows.len(), 9);
    assert!(windows.iter().all(|window| window.seconds.len() == 10));
}

#[test]
fn a_transition_to_closed_makes_the_rates_unknown_again() {
    let mut it = Guarded::default_settings();
    it.calls(10, Failure);
    it.wait_s(2);
    it.command(force(Mode::Closed));
    assert_eq!(it.entity.state.score(), Some(Score::FULL));
    it.calls(10, Success);
    let observed = it.entity.state.observed.expect("observed");
    assert_eq!(observed.failure_rate, Some(Rate::default()), "known again, and told at once");
}

#[test]
fn a_few_calls_that_have_left_the_window_are_told_to_have_left() {
    let mut it = Guarded::default_settings();
    it.calls(3, Success);
    it.wait_s(10);
    assert_eq!(it.entity.state.observed.expect("observed").calls, 3);
    it.wait_s(120);
    assert_eq!(it.entity.state.observed.expect("observed").calls, 0);
    assert_eq!(windows(&it).len(), 2);
}
