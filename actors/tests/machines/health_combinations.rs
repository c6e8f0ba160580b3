//! The sixteen up/down combinations of 50/30/15/5, as a golden table. Four sit exactly on a
//! boundary; the four dependencies have no caps of their own.

use mainstay_actors::health::{Input, Level, assess};
use mainstay_actors::rate::Score;

const RETAIL: [(&str, u32); 4] = [("openai", 50), ("database", 30), ("redis", 15), ("s3", 5)];

/// One digit a dependency, 1 is up.
const TABLE: &str = "\
1111 100 OPTIMAL
1110  95 DEGRADED
1101  85 DEGRADED
1100  80 DEGRADED
1011  70 DEGRADED
1010  65 LIMITED
1001  55 LIMITED
1000  50 LIMITED
0111  50 LIMITED
0110  45 MINIMAL
0101  35 MINIMAL
0100  30 MINIMAL
0011  20 MINIMAL
0010  15 EMERGENCY
0001   5 EMERGENCY
0000   0 EMERGENCY
";

pub(crate) fn input(name: &str, weight: u32, score: Option<u32>, down: bool) -> Input<'_> {
    Input { name, weight, score: score.map(Score::from_ten_thousandths), down, cap: None }
}

#[test]
fn the_sixteen_combinations_have_these_scores_and_levels() {
    let mut table = String::new();
    for up in (0..16_u32).rev() {
        let is_up = |index: u32| up & (8 >> index) != 0;
        let inputs: Vec<_> = (0..4)
            .zip(RETAIL)
            .map(|(index, (name, weight))| {
                let score = if is_up(index) { 1_000_000 } else { 0 };
                input(name, weight, Some(score), !is_up(index))
            })
            .collect();
        let it = assess(&inputs);
        assert_eq!(it.known_weight, 100);
        table.push_str(&format!("{up:04b} {:>3} {}\n", it.score.shown(), it.level));
    }
    assert_eq!(table, TABLE, "\n{table}");
}

#[test]
fn s3_alone_down_is_95_and_degraded() {
    let inputs = RETAIL.map(|(name, weight)| {
        let down = name == "s3";
        input(name, weight, Some(if down { 0 } else { 1_000_000 }), down)
    });
    let it = assess(&inputs);
    assert_eq!((it.score.shown(), it.level), (95, Level::Degraded));
}
