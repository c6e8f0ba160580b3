//! Every mode × command and mode × event pair of a breaker has exactly one ruling.

use mainstay_actors::codec::Payload;
use mainstay_actors::dependency::{
    Adoption, Breaker, BreakerAdopted, BreakerClosed, BreakerForced, BreakerHalfOpened,
    BreakerOpened, BreakerSettings, Cause, Dependency, DependencyCommand, DependencyConfigured,
    DependencyEvent, DependencyReject, DependencyReply, DependencyRetired, Evidence, Mode,
    ObservationWindow, Observed, ThresholdCrossed, WindowObserved,
};
use mainstay_actors::machine::Machine;
use mainstay_actors::time::Timestamp;

use crate::breaker_world::{configure, force, settings};
use crate::support::{Entity, START, at};

pub(crate) fn evidence(cause: Cause) -> Evidence {
    Evidence { cause, observed: Observed::default(), threshold: None, consecutive_failures: 0 }
}

pub(crate) fn observation() -> ObservationWindow {
    ObservationWindow {
        from: START,
        seconds: Vec::new(),
        longest_failure_run: 0,
        injected: 0,
        latencies: mainstay_actors::dependency::Latencies::default(),
        observed: Observed::default(),
    }
}

/// Of three moves that the journal did not have.
pub(crate) fn adopted() -> BreakerAdopted {
    let (from, until) = (Timestamp::from_micros(1_000_000), Timestamp::from_micros(2_000_000));
    BreakerAdopted {
        generation: 5,
        at: until,
        from,
        mode: Mode::Open,
        since: from,
        attempt: 2,
        until: Some(until),
        transitions: 3,
        evidence: Some(evidence(Cause::FailureRate)),
        configuration: 1,
    }
}

pub(crate) fn trip(generation: u64) -> DependencyCommand {
    DependencyCommand::Trip { generation, evidence: evidence(Cause::FailureRate) }
}

pub(crate) fn conclude(generation: u64, healthy: bool) -> DependencyCommand {
    DependencyCommand::Conclude { generation, healthy, evidence: evidence(Cause::Recovered) }
}

/// A breaker in each mode, all of whose times are over when `overdue`.
fn in_mode(mode: Mode, overdue: bool) -> Entity<Dependency> {
    let mut it = Entity::<Dependency>::given();
    it.when(configure(BreakerSettings::default()));
    match mode {
        Mode::Closed => {},
        Mode::HalfOpen => {
            it.when(force(Mode::Open));
            it.when(force(Mode::HalfOpen));
        },
        Mode::Open => drop(it.when(force(mode))),
        Mode::ForcedOpen | Mode::Disabled | Mode::MetricsOnly => {
            let reason = "test".to_owned();
            it.when(DependencyCommand::Force { to: mode, for_ms: Some(60_000), reason });
        },
    }
    assert_eq!(it.state.breaker.mode, mode);
    if overdue {
        it.wait_ms(600_000);
    }
    it
}

fn commands(generation: u64) -> Vec<DependencyCommand> {
    let mut commands = vec![
        trip(generation),
        trip(generation + 1),
        DependencyCommand::TryHalfOpen { generation },
        conclude(generation, true),
        conclude(generation, false),
        conclude(generation + 1, true),
        DependencyCommand::Observe { generation, window: Box::new(observation()) },
        DependencyCommand::Due,
        adopt(generation, Mode::Closed),
        adopt(generation + 1, Mode::Open),
        adopt(generation, Mode::Disabled),
    ];
    commands.extend(Mode::ALL.map(force));
    commands
}

fn adopt(departed: u64, mode: Mode) -> DependencyCommand {
    let attempt = u32::from(mode != Mode::Closed);
    DependencyCommand::Adopt(Box::new(Adoption {
        breaker: Breaker { mode, generation: departed + 2, attempt, ..Breaker::default() },
        departed,
        since: at(0),
        transitions: 2,
        evidence: None,
    }))
}

