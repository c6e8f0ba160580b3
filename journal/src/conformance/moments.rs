//! A time names a position.

use super::{Bench, append, commit};

pub(super) fn a_time_is_a_position(bench: &mut dyn Bench) {
    assert_eq!(bench.log().position_at(u64::MAX).ok(), Some(0), "of an empty log");
    // Two records of one time, 10 µs apart from the next two; far more than one block and mark.
    commit(bench, (0..400).map(|n| append(&format!("a/{n}"), 0, 2, 100 + 10 * n)).collect());
    for at_us in (0..100).chain(95..4_200) {
        let wanted = if at_us < 100 { 0 } else { (2 * ((at_us - 100) / 10 + 1)).min(800) };
        assert_eq!(bench.log().position_at(at_us).ok(), Some(wanted), "at {at_us}");
    }
}
