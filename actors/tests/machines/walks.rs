//! Random walks of sessions and dependencies: what is decided can be folded, encoded and read
//! again (`Entity` checks each event), and no state leaves a timer that would spin.

use mainstay_actors::dependency::{Dependency, DependencyCommand, Mode};
use mainstay_actors::gate::{Admission, Outcome, Permit, Report};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{Session, SessionCommand, SessionReject, SessionState};
use proptest::prelude::*;

use crate::breaker_table::{conclude, observation, trip};
use crate::breaker_world::{Guarded, configure};
use crate::session_rules::{create_with, patch};
use crate::support::Entity;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn session_commands() -> impl Strategy<Value = SessionCommand> {
    let age = proptest::option::of(1_000_u64..30_000);
    let name = prop_oneof![Just("a"), Just("b"), Just("c")];
    let change = (name, proptest::option::of("[a-z]{0,4}"));
    prop_oneof![
        2 => age.prop_map(|age| create_with(10_000, age, &[("a", "1")])),
        4 => Just(SessionCommand::Touch),
        6 => (proptest::option::of(0_u64..6), proptest::collection::vec(change, 0..3)).prop_map(
            |(revision, changes)| {
                let changes: Vec<_> =
                    changes.iter().map(|(name, value)| (*name, value.as_deref())).collect();
                patch(revision, &changes)
            },
        ),
        1 => Just(SessionCommand::End),
        2 => Just(SessionCommand::Show),
        2 => Just(SessionCommand::Due),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_session_is_never_readable_past_its_end_and_never_revived(
        steps in proptest::collection::vec((0_u64..6_000, session_commands()), 1..40),
    ) {
        let mut session = Entity::<Session>::given();
        let mut over = false;
        for (wait, command) in steps {
            session.wait_ms(wait);
            let revision = match &session.state {
                SessionState::Live(live) => live.revision,
                SessionState::Absent | SessionState::Ended { .. } => 0,
            };
            session.when(command);
            let end = Session::deadline(&session.state);
            over |= matches!(session.state, SessionState::Ended { .. });
            over |= end.is_some_and(|end| end <= session.now);
            let shown = session.clone().when(SessionCommand::Show).reply;
            prop_assert_eq!(shown == Some(Err(SessionReject::NotFound)), over || end.is_none());
            if let SessionState::Live(live) = &session.state {
                prop_assert!(live.revision >= revision);
            }
        }
    }
}

fn dependency_commands() -> impl Strategy<Value = (u64, u8, usize, bool)> {
    (0_u64..40_000, 0_u8..10, 0_usize..6, any::<bool>())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_breaker_only_makes_legal_history_and_its_generation_only_rises(
        steps in proptest::collection::vec(dependency_commands(), 1..60),
        chance in any::<u64>(),
    ) {
        let mut it = Entity::<Dependency>::given();
        it.chance = chance;
        let mut last = 0;
        for (wait, kind, mode, flag) in steps {
            it.wait_ms(wait);
            let generation = it.state.breaker.generation + u64::from(kind == 9);
            let to = Mode::ALL[mode];
            let timed = flag && !matches!(to, Mode::Closed | Mode::HalfOpen);
            it.when(match kind {
                0 => configure(mainstay_actors::dependency::BreakerSettings {
                    auto_half_open: flag,
                    ..Default::default()
                }),
                1 | 9 => trip(generation),
                2 | 3 => conclude(generation, flag),
                4 => DependencyCommand::TryHalfOpen { generation },
                5 => DependencyCommand::Force { to, for_ms: timed.then_some(5_000), reason: "test".to_owned() },
                6 => DependencyCommand::Observe { generation, window: Box::new(observation()) },
                7 if mode == 0 => DependencyCommand::Retire,
                _ => DependencyCommand::Due,
            });
            prop_assert!(it.state.breaker.generation >= last);
            last = it.state.breaker.generation;
            it.due();
            prop_assert!(Dependency::deadline(&it.state).is_none_or(|at| at > it.now), "a timer would spin");
            prop_assert!(it.state.breaker.mode != Mode::Closed || it.state.breaker.attempt == 0);
            if matches!(it.state.breaker.mode, Mode::Open | Mode::HalfOpen) {
                prop_assert!(it.state.breaker.until.is_some(), "never stuck");
            }
        }
    }

    #[test]
    fn half_open_admits_within_its_permits_and_old_permits_decide_nothing(
        steps in proptest::collection::vec((0_u8..12, 0_usize..8), 1..150),
    ) {
        let mut it = Guarded::with(|settings| settings.slow_call_ms = Some(100));
        let mut out: Vec<Permit> = Vec::new();
        for (kind, nth) in steps {
            let before = it.entity.state.breaker;
            let mut decides = true;
            match kind {
                0..=4 => if let Admission::Admitted(permit) = it.admit() { out.push(permit) },
                5..=9 if !out.is_empty() => {
                    let permit = out.remove(nth % out.len());
                    decides = permit.boot == it.entity.boot && permit.generation == before.generation;
                    let outcome = [Outcome::Failure, Outcome::Success, Outcome::Ignored, Outcome::Failure][nth % 4];
                    let duration_us = if nth == 7 { 200_000 } else { 1_000 };
                    it.report(Report { permit: Some(permit), outcome, duration_us, probe: false, injected: false });
                },
                10 => it.wait_s(1 + 5 * nth as u64),
                _ if nth == 0 => it.restart(),
                _ => it.probe(Outcome::Success),
            }
            let after = it.entity.state.breaker;
            prop_assert!(decides || after == before, "an old permit decided");
            if after.mode == Mode::HalfOpen {
                prop_assert!(it.gate.permits_in_flight() <= 5);
            }
            if after.mode.is_down() && after.mode != Mode::HalfOpen {
                prop_assert!(it.is_rejected());
            }
        }
    }
}
