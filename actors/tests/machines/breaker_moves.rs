//! How the breaker moves: stays, attempts, transitions by hand, restarts.

use mainstay_actors::dependency::{
    BreakerSettings, Cause, Dependency, DependencyCommand, DependencyEvent, DependencyReject,
    DependencyReply, Mode,
};
use mainstay_actors::machine::{Again, Machine};
use mainstay_actors::rate::Rate;

use crate::breaker_table::{conclude, trip};
use crate::breaker_world::{configure, force};
use crate::support::{Entity, START, at};

fn without_jitter() -> BreakerSettings {
    BreakerSettings { jitter: Rate::default(), ..BreakerSettings::default() }
}

fn closed(breaker: BreakerSettings) -> Entity<Dependency> {
    let mut it = Entity::given();
    it.when(configure(breaker));
    it
}

fn generation(it: &Entity<Dependency>) -> u64 {
    it.state.breaker.generation
}

/// Milliseconds from now until time ends the state.
fn stay_ms(it: &Entity<Dependency>) -> u64 {
    it.state.breaker.until.expect("a deadline").ms_since(it.now)
}

/// One more opening without a close between.
fn reopen(it: &mut Entity<Dependency>) {
    it.next_deadline();
    assert_eq!(it.state.breaker.mode, Mode::HalfOpen);
    it.when(conclude(generation(it), false));
    assert_eq!(it.state.breaker.mode, Mode::Open);
}

#[test]
fn each_reopening_stays_longer_up_to_the_longest_stay() {
    let mut it = closed(BreakerSettings { open_max_ms: 100_000, ..without_jitter() });
    it.when(trip(0));
    let mut stays = vec![stay_ms(&it)];
    for _ in 0..4 {
        reopen(&mut it);
        stays.push(stay_ms(&it));
    }
    assert_eq!(stays, [30_000, 45_000, 67_500, 100_000, 100_000]);
    assert_eq!(it.state.breaker.attempt, 5);
}

#[test]
fn a_close_forgets_the_attempts() {
    let mut it = closed(without_jitter());
    it.when(trip(0));
    reopen(&mut it);
    it.next_deadline();
    it.when(conclude(generation(&it), true));
    assert_eq!((it.state.breaker.mode, it.state.breaker.attempt), (Mode::Closed, 0));
    it.when(trip(generation(&it)));
    assert_eq!(stay_ms(&it), 30_000);
}

#[test]
fn chance_varies_the_stay_by_the_jitter_and_no_more() {
    let stay = |chance| {
        let mut it = closed(BreakerSettings::default());
        it.chance = chance;
        it.when(trip(0));
        stay_ms(&it)
    };
    assert_eq!(stay(0), 27_000);
    assert_eq!(stay(u64::MAX / 2), 30_000);
    assert_eq!(stay(u64::MAX), 33_000);
}

#[test]
fn the_jitter_does_not_exceed_the_longest_stay() {
    let mut it = closed(BreakerSettings { open_max_ms: 30_000, ..BreakerSettings::default() });
    it.chance = u64::MAX;
    it.when(trip(0));
    assert_eq!(stay_ms(&it), 30_000);
}

#[test]
fn the_jitter_is_in_the_event_so_that_a_replay_needs_no_chance() {
    let mut it = closed(BreakerSettings::default());
    it.chance = 12_345 << 48;
    let then = it.when(trip(0));
    let DependencyEvent::BreakerOpened(event) = &then.events[0] else { panic!("{then:?}") };
    assert_eq!(Some(event.until), it.state.breaker.until);
    assert_ne!(event.until, at(30_000));
}

#[test]
fn a_backoff_of_one_never_grows_and_never_loops() {
    let mut it = closed(BreakerSettings { backoff_percent: 100, ..without_jitter() });
    it.state.breaker.attempt = u32::MAX - 1;
    it.when(trip(0));
    assert_eq!((stay_ms(&it), it.state.breaker.attempt), (30_000, u32::MAX));
}

#[test]
fn time_opens_the_half_by_itself() {
    let mut it = closed(without_jitter());
    it.when(trip(0));
    let then = it.next_deadline();
    let DependencyEvent::BreakerHalfOpened(event) = &then.events[0] else { panic!("{then:?}") };
    assert_eq!((it.now, event.until, &event.cause), (at(30_000), at(90_000), &Cause::Timer));
}

#[test]
fn without_auto_half_open_only_a_caller_opens_the_half() {
    let mut it = closed(BreakerSettings { auto_half_open: false, ..without_jitter() });
    it.when(trip(0));
    assert_eq!(Dependency::deadline(&it.state), None);
    it.wait_ms(29_999);
    let try_it = DependencyCommand::TryHalfOpen { generation: 1 };
    assert_eq!(it.when(try_it.clone()).names(), "-", "its time is not over");
    it.wait_ms(1);
    assert_eq!(it.due().names(), "-");
    let then = it.when(try_it.clone());
    let DependencyEvent::BreakerHalfOpened(event) = &then.events[0] else { panic!("{then:?}") };
    assert_eq!(event.cause, Cause::Caller);
    assert_eq!(it.when(try_it).names(), "-", "the second caller finds it done");
}