fn ruling(it: &Entity<Dependency>, command: DependencyCommand) -> &'static str {
    let mut it = it.clone();
    let then = it.when(command);
    match then.reply {
        Some(Err(DependencyReject::IllegalTransition { .. })) => "no",
        Some(Ok(_)) if then.events.is_empty() => "-",
        Some(Ok(_)) => match then.events[0].name() {
            "BreakerOpened" => "open",
            "BreakerHalfOpened" => "half",
            "BreakerClosed" => "close",
            "BreakerForced" => "force",
            "ThresholdCrossed" => "cross",
            "WindowObserved" => "seen",
            "BreakerAdopted" => "adopt",
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mode_and_command_has_one_ruling() {
    let mut table = String::new();
    for mode in Mode::ALL {
        for overdue in [false, true] {
            let it = in_mode(mode, overdue);
            let generation = it.state.breaker.generation;
            let cells = commands(generation).into_iter().map(|command| ruling(&it, command));
            let due = if overdue { "due" } else { "not due" };
            table.push_str(&format!("{mode} {due}: {}\n", cells.collect::<Vec<_>>().join(" ")));
        }
    }
    // Trip, stale Trip, TryHalfOpen, Conclude healthy, unhealthy, stale, Observe, Due; Adopt, after
    // a move of the journal's, of a mode by hand; then Force to closed, open, half_open, forced_open, disabled, metrics_only.
    let expected = "\
closed not due: open - - - - - seen - adopt adopt adopt - open no force force force
closed due: open - - - - - seen - adopt adopt adopt - open no force force force
open not due: - - - - - - seen - adopt adopt adopt close - half force force force
open due: - - half - - - seen half adopt adopt adopt close - half force force force
half_open not due: - - - close open - seen - adopt adopt adopt close open - force force force
half_open due: - - - close open - seen open adopt adopt adopt close open - force force force
forced_open not due: - - - - - - seen - adopt adopt adopt close open half - force force
forced_open due: - - - - - - seen close adopt adopt adopt close open half - force force
disabled not due: - - - - - - seen - adopt adopt adopt close open half force - force
disabled due: - - - - - - seen close adopt adopt adopt close open half force - force
metrics_only not due: cross - - - - - seen - adopt adopt adopt close no no force force -
metrics_only due: cross - - - - - seen close adopt adopt adopt close no no force force -
";
    assert_eq!(table, expected, "\n{table}");
}

fn events(generation: u64, attempt: u32) -> Vec<DependencyEvent> {
    let (at_, until) = (at(0), at(60_000));
    let manual = || Cause::Manual { reason: "test".to_owned() };
    let half = |cause| BreakerHalfOpened { generation, at: at_, until, cause };
    let forced = |to| {
        let reason = "test".to_owned();
        BreakerForced { generation, to, at: at_, until: None, reason }
    };
    let opened = |generation| BreakerOpened {
        generation,
        at: at_,
        until,
        attempt: attempt + 1,
        evidence: evidence(Cause::FailureRate),
        configuration: 1,
    };
    let mut events: Vec<DependencyEvent> = vec![
        opened(generation).into(),
        opened(generation + 1).into(),
        half(Cause::Timer).into(),
        half(manual()).into(),
        BreakerClosed { generation, at: at_, evidence: evidence(manual()) }.into(),
        ThresholdCrossed { generation: generation - 1, at: at_, evidence: evidence(manual()) }
            .into(),
        WindowObserved {
            generation: generation - 1,
            at: at_,
            configuration: 1,
            window: observation(),
        }
        .into(),
    ];
    let adopted = |generation, mode, attempt| BreakerAdopted {
        generation,
        at: at(9),
        from: at_,
        mode,
        since: at_,
        attempt,
        until: None,
        transitions: 3,
        evidence: None,
        configuration: 1,
    };
    events.push(adopted(generation + 3, Mode::Closed, 0).into());
    events.push(adopted(generation, Mode::HalfOpen, 2).into());
    events.push(adopted(generation - 1, Mode::Open, 1).into());
    events.push(adopted(generation, Mode::Closed, 1).into());
    events.push(adopted(generation, Mode::Disabled, 1).into());
    events.extend(Mode::ALL.map(|mode| forced(mode).into()));
    events
}

#[test]
fn every_mode_and_event_has_one_ruling() {
    let mut table = String::new();
    for mode in Mode::ALL {
        let it = in_mode(mode, false);
        let breaker = it.state.breaker;
        let cells = events(breaker.generation + 1, breaker.attempt).into_iter().map(|event| {
            if Dependency::apply(it.state.clone(), &event).is_ok() { "yes" } else { "-" }
        });
        table.push_str(&format!("{mode}: {}\n", cells.collect::<Vec<_>>().join(" ")));
    }
    // Opened, of a later generation, HalfOpened by timer, by hand, Closed, ThresholdCrossed,
    // WindowObserved; Adopted twice, of no later generation, closed after openings, disabled; then Forced to closed, open, half_open, forced_open, disabled, metrics_only.
    let expected = "\
closed: yes - - - - - yes yes yes - - yes - - - yes yes yes
open: - - yes yes yes - yes yes yes - - yes - - - yes yes yes
half_open: yes - - - yes - yes yes yes - - yes - - - yes yes yes
forced_open: yes - - yes yes - yes yes yes - - yes - - - - yes yes
disabled: yes - - yes yes - yes yes yes - - yes - - - yes - yes
metrics_only: - - - - yes yes yes yes yes - - yes - - - yes yes -
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn nothing_is_known_about_a_dependency_before_it_is_configured_or_after_it_is_retired() {
    let unknown = Entity::<Dependency>::given();
    let mut retired = in_mode(Mode::Open, false);
    assert_eq!(retired.when(DependencyCommand::Retire).names(), "DependencyRetired");
    assert_eq!(Dependency::deadline(&retired.state), None);
    for it in [unknown, retired] {
        let generation = it.state.breaker.generation;
        for command in commands(generation) {
            let by_hand = matches!(command, DependencyCommand::Force { .. });
            let then = it.clone().when(command);
            assert!(then.events.is_empty());
            let expected =
                if by_hand { Err(DependencyReject::Unknown) } else { Ok(DependencyReply::Done) };
            assert_eq!(then.reply, Some(expected));
        }
        for event in events(generation + 1, it.state.breaker.attempt) {
            assert!(Dependency::apply(it.state.clone(), &event).is_err());
        }
    }
}

#[test]
fn a_retired_dependency_can_be_shown_and_configured_again_and_keeps_its_breaker() {
    let mut it = in_mode(Mode::Open, false);
    let breaker = it.state.breaker;
    it.when(DependencyCommand::Retire);
    assert_eq!(it.when(DependencyCommand::Retire).ok(), DependencyReply::Done);
    assert!(matches!(it.when(DependencyCommand::Show).ok(), DependencyReply::State(_)));
    it.when(configure(BreakerSettings::default()));
    assert!(!it.state.retired);
    assert_eq!(it.state.breaker, breaker);
}

#[test]
fn the_configuration_counts_up_and_the_same_settings_change_nothing() {
    let mut it = in_mode(Mode::Closed, false);
    assert_eq!(it.when(configure(BreakerSettings::default())).names(), "-");
    let other = BreakerSettings { minimum_calls: 20, ..BreakerSettings::default() };
    assert_eq!(it.when(configure(other.clone())).names(), "DependencyConfigured");
    assert_eq!(it.state.configuration, 2);
    let skipped = DependencyConfigured { configuration: 4, settings: settings(other) };
    assert!(Dependency::apply(it.state.clone(), &skipped.into()).is_err());
    let mut never = Entity::<Dependency>::given();
    let unknown = never.when(DependencyCommand::Show).reject();
    assert_eq!(unknown, DependencyReject::Unknown);
    assert_eq!(never.when(DependencyCommand::Retire).reject(), DependencyReject::Unknown);
    let retired = DependencyRetired { at: at(0) };
    assert!(Dependency::apply(never.state, &retired.into()).is_err());
}
