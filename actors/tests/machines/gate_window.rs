//! The sliding window and the thresholds over it.

use mainstay_actors::dependency::{
    BreakerSettings, Cause, DependencyEvent, Evidence, Mode, Window,
};
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::rate::Rate;

use crate::breaker_world::{Guarded, configure, force};

use Outcome::{Failure, Ignored, Success};

fn rate(it: &Guarded) -> Option<u32> {
    it.gate.counts(it.entity.now).failure_rate.map(Rate::ten_thousandths)
}

fn evidence(it: &Guarded) -> &Evidence {
    let opened = it.journal.iter().rev().find_map(|event| match event {
        DependencyEvent::BreakerOpened(event) => Some(&event.evidence),
        _ => None,
    });
    opened.expect("it opened")
}

#[test]
fn below_the_minimum_the_rates_are_unknown_and_never_zero() {
    let mut it = Guarded::default_settings();
    it.calls(9, Failure);
    assert_eq!((rate(&it), it.mode()), (None, Mode::Closed));
}

#[test]
fn the_breaker_trips_when_the_rate_becomes_known_even_by_a_success() {
    let mut it = Guarded::default_settings();
    it.calls(9, Failure);
    it.calls(1, Success);
    assert_eq!(it.mode(), Mode::Open);
    assert_eq!(evidence(&it).observed.failure_rate.map(Rate::ten_thousandths), Some(9_000));
}

#[test]
fn it_trips_at_the_threshold_and_not_just_below_it() {
    let mut it = Guarded::default_settings();
    it.calls(10, Success);
    it.calls(9, Failure);
    assert_eq!(it.mode(), Mode::Closed, "9 of 19");
    it.calls(1, Failure);
    assert_eq!(it.mode(), Mode::Open, "10 of 20");
    let evidence = evidence(&it);
    assert_eq!(
        (&evidence.cause, evidence.threshold),
        (&Cause::FailureRate, Some(Rate::from_ten_thousandths(5_000)))
    );
    assert_eq!((evidence.observed.calls, evidence.observed.failures), (20, 10));
}

#[test]
fn outcomes_that_leave_the_time_window_stop_counting() {
    let mut it = Guarded::default_settings();
    it.calls(4, Failure);
    it.wait_s(59);
    assert_eq!(it.gate.counts(it.entity.now).calls, 4);
    it.wait_s(1);
    assert_eq!(it.gate.counts(it.entity.now).calls, 0);
}

#[test]
fn successes_that_leave_the_window_can_trip_it_without_a_call() {
    let mut it = Guarded::default_settings();
    it.calls(20, Success);
    it.wait_s(30);
    it.calls(12, Failure);
    assert_eq!(it.mode(), Mode::Closed, "12 of 32");
    it.wait_s(30);
    assert_eq!(it.mode(), Mode::Open, "12 of 12");
}

#[test]
fn a_count_window_forgets_the_oldest_call() {
    let mut it = Guarded::with(|settings| settings.window = Window::Calls(10));
    it.calls(4, Failure);
    it.calls(6, Success);
    assert_eq!(rate(&it), Some(4_000));
    it.calls(4, Success);
    assert_eq!(rate(&it), Some(0));
    it.wait_s(3_600);
    assert_eq!(rate(&it), Some(0), "time does not matter");
}

#[test]
fn slow_is_strictly_longer() {
    let mut it = Guarded::with(|settings| settings.slow_call_ms = Some(100));
    it.slow_calls(20, 100_000);
    assert_eq!((it.gate.counts(it.entity.now).slow, it.mode()), (0, Mode::Closed));
    it.slow_calls(1, 100_001);
    assert_eq!(it.gate.counts(it.entity.now).slow, 1);
}

#[test]
fn slow_calls_alone_can_trip_it() {
    let mut it = Guarded::with(|settings| {
        settings.slow_call_ms = Some(100);
        settings.slow_rate = Rate::from_ten_thousandths(5_000);
    });
    it.slow_calls(5, 1_000);
    it.slow_calls(5, 200_000);
    assert_eq!(it.mode(), Mode::Open);
    assert_eq!(evidence(&it).cause, Cause::SlowRate);
}

#[test]
fn a_failed_slow_call_counts_in_both_rates() {
    let mut it = Guarded::with(|settings| settings.slow_call_ms = Some(100));
    let permit = Some(it.permit());
    it.report(Report {
        permit,
        outcome: Failure,
        duration_us: 200_000,
        probe: false,
        injected: false,
    });
    let counts = it.gate.counts(it.entity.now);
    assert_eq!((counts.calls, counts.failures, counts.slow), (1, 1, 1));
}

