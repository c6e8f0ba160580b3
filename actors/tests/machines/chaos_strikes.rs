//! Which calls are struck: shares, distributions, and always the same calls.

use mainstay_actors::chaos::{Fault, Latency, Strike};
use mainstay_actors::rate::Rate;
use proptest::prelude::*;

use crate::support::at;

const CALLS: u64 = 100_000;

fn strike(fault: Fault, share: u32, seed: u64, call: u64) -> Option<Strike> {
    fault.strikes(Rate::from_ten_thousandths(share), seed, call, at(0), at(0))
}

fn delays(latency: Latency, seed: u64) -> Vec<u64> {
    let delay = |call| match strike(Fault::Latency(latency), 10_000, seed, call) {
        Some(Strike::Delay { us }) => us,
        other => panic!("{other:?}"),
    };
    (0..CALLS).map(delay).collect()
}

#[expect(clippy::cast_precision_loss, reason = "figures of a test")]
fn mean_and_deviation(delays: &[u64]) -> (f64, f64) {
    let count = delays.len() as f64;
    let mean = delays.iter().map(|us| *us as f64).sum::<f64>() / count;
    let square = |us: &u64| (*us as f64 - mean).powi(2);
    (mean, (delays.iter().map(square).sum::<f64>() / count).sqrt())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Within five standard deviations of what chance alone would give.
    #[test]
    fn the_share_is_met(seed in any::<u64>(), share in 1_u32..=10_000) {
        let struck = (0..CALLS).filter(|call| strike(Fault::Errors, share, seed, *call).is_some());
        let struck = i64::try_from(struck.count()).unwrap();
        let expected = i64::from(share) * 10;
        prop_assert!((struck - expected).abs() <= 5 * 159, "{struck} and not {expected}");
    }

    #[test]
    fn the_same_call_is_struck_again_and_another_seed_strikes_others(seed in any::<u64>()) {
        let calls = |seed| (0..1_000).map(|call| strike(Fault::Hang, 5_000, seed, call)).collect::<Vec<_>>();
        prop_assert_eq!(calls(seed), calls(seed));
        prop_assert_ne!(calls(seed), calls(seed.wrapping_add(1)));
    }

    #[test]
    fn uniform_delays_lie_between_and_reach_both_ends(seed in any::<u64>()) {
        let found = delays(Latency::Uniform { min_ms: 100, max_ms: 300 }, seed);
        let (min, max) = (found.iter().min().unwrap(), found.iter().max().unwrap());
        prop_assert!((100_000..100_100).contains(min) && (299_900..=300_000).contains(max), "{min} {max}");
        let (mean, deviation) = mean_and_deviation(&found);
        prop_assert!((mean - 200_000.0).abs() < 1_000.0 && (deviation - 57_735.0).abs() < 600.0, "{mean} {deviation}");
    }

    #[test]
    fn normal_delays_have_their_mean_and_deviation(seed in any::<u64>()) {
        let found = delays(Latency::Normal { mean_ms: 500, deviation_ms: 50 }, seed);
        let (mean, deviation) = mean_and_deviation(&found);
        prop_assert!((mean - 500_000.0).abs() < 1_000.0 && (deviation - 50_000.0).abs() < 700.0, "{mean} {deviation}");
        let near = found.iter().filter(|us| us.abs_diff(500_000) <= 50_000).count();
        prop_assert!((67_000..70_000).contains(&near), "{near} of {CALLS} within one deviation");
        prop_assert!(found.iter().all(|us| us.abs_diff(500_000) <= 300_000));
    }
}

/// A change of the mix would strike other calls in a run that is repeated.
#[test]
fn the_calls_of_a_seed_are_pinned() {
    let struck: Vec<u64> =
        (0..40).filter(|call| strike(Fault::Errors, 2_500, 7, *call).is_some()).collect();
    assert_eq!(struck, [4, 10, 12, 13, 15, 19, 26, 33, 35, 38]);
    let first = delays(Latency::Normal { mean_ms: 500, deviation_ms: 50 }, 7);
    assert_eq!(first[..3], [465_469, 541_017, 584_529]);
}

#[test]
fn each_fault_has_its_strike() {
    let of = |fault| strike(fault, 10_000, 1, 1);
    assert_eq!(of(Fault::Errors), Some(Strike::Fail));
    assert_eq!(of(Fault::Hang), Some(Strike::Hang));
    assert_eq!(of(Fault::Refusal), Some(Strike::Refuse));
    let fixed = Fault::Latency(Latency::Fixed { ms: 250 });
    assert_eq!(of(fixed), Some(Strike::Delay { us: 250_000 }));
}

#[test]
fn a_wide_bell_is_cut_at_nothing() {
    let found = delays(Latency::Normal { mean_ms: 1, deviation_ms: 600_000 }, 3);
    assert!(found.iter().filter(|us| **us == 0).count() > 40_000);
}

#[test]
fn flapping_is_up_first_then_down_and_again() {
    let flapping = Fault::Flapping { up_ms: 400, down_ms: 100 };
    let down = |ms: u64| flapping.strikes(Rate::ONE, 1, 1, at(5_000 + ms), at(5_000)).is_some();
    assert_eq!(
        [0, 399, 400, 499, 500, 899, 900].map(down),
        [false, false, true, true, false, false, true]
    );
}
