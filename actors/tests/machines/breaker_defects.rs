//! Defects of the breaker libraries people use today; each is a passing test here.

use mainstay_actors::dependency::{Dependency, Mode};
use mainstay_actors::gate::{Outcome, Permit};
use mainstay_actors::machine::Machine;

use crate::breaker_world::{Guarded, force, report};

use Outcome::{Failure, Ignored, Success};

/// A library took outcomes of calls made before the trip for trial outcomes: a burst of late
/// successes closed a breaker that nobody had tried.
#[test]
fn late_outcomes_from_before_the_trip_do_not_decide_half_open() {
    for late in [Success, Failure] {
        let mut it = Guarded::default_settings();
        let before: Vec<Permit> = (0..50).map(|_| it.permit()).collect();
        it.half_open();
        for permit in before {
            it.finish(permit, late);
        }
        assert_eq!(it.mode(), Mode::HalfOpen);
        it.calls(5, Success);
        assert_eq!(it.mode(), Mode::Closed);
    }
}

/// Outcomes of half-open trials arrived after the next opening and closed it.
#[test]
fn outcomes_of_an_earlier_half_open_do_not_decide_a_later_one() {
    let mut it = Guarded::default_settings();
    it.half_open();
    let hung: Vec<Permit> = (0..5).map(|_| it.permit()).collect();
    it.wait_s(60);
    assert_eq!(it.mode(), Mode::Open);
    it.entity.next_deadline();
    it.gate.sync(&it.entity.state.clone(), it.entity.now);
    for permit in hung {
        it.finish(permit, Success);
    }
    assert_eq!(it.mode(), Mode::HalfOpen);
}

/// Each ignored error gave a permit back, also those that had been given before the trip: so many
/// late ones admitted as many trial calls.
#[test]
fn late_ignored_errors_mint_no_permits() {
    let mut it = Guarded::default_settings();
    let before: Vec<Permit> = (0..50).map(|_| it.permit()).collect();
    it.half_open();
    for permit in before {
        it.finish(permit, Ignored);
    }
    let admitted = (0..100).filter(|_| !it.is_rejected()).count();
    assert_eq!(admitted, 5);
}

#[test]
fn a_permit_that_is_reported_twice_counts_once() {
    let mut it = Guarded::default_settings();
    it.half_open();
    let permit = it.permit();
    for _ in 0..10 {
        it.finish(permit, Failure);
        it.finish(permit, Ignored);
    }
    assert_eq!(it.mode(), Mode::HalfOpen);
    let admitted = (0..100).filter(|_| !it.is_rejected()).count();
    assert_eq!(admitted, 4, "one trial is done");
}

/// The reset closed the breaker, and the timer of the open state opened its half later on.
#[test]
fn a_reset_leaves_no_timer_alive() {
    let mut it = Guarded::default_settings();
    it.calls(10, Failure);
    it.command(force(Mode::Closed));
    assert_eq!(Dependency::deadline(&it.entity.state), None);
    it.wait_s(120);
    assert_eq!((it.mode(), it.count_of("BreakerHalfOpened")), (Mode::Closed, 0));
}

/// Trial calls that never came back kept the breaker half-open for good, refusing everybody.
#[test]
fn half_open_ends() {
    let mut it = Guarded::default_settings();
    it.half_open();
    for _ in 0..5 {
        it.permit();
    }
    it.wait_s(60);
    assert_eq!(it.mode(), Mode::Open);
    it.wait_s(60);
    assert_eq!(it.mode(), Mode::HalfOpen);
    it.calls(5, Success);
    assert_eq!(it.mode(), Mode::Closed);
}

