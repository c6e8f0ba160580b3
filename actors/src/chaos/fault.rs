//! What is done to a call, and to which: the same seed and call number give the same strike.
//!
//! ```text
//!   seed, call ──splitmix64──► draw 0: is the call struck?   draws 1…: how long is it delayed?
//! ```
//!
//! All of it is in integers, so that every machine strikes the same calls.

use serde::{Deserialize, Serialize};

use crate::rate::Rate;
use crate::time::Timestamp;

/// What is done to the calls that are struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Fault {
    /// They come later.
    Latency(Latency),
    /// They fail.
    Errors,
    /// They never come back: a time limit or the caller ends them.
    Hang,
    /// They are refused before they are made.
    Refusal,
    /// They go through for `up_ms`, then fail for `down_ms`, and again, from the start on.
    Flapping {
        /// Milliseconds that they go through.
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3_600_000))]
        up_ms: u32,
        /// Milliseconds that they fail.
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3_600_000))]
        down_ms: u32,
    },
}

/// How much later a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Latency {
    /// Always the same.
    Fixed {
        /// Milliseconds.
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 600_000))]
        ms: u32,
    },
    /// Each delay between two is as likely.
    Uniform {
        /// The least, in milliseconds.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        min_ms: u32,
        /// The most, in milliseconds.
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 600_000))]
        max_ms: u32,
    },
    /// A bell around the mean, cut at 0 and at ten minutes: the sum of twelve uniform draws, so never more than six
    /// deviations away.
    Normal {
        /// The mean, in milliseconds.
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 600_000))]
        mean_ms: u32,
        /// The standard deviation, in milliseconds.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        deviation_ms: u32,
    },
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// It is made so much later.
    Delay {
        /// Microseconds.
        us: u64,
    },
    /// It fails without being made.
    Fail,
    /// It never comes back by itself.
    Hang,
    /// It is refused before it is made.
    Refuse,
}

/// Longest delay, in milliseconds: ten minutes.
pub const MAX_LATENCY_MS: u32 = 600_000;
/// Longest half of a flap, in milliseconds: an hour.
pub const MAX_FLAP_MS: u32 = 3_600_000;

impl Fault {
    /// What happens to the call of this number at `now`, if anything does. The fault began at
    /// `started`; its end is not looked at.
    #[must_use]
    pub fn strikes(
        &self,
        share: Rate,
        seed: u64,
        call: u64,
        now: Timestamp,
        started: Timestamp,
    ) -> Option<Strike> {
        let draws = Draws { base: splitmix64(seed ^ splitmix64(call)) };
        if below(draws.draw(0), 10_000) >= u64::from(share.ten_thousandths()) {
            return None;
        }
        match *self {
            Self::Latency(latency) => Some(Strike::Delay { us: latency.us(draws) }),
            Self::Errors => Some(Strike::Fail),
            Self::Hang => Some(Strike::Hang),
            Self::Refusal => Some(Strike::Refuse),
            Self::Flapping { up_ms, down_ms } => {
                let [up, down] = [up_ms, down_ms].map(|ms| u64::from(ms) * 1_000);
                let since = now.as_micros().saturating_sub(started.as_micros());
                let place = since.checked_rem(up + down)?;
                (place >= up).then_some(Strike::Fail)
            },
        }
    }

    /// Which field is out of its range, and the range.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let is = |holds: bool, field, rule| if holds { Ok(()) } else { Err((field, rule)) };
        let positive = 1..=MAX_LATENCY_MS;
        let any = 0..=MAX_LATENCY_MS;
        match self {
            Self::Latency(Latency::Fixed { ms }) => {
                is(positive.contains(ms), "fault.latency.fixed.ms", "1 to 600000")
            },
            Self::Latency(Latency::Uniform { min_ms, max_ms }) => {
                let range = "1 to 600000, and not less than min_ms";
                let fits = positive.contains(max_ms) && min_ms <= max_ms;
                is(fits, "fault.latency.uniform.max_ms", range)
            },
            Self::Latency(Latency::Normal { mean_ms, deviation_ms }) => {
                is(positive.contains(mean_ms), "fault.latency.normal.mean_ms", "1 to 600000")?;
                let fits = any.contains(deviation_ms);
                is(fits, "fault.latency.normal.deviation_ms", "0 to 600000")
            },
            Self::Flapping { up_ms, down_ms } => {
                let half = 1..=MAX_FLAP_MS;
                is(half.contains(up_ms), "fault.flapping.up_ms", "1 to 3600000 (an hour)")?;
                is(half.contains(down_ms), "fault.flapping.down_ms", "1 to 3600000 (an hour)")
            },
            Self::Errors | Self::Hang | Self::Refusal => Ok(()),
        }
    }

    /// As it is told: `latency`, `errors`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Errors => "errors",
            Self::Hang => "hang",
            Self::Refusal => "refusal",
            Self::Flapping { .. } => "flapping",
        }
    }
}

impl Latency {
    fn us(self, draws: Draws) -> u64 {
        match self {
            Self::Fixed { ms } => u64::from(ms) * 1_000,
            Self::Uniform { min_ms, max_ms } => {
                let [min, max] = [min_ms, max_ms].map(|ms| u64::from(ms) * 1_000);
                min + below(draws.draw(1), max.saturating_sub(min) + 1)
            },
            Self::Normal { mean_ms, deviation_ms } => {
                // Twelve draws of 32 bits: their sum has the mean 6 << 32 and the deviation 1 << 32.
                let sum: i128 = (1..=12).map(|n| i128::from(draws.draw(n) >> 32)).sum();
                let off = (sum - (6 << 32)) * i128::from(deviation_ms) * 1_000;
                let us = i128::from(mean_ms) * 1_000 + off / (1 << 32);
                u64::try_from(us).unwrap_or(0).min(u64::from(MAX_LATENCY_MS) * 1_000)
            },
        }
    }
}

/// The uniform numbers of one call.
#[derive(Clone, Copy)]
struct Draws {
    base: u64,
}

impl Draws {
    fn draw(self, number: u64) -> u64 {
        splitmix64(self.base.wrapping_add(number.wrapping_mul(GOLDEN)))
    }
}

/// 64 uniform bits as a number from 0 to `end - 1`.
fn below(bits: u64, end: u64) -> u64 {
    let product = u128::from(bits) * u128::from(end);
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finisher of splitmix64 (Steele, Lea and Flood, 2014).
const fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
