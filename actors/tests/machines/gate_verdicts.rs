//! A verdict holds in the gate at once, and is told until the journal has it.

use mainstay_actors::dependency::{Cause, DependencyCommand, DependencyEvent, Mode};
use mainstay_actors::gate::{Admission, Outcome};
use mainstay_actors::rate::Rate;

use crate::breaker_world::{Guarded, force};

use Outcome::{Failure, Success};

fn tripped_but_not_recorded() -> Guarded {
    let mut it = Guarded::default_settings();
    it.cut_off = true;
    it.calls(10, Failure);
    it
}

#[test]
fn a_trip_rejects_at_once_before_it_is_recorded() {
    let mut it = tripped_but_not_recorded();
    assert_eq!(it.mode(), Mode::Closed);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(30_000) });
}

#[test]
fn a_trip_is_told_again_every_two_seconds_until_it_is_recorded() {
    let mut it = tripped_but_not_recorded();
    let trips = |it: &mut Guarded| {
        let commands = it.gate.tick(it.entity.now);
        commands.iter().filter(|it| matches!(it, DependencyCommand::Trip { .. })).count()
    };
    assert_eq!(trips(&mut it), 0);
    it.entity.wait_ms(1_999);
    assert_eq!(trips(&mut it), 0);
    it.entity.wait_ms(1);
    assert_eq!(trips(&mut it), 1);
    assert_eq!(trips(&mut it), 0);
    it.cut_off = false;
    it.wait_s(2);
    assert_eq!(it.mode(), Mode::Open);
    it.entity.wait_ms(10_000);
    assert_eq!(trips(&mut it), 0);
}

#[test]
fn outcomes_after_the_verdict_make_no_second_one() {
    let mut it = Guarded::default_settings();
    let permits: Vec<_> = (0..30).map(|_| it.permit()).collect();
    it.cut_off = true;
    let mut verdicts = 0;
    for permit in permits {
        let report = crate::breaker_world::report(Some(permit), Failure);
        let command = it.gate.record(report, it.entity.now);
        verdicts += usize::from(matches!(command, Some(DependencyCommand::Trip { .. })));
    }
    assert_eq!(verdicts, 1);
}

#[test]
fn a_healthy_verdict_stops_the_trials_until_it_is_recorded() {
    let mut it = Guarded::default_settings();
    it.half_open();
    it.cut_off = true;
    it.calls(5, Success);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(100) });
    it.cut_off = false;
    it.wait_s(2);
    assert_eq!(it.mode(), Mode::Closed);
    assert!(!it.is_rejected());
}

#[test]
fn an_unhealthy_verdict_opens_again_with_the_trials_as_evidence() {
    let mut it = Guarded::default_settings();
    it.half_open();
    it.calls(2, Success);
    it.calls(3, Failure);
    assert_eq!(it.mode(), Mode::Open);
    let Some(DependencyEvent::BreakerOpened(event)) = it.journal.last() else {
        panic!("{:?}", it.journal.last())
    };
    assert_eq!((event.evidence.observed.calls, event.evidence.observed.failures), (5, 3));
    assert_eq!(event.evidence.cause, Cause::FailureRate);
    assert_eq!(event.evidence.threshold, Some(Rate::from_ten_thousandths(5_000)));
}

#[test]
fn a_trial_with_few_failures_is_healthy() {
    let mut it = Guarded::default_settings();
    it.half_open();
    it.calls(3, Success);
    it.calls(2, Failure);
    assert_eq!(it.mode(), Mode::Closed);
    let closed = it.journal.iter().rev().find_map(|event| match event {
        DependencyEvent::BreakerClosed(event) => Some(&event.evidence),
        _ => None,
    });
    assert_eq!(closed.map(|evidence| &evidence.cause), Some(&Cause::Recovered));
}

#[test]
fn the_trial_is_decided_even_when_it_is_shorter_than_minimum_calls() {
    let mut it = Guarded::with(|settings| {
        settings.minimum_calls = 100;
        settings.consecutive_failures = Some(2);
        settings.half_open_permits = 1;
    });
    it.calls(2, Failure);
    it.wait_s(40);
    it.calls(1, Failure);
    assert_eq!(it.mode(), Mode::Open);
}

#[test]
fn an_operators_order_voids_the_verdict_on_its_way() {
    let mut it = tripped_but_not_recorded();
    it.command(force(Mode::MetricsOnly));
    assert!(!it.is_rejected());
    it.cut_off = false;
    it.wait_s(5);
    assert_eq!((it.mode(), it.count_of("ThresholdCrossed")), (Mode::MetricsOnly, 0));
}

#[test]
fn an_older_state_does_not_wind_the_gate_back() {
    let mut it = Guarded::default_settings();
    let old = it.entity.state.clone();
    it.calls(10, Failure);
    it.gate.sync(&old, it.entity.now);
    assert!(it.is_rejected());
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut it = Guarded::default_settings();
    it.wait_s(30);
    it.calls(9, Failure);
    let permit = it.permit();
    let report = crate::breaker_world::report(Some(permit), Failure);
    let command = it.gate.record(report, crate::support::START);
    assert!(matches!(command, Some(DependencyCommand::Trip { .. })));
}