/// The "sliding" window never let go: after 1000 successes it took 1000 failures to trip.
#[test]
fn a_thousand_old_successes_do_not_outweigh_today_in_a_count_window() {
    let mut it = Guarded::with(|settings| {
        settings.window = mainstay_actors::dependency::Window::Calls(10);
    });
    it.calls(1_000, Success);
    it.calls(5, Failure);
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn a_thousand_old_successes_do_not_outweigh_today_in_a_time_window() {
    let mut it = Guarded::with(|settings| settings.minimum_calls = 5);
    it.calls(1_000, Success);
    it.wait_s(60);
    it.calls(5, Failure);
    assert_eq!(it.mode(), Mode::Open);
}

/// Half-open admitted 100 of 100 callers at once.
#[test]
fn half_open_admits_five_of_a_hundred() {
    let mut it = Guarded::default_settings();
    it.half_open();
    let admitted = (0..100).filter(|_| !it.is_rejected()).count();
    assert_eq!(admitted, 5);
}

/// Cancelled calls were taken for successes and closed the breaker.
#[test]
fn cancelled_calls_close_nothing() {
    let mut it = Guarded::default_settings();
    it.half_open();
    it.calls(50, Ignored);
    assert_eq!(it.mode(), Mode::HalfOpen);
    assert_eq!(it.gate.permits_in_flight(), 0);
}

#[test]
fn a_slow_trial_is_no_recovery() {
    let mut it = Guarded::with(|settings| settings.slow_call_ms = Some(100));
    it.half_open();
    it.slow_calls(5, 100_001);
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn probes_neither_take_nor_decide_trials_of_callers() {
    let mut it = Guarded::default_settings();
    it.half_open();
    let permit = it.permit();
    for _ in 0..20 {
        it.probe(Success);
    }
    assert_eq!((it.mode(), it.gate.permits_in_flight()), (Mode::HalfOpen, 1));
    it.finish(permit, Failure);
    it.calls(4, Failure);
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn a_breaker_that_nobody_calls_is_closed_by_its_probes() {
    let mut it = Guarded::default_settings();
    it.half_open();
    for _ in 0..4 {
        it.probe(Success);
    }
    assert_eq!(it.mode(), Mode::HalfOpen);
    it.probe(Success);
    assert_eq!(it.mode(), Mode::Closed);
}

#[test]
fn a_breaker_that_nobody_calls_is_opened_again_by_its_probes() {
    let mut it = Guarded::default_settings();
    it.half_open();
    for outcome in [Success, Failure, Failure, Success, Failure] {
        it.probe(outcome);
    }
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn one_slow_probe_decides_before_half_open_ends() {
    let mut it = Guarded::default_settings();
    it.half_open();
    it.probe(Success);
    it.wait_s(57);
    assert_eq!(it.mode(), Mode::HalfOpen);
    it.wait_s(2);
    assert_eq!(it.mode(), Mode::Closed);
}

#[test]
fn an_outcome_without_a_permit_decides_no_trial() {
    let mut it = Guarded::default_settings();
    it.half_open();
    for _ in 0..20 {
        it.report(report(None, Success));
    }
    assert_eq!(it.mode(), Mode::HalfOpen);
}

#[test]
fn a_permit_of_an_earlier_boot_is_seen_in_the_statistics_only() {
    let mut it = Guarded::default_settings();
    let old: Vec<Permit> = (0..20).map(|_| it.permit()).collect();
    it.restart();
    for permit in old {
        it.finish(permit, Failure);
    }
    assert_eq!((it.mode(), it.gate.counts(it.entity.now).calls), (Mode::Closed, 0));
    it.wait_s(11);
    let seen = it.entity.state.observed.expect("an observation");
    assert_eq!(seen.calls, 0, "the sliding window has none of them");
    assert_eq!(it.count_of("WindowObserved"), 1);
}

#[test]
fn a_permit_that_was_never_given_counts_nowhere() {
    let mut it = Guarded::default_settings();
    for permit in ["1-0-99", "1-7-1", "9-0-1"] {
        it.finish(permit.parse().expect("a permit"), Failure);
    }
    it.wait_s(20);
    assert_eq!((it.gate.counts(it.entity.now).calls, it.count_of("WindowObserved")), (0, 0));
}

#[test]
fn a_verdict_of_an_earlier_generation_changes_nothing() {
    let mut it = Guarded::default_settings();
    it.cut_off = true;
    it.calls(10, Failure);
    it.cut_off = false;
    it.command(force(Mode::ForcedOpen));
    it.command(force(Mode::Closed));
    it.wait_s(10);
    assert_eq!(it.mode(), Mode::Closed);
}
