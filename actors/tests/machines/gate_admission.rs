//! What the gate admits, and under which permit.

use mainstay_actors::dependency::{DependencyCommand, Mode};
use mainstay_actors::gate::{Admission, Gate, Outcome, Permit, PermitError};

use crate::breaker_world::{Guarded, force};
use crate::support::START;

#[test]
fn nothing_is_admitted_before_the_journal_has_spoken() {
    let none = Admission::Rejected { retry_after_ms: None };
    assert_eq!(Gate::new(1).admit(START), none);
}

#[test]
fn a_retired_dependency_admits_nothing() {
    let mut it = Guarded::default_settings();
    it.command(DependencyCommand::Retire);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: None });
}

#[test]
fn a_permit_is_boot_generation_and_sequence() {
    let mut it = Guarded::default_settings();
    assert_eq!(it.permit().to_string(), "1-0-1");
    it.command(force(Mode::MetricsOnly));
    assert_eq!(it.permit().to_string(), "1-1-2");
    it.restart();
    assert_eq!(it.permit().to_string(), "2-1-1");
}

#[test]
fn a_permit_reads_back_and_nothing_else_does() {
    let permit = Permit { boot: 3, generation: 14, sequence: u64::MAX };
    assert_eq!(permit.to_string().parse(), Ok(permit));
    for text in ["", "1", "1-2", "1-2-3-4", "1-2-", "-1-2-3", "1-2-x", "+1-2-3", " 1-2-3", "1--3"] {
        assert_eq!(text.parse::<Permit>(), Err(PermitError), "{text}");
    }
    let json = serde_json::to_string(&permit).expect("json");
    assert_eq!(json, "\"3-14-18446744073709551615\"");
    assert_eq!(serde_json::from_str::<Permit>(&json).expect("a permit"), permit);
}

#[test]
fn open_rejects_with_the_time_that_is_left() {
    let mut it = Guarded::with(|settings| settings.jitter = mainstay_actors::rate::Rate::default());
    it.calls(10, Outcome::Failure);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(30_000) });
    it.entity.wait_ms(10_000);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(20_000) });
    it.entity.wait_ms(20_000);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(100) }, "the timer is late");
}

#[test]
fn forced_open_rejects_with_its_end_if_it_has_one() {
    let mut it = Guarded::default_settings();
    it.command(force(Mode::ForcedOpen));
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: None });
    it.command(force(Mode::Closed));
    let reason = "test".to_owned();
    it.command(DependencyCommand::Force { to: Mode::ForcedOpen, for_ms: Some(5_000), reason });
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(5_000) });
}

#[test]
fn the_caller_that_opens_the_half_holds_the_first_permit() {
    let mut it = Guarded::with(|settings| settings.auto_half_open = false);
    it.calls(10, Outcome::Failure);
    it.wait_s(40);
    let Admission::TryHalfOpen { generation } = it.admit() else { panic!("{:?}", it.admit()) };
    it.command(DependencyCommand::TryHalfOpen { generation });
    assert_eq!(it.permit().generation, generation + 1);
}

#[test]
fn half_open_admits_as_many_as_it_has_permits_and_says_when_to_come_again() {
    let mut it = Guarded::default_settings();
    it.half_open();
    for _ in 0..5 {
        it.permit();
    }
    assert_eq!(it.gate.permits_in_flight(), 5);
    assert_eq!(it.admit(), Admission::Rejected { retry_after_ms: Some(1_000) });
}

#[test]
fn lost_half_open_permits_expire_so_that_others_may_try() {
    let mut it = Guarded::default_settings();
    it.half_open();
    let lost: Vec<_> = (0..5).map(|_| it.permit()).collect();
    it.wait_s(29);
    assert!(it.is_rejected());
    it.wait_s(1);
    it.calls(5, Outcome::Success);
    assert_eq!(it.mode(), Mode::Closed);
    for permit in lost {
        it.finish(permit, Outcome::Failure);
    }
    assert_eq!(it.gate.counts(it.entity.now).failures, 0);
}

#[test]
fn a_half_open_breaker_whose_time_is_over_admits_nobody() {
    let mut it = Guarded::default_settings();
    it.half_open();
    it.entity.wait_ms(60_000);
    assert!(it.is_rejected(), "the timer is late");
}

#[test]
fn permits_of_a_closed_breaker_do_not_pile_up() {
    let mut it = Guarded::default_settings();
    for _ in 0..70_000 {
        it.permit();
    }
    assert_eq!(it.gate.permits_in_flight(), 65_536);
    it.entity.wait_ms(600_000);
    it.tick();
    assert_eq!(it.gate.permits_in_flight(), 0);
}
