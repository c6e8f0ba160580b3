//! Chance that can be had again: numbers from a seed, and names made of numbers.

use std::sync::Arc;

/// `SplitMix64`; source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Evenly from 0 to `bound` − 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound.max(1));
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// From 0 to `bound` − 1, the low ones far more often: of a thousand the first has one in
    /// thirty, the last one in two thousand.
    pub(crate) fn skewed(&mut self, bound: u64) -> u64 {
        let whole = 1_u128 << 32;
        let place = u128::from(self.next() >> 32);
        let square = place * place / whole;
        u64::try_from(square * u128::from(bound.max(1)) / whole).unwrap_or(0)
    }

    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 32 hexadecimal digits that belong to a number: a session's id, a trace id.
pub(crate) fn hex(number: u64) -> String {
    format!("{:016x}{:016x}", mix(number ^ 0x5bd1_e995), mix(number))
}

/// The callers, the most frequent first.
pub(crate) fn principals() -> Vec<Arc<str>> {
    (0..1_000).map(|number| Arc::from(format!("svc-{number:03}"))).collect()
}

const TENANTS: [&str; 8] =
    ["acme", "globex", "initech", "umbra", "hooli", "stark-parts", "wayne-foods", "tyrell"];

/// A tenant, the first ones more often.
pub(crate) fn tenant(chance: &mut Chance) -> &'static str {
    let number = chance.skewed(TENANTS.len() as u64);
    TENANTS.get(usize::try_from(number).unwrap_or(0)).copied().unwrap_or("acme")
}