#[test]
fn a_manual_transition_cancels_the_timer_of_the_state_before() {
    let mut it = closed(without_jitter());
    it.when(trip(0));
    let old = it.state.breaker.until.expect("open ends");
    it.when(force(Mode::ForcedOpen));
    it.now = old;
    assert_eq!((it.due().names().as_str(), it.state.breaker.mode), ("-", Mode::ForcedOpen));
    assert_eq!(Dependency::deadline(&it.state), None);
}

#[test]
fn a_forced_state_ends_in_closed_when_its_time_is_over() {
    for to in [Mode::ForcedOpen, Mode::Disabled, Mode::MetricsOnly] {
        let mut it = closed(without_jitter());
        let reason = "maintenance".to_owned();
        it.when(DependencyCommand::Force { to, for_ms: Some(5_000), reason });
        let then = it.next_deadline();
        assert_eq!((then.names().as_str(), it.now), ("BreakerClosed", at(5_000)));
    }
}

#[test]
fn a_stay_by_hand_is_as_long_as_it_was_ordered() {
    let mut it = closed(without_jitter());
    let reason = "test".to_owned();
    it.when(DependencyCommand::Force { to: Mode::Open, for_ms: Some(1_234), reason });
    assert_eq!((stay_ms(&it), it.state.breaker.attempt), (1_234, 1));
    it.next_deadline();
    assert_eq!(it.state.breaker.mode, Mode::HalfOpen);
}

#[test]
fn an_illegal_transition_names_both_states() {
    let mut it = closed(without_jitter());
    let no = it.when(force(Mode::HalfOpen)).reject();
    assert_eq!(no.to_string(), "a breaker cannot go from closed to half_open by hand");
}

#[test]
fn orders_out_of_range_are_refused_by_name() {
    let order = |to, for_ms, reason: &str| {
        let reason = reason.to_owned();
        let command = DependencyCommand::Force { to, for_ms, reason };
        match closed(without_jitter()).when(command).reject() {
            DependencyReject::OutOfRange { field, .. } => field,
            other => panic!("{other}"),
        }
    };
    assert_eq!(order(Mode::Open, Some(0), "test"), "for_ms");
    assert_eq!(order(Mode::ForcedOpen, Some(2_592_000_001), "test"), "for_ms");
    assert_eq!(order(Mode::Closed, Some(1_000), "test"), "for_ms");
    assert_eq!(order(Mode::Open, None, ""), "reason");
}

#[test]
fn a_self_transition_is_silent() {
    let mut it = closed(without_jitter());
    let then = it.when(force(Mode::Closed));
    assert_eq!(then.names(), "-");
    assert!(matches!(then.ok(), DependencyReply::State(_)));
}

#[test]
fn an_order_that_is_sent_twice_is_carried_out_once() {
    let mut it = closed(without_jitter());
    let first = it.when_asked("r1", force(Mode::ForcedOpen));
    it.when(force(Mode::Closed));
    let again = Dependency::answer_again(&it.state, "r1", &first.events, it.now);
    assert!(matches!(again, Again::Reply(Ok(DependencyReply::State(_)))));
    assert_eq!(Dependency::answer_again(&it.state, "r2", &[], it.now), Again::Decide);
}

#[test]
fn open_survives_a_restart_with_deadline_and_attempt() {
    let mut it = closed(without_jitter());
    let mut journal = Vec::new();
    journal.extend(it.when(trip(0)).events);
    let first = closed(without_jitter()).state;
    let replayed = journal.iter().try_fold(first, Dependency::apply).expect("legal history");
    assert_eq!(replayed, it.state);
    assert_eq!(Dependency::deadline(&replayed), Some(at(30_000)));
    assert_eq!((replayed.breaker.attempt, replayed.breaker.since), (1, START));
}

#[test]
fn half_open_that_outlived_its_time_in_a_restart_opens_again() {
    let mut it = closed(without_jitter());
    it.when(trip(0));
    it.next_deadline();
    it.boot = 2;
    it.wait_ms(3_600_000);
    let then = it.due();
    let DependencyEvent::BreakerOpened(event) = &then.events[0] else { panic!("{then:?}") };
    assert_eq!((&event.evidence.cause, event.attempt), (&Cause::HalfOpenTimeout, 2));
}

#[test]
fn a_crossed_threshold_is_told_once_a_generation() {
    let mut it = closed(without_jitter());
    it.when(force(Mode::MetricsOnly));
    assert_eq!(it.when(trip(1)).names(), "ThresholdCrossed");
    assert_eq!(it.when(trip(1)).names(), "-");
    it.when(force(Mode::Closed));
    it.when(force(Mode::MetricsOnly));
    assert_eq!(it.when(trip(3)).names(), "ThresholdCrossed");
}
