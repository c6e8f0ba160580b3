//! Settings that cannot be are refused by their name, with the rule.

use mainstay_actors::dependency::{
    BreakerSettings, Dependency, DependencyReject, Settings, Window,
};
use mainstay_actors::health::Level;
use mainstay_actors::rate::Rate;

use crate::breaker_world::{configure, settings};
use crate::support::Entity;

fn refused(change: impl FnOnce(&mut Settings)) -> String {
    let mut changed = settings(BreakerSettings::default());
    change(&mut changed);
    changed.check().expect_err("a no").to_string()
}

fn breaker(change: impl FnOnce(&mut BreakerSettings)) -> String {
    refused(|settings| change(&mut settings.breaker))
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let it = BreakerSettings::default();
    assert_eq!(it.check(), Ok(()));
    assert_eq!((it.window, it.minimum_calls), (Window::Seconds(60), 10));
    assert_eq!((it.failure_rate.as_f64(), it.slow_rate.as_f64()), (0.5, 1.0));
    assert_eq!((it.slow_call_ms, it.consecutive_failures), (None, None));
    assert_eq!((it.open_for_ms, it.backoff_percent, it.open_max_ms), (30_000, 150, 600_000));
    assert_eq!((it.jitter.as_f64(), it.half_open_permits, it.half_open_max_ms), (0.1, 5, 60_000));
    assert!(it.auto_half_open);
}

#[test]
fn weight_and_cap_have_limits() {
    assert_eq!(refused(|it| it.weight = 1_000_001), "weight must be at most 1000000");
    let cap = refused(|it| it.cap = Some(Level::Optimal));
    assert_eq!(cap, "cap must be DEGRADED, LIMITED, MINIMAL or EMERGENCY");
}

#[test]
fn windows_have_limits() {
    assert_eq!(breaker(|it| it.window = Window::Seconds(0)), "window must be 1 s to 1 h");
    assert_eq!(breaker(|it| it.window = Window::Seconds(3_601)), "window must be 1 s to 1 h");
    assert_eq!(breaker(|it| it.window = Window::Calls(0)), "window must be 1 to 10000 calls");
    assert_eq!(breaker(|it| it.window = Window::Calls(10_001)), "window must be 1 to 10000 calls");
}

#[test]
fn the_minimum_must_be_reachable() {
    assert_eq!(breaker(|it| it.minimum_calls = 0), "minimum_calls must be 1 to 1000000");
    let unreachable = breaker(|it| it.window = Window::Calls(9));
    assert_eq!(unreachable, "minimum_calls must be 1 to the calls of the window");
}

#[test]
fn a_rate_of_nothing_would_trip_on_success() {
    let rule = "must be more than 0, at most 1";
    assert_eq!(breaker(|it| it.failure_rate = Rate::default()), format!("failure_rate {rule}"));
    assert_eq!(breaker(|it| it.slow_rate = Rate::default()), format!("slow_rate {rule}"));
}

#[test]
fn times_counts_and_factors_have_limits() {
    let field = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(field(breaker(|it| it.slow_call_ms = Some(0))), "slow_call");
    assert_eq!(field(breaker(|it| it.consecutive_failures = Some(0))), "consecutive_failures");
    assert_eq!(field(breaker(|it| it.open_for_ms = 0)), "open_for");
    assert_eq!(field(breaker(|it| it.backoff_percent = 99)), "backoff");
    assert_eq!(field(breaker(|it| it.open_max_ms = 29_999)), "open_max");
    assert_eq!(field(breaker(|it| it.jitter = Rate::ONE)), "jitter");
    assert_eq!(field(breaker(|it| it.half_open_permits = 0)), "half_open_permits");
    assert_eq!(field(breaker(|it| it.half_open_permits = 1_001)), "half_open_permits");
    assert_eq!(field(breaker(|it| it.half_open_max_ms = 0)), "half_open_max");
}

#[test]
fn the_machine_refuses_them_too() {
    let bad = BreakerSettings { minimum_calls: 0, ..BreakerSettings::default() };
    let reject = Entity::<Dependency>::given().when(configure(bad)).reject();
    assert!(matches!(reject, DependencyReject::Settings(it) if it.field == "minimum_calls"));
}