#[test]
fn without_slow_call_nothing_is_slow() {
    let mut it = Guarded::default_settings();
    it.slow_calls(20, 3_600_000_000);
    assert_eq!((it.gate.counts(it.entity.now).slow, it.mode()), (0, Mode::Closed));
}

#[test]
fn failures_in_a_row_trip_it_below_the_minimum() {
    let mut it = Guarded::with(|settings| settings.consecutive_failures = Some(3));
    it.calls(2, Failure);
    it.calls(1, Success);
    it.calls(2, Failure);
    assert_eq!(it.mode(), Mode::Closed);
    it.calls(1, Failure);
    assert_eq!(it.mode(), Mode::Open);
    let evidence = evidence(&it);
    assert_eq!((&evidence.cause, evidence.consecutive_failures), (&Cause::ConsecutiveFailures, 3));
    assert_eq!(evidence.threshold, None);
}

#[test]
fn ignored_outcomes_count_nowhere_not_even_as_slow() {
    let mut it = Guarded::with(|settings| {
        settings.slow_call_ms = Some(100);
        settings.consecutive_failures = Some(3);
    });
    it.calls(2, Failure);
    let permit = Some(it.permit());
    it.report(Report {
        permit,
        outcome: Ignored,
        duration_us: 900_000,
        probe: false,
        injected: false,
    });
    assert_eq!((it.gate.counts(it.entity.now).calls, it.gate.permits_in_flight()), (2, 0));
    it.calls(1, Failure);
    assert_eq!(it.mode(), Mode::Open, "and they do not end a run of failures");
}

#[test]
fn reconfiguring_keeps_the_state_and_the_window() {
    let mut it = Guarded::default_settings();
    it.calls(8, Failure);
    it.command(configure(BreakerSettings { minimum_calls: 9, ..BreakerSettings::default() }));
    assert_eq!(it.gate.counts(it.entity.now).failures, 8);
    it.calls(1, Failure);
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn a_longer_or_shorter_window_of_the_same_kind_keeps_what_it_can() {
    let mut it = Guarded::with(|settings| {
        settings.window = Window::Calls(20);
        settings.failure_rate = Rate::ONE;
    });
    it.calls(5, Failure);
    it.calls(5, Success);
    let changed =
        |window| BreakerSettings { window, failure_rate: Rate::ONE, ..BreakerSettings::default() };
    it.command(configure(changed(Window::Calls(10))));
    it.calls(2, Success);
    assert_eq!(it.gate.counts(it.entity.now).failures, 3);
    it.command(configure(changed(Window::Seconds(60))));
    assert_eq!(it.gate.counts(it.entity.now).calls, 0, "another kind begins anew");
}

#[test]
fn disabled_admits_all_and_counts_nothing() {
    let mut it = Guarded::default_settings();
    it.command(force(Mode::Disabled));
    it.calls(100, Failure);
    it.wait_s(20);
    assert_eq!((it.mode(), it.gate.counts(it.entity.now).calls), (Mode::Disabled, 0));
    assert_eq!(it.count_of("WindowObserved"), 0);
}

#[test]
fn metrics_only_reports_the_crossing_once_and_admits_on() {
    let mut it = Guarded::default_settings();
    it.command(force(Mode::MetricsOnly));
    it.calls(100, Failure);
    it.wait_s(5);
    it.calls(100, Failure);
    assert_eq!((it.mode(), it.count_of("ThresholdCrossed")), (Mode::MetricsOnly, 1));
}

#[test]
fn probes_feed_the_window_and_can_trip_it() {
    let mut it = Guarded::default_settings();
    for _ in 0..10 {
        it.probe(Failure);
    }
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn probes_run_while_open_and_are_seen_in_the_window() {
    let mut it = Guarded::default_settings();
    it.calls(10, Failure);
    it.probe(Success);
    let counts = it.gate.counts(it.entity.now);
    assert_eq!((counts.calls, counts.failures), (11, 10));
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn a_closed_breaker_begins_with_an_empty_window() {
    let mut it = Guarded::default_settings();
    it.calls(10, Failure);
    it.command(force(Mode::Closed));
    assert_eq!(it.gate.counts(it.entity.now).calls, 0);
    it.calls(1, Failure);
    assert_eq!(it.mode(), Mode::Closed);
}
