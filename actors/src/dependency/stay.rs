//! How long a breaker stays open.

use super::BreakerSettings;

/// Growth stops here; no schedule needs more steps to reach its cap.
const MAX_STEPS: u32 = 1_000;

/// `open_for · backoff^(attempt − 1) ± jitter`, at most `open_max`, in milliseconds.
///
/// `chance` picks the jitter: the same bits give the same stay.
pub(super) fn stay_ms(settings: &BreakerSettings, attempt: u32, chance: u64) -> u64 {
    let max_us = u128::from(settings.open_max_ms) * 1_000;
    let mut stay_us = u128::from(settings.open_for_ms) * 1_000;
    for _ in 1..attempt.min(MAX_STEPS) {
        if stay_us >= max_us {
            break;
        }
        stay_us = stay_us * u128::from(settings.backoff_percent) / 100;
    }
    let jitter = u128::from(settings.jitter.ten_thousandths());
    // Uniform in 0..=2·jitter, without the bias of a remainder.
    let offset = (u128::from(chance) * (2 * jitter + 1)) >> 64;
    let stay_us = stay_us.min(max_us) * (10_000 - jitter + offset) / 10_000;
    u64::try_from(stay_us.min(max_us) / 1_000).unwrap_or(u64::MAX).max(1)
}
