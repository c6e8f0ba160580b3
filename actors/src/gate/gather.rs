//! Brings what callers have counted to the keeper.
//!
//! ```text
//!   stripes, since their last reading ──► window (this generation's) and traffic (all)
//!   latencies of a round: n calls, m of them kept ──► each stands for n / m
//! ```

use super::board::Spot;
use super::stripe::{LONG_US, Reading};
use super::traffic::{Batch, Traffic};
use super::window::Tally;

/// What was read of each stripe.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    readings: Vec<Reading>,
    /// Calls whose latencies were not looked at: short and long ones.
    unsampled: Vec<[u32; 2]>,
    /// Calls under an injected fault, failures and slow ones among them, that are still to be taken
    /// out of the statistics.
    injected: [u32; 3],
    /// Those of them that no stripe has counted.
    late: u32,
}

/// What has come since the last time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct News {
    /// For the window: this generation's.
    pub(super) tally: Tally,
    /// For the statistics: all.
    pub(super) batch: Batch,
}

impl Gathered {
    /// Reads every stripe.
    pub(super) fn read(&mut self, spot: &Spot, generation: u64) -> News {
        let mut news = News::default();
        for (slot, stripe) in spot.stripes() {
            if self.readings.len() <= slot {
                self.readings.resize_with(slot + 1, Reading::default);
                self.unsampled.resize(slot + 1, [0; 2]);
            }
            let Some(reading) = self.readings.get_mut(slot) else { continue };
            let since = stripe.read(reading, generation);
            let [calls, failures, slow, _] = since.ours.map(u64::from);
            news.tally.add(Tally { calls, failures, slow });
            let both = since.ours.iter().zip(since.older).map(|(ours, older)| ours + older);
            for (count, more) in news.batch.counts.iter_mut().zip(both) {
                *count = count.saturating_add(more);
            }
            if let Some([short, long]) = self.unsampled.get_mut(slot) {
                let all = since.ours.first().unwrap_or(&0) + since.older.first().unwrap_or(&0);
                *short = short.saturating_add(all.saturating_sub(since.long));
                *long = long.saturating_add(since.long);
            }
        }
        let taken = spot.face().take(generation);
        for (count, more) in news.batch.counts.iter_mut().zip(taken.late) {
            *count = count.saturating_add(more);
        }
        self.take_out(taken.injected, &mut news.batch);
        news.batch.run = taken.run;
        news.batch.longest_run = taken.longest_run;
        news
    }

    /// Takes calls under injected faults out of the statistics, as soon as they are in them.
    fn take_out(&mut self, [calls, failures, slow, late]: [u32; 4], batch: &mut Batch) {
        let (more, mut taken) = ([calls, failures, slow], [0; 3]);
        let kinds = self.injected.iter_mut().zip(more).zip(&mut batch.counts).zip(&mut taken);
        for (((owed, more), count), taken) in kinds {
            *owed = owed.saturating_add(more);
            *taken = (*owed).min(*count);
            *owed -= *taken;
            *count -= *taken;
        }
        let [mut calls, ..] = taken;
        batch.injected = calls;
        self.late = self.late.saturating_add(late);
        let in_no_stripe = self.late.min(calls);
        self.late -= in_no_stripe;
        calls -= in_no_stripe;
        // Their latencies were not kept: they count as short ones that nobody looked at.
        for [short, _] in &mut self.unsampled {
            let taken = calls.min(*short);
            *short -= taken;
            calls -= taken;
        }
    }

    /// Latencies of what was read so far are not looked at any more.
    pub(super) fn skip_latencies(&mut self) {
        self.unsampled.fill([0; 2]);
    }

    /// What the readings held for a generation; modulo 2^24.
    pub(super) fn of(&self, generation: u64) -> [u64; 3] {
        self.readings.iter().fold([0; 3], |[calls, failures, slow], reading| {
            let [more, failed, slowly] = reading.of(generation);
            [calls + more, failures + failed, slow + slowly]
        })
    }

    /// Takes the latencies of a round; once.
    pub(super) fn latencies(&mut self, spot: &Spot, round: u32, traffic: &mut Traffic) {
        for (slot, stripe) in spot.stripes() {
            let Some(unsampled) = self.unsampled.get_mut(slot) else { continue };
            if unsampled.iter().all(|calls| *calls == 0) {
                continue;
            }
            let [short, long] = std::mem::take(unsampled);
            let [short_us, long_us] = stripe.latencies(round);
            // Calls that were not timed took less than a long one does.
            debug_assert!(short_us.iter().all(|us| *us < LONG_US), "short latencies are short");
            spread(&short_us, short, traffic);
            spread(&long_us, long, traffic);
        }
    }
}

/// Each kept latency stands for its share of all calls.
fn spread(kept: &[u64], calls: u32, traffic: &mut Traffic) {
    let Some(kept_calls) = u32::try_from(kept.len()).ok().filter(|kept| *kept > 0) else { return };
    let calls = calls.max(kept_calls);
    let (share, rest) = (calls / kept_calls, calls % kept_calls);
    for (at, us) in (0..).zip(kept) {
        traffic.add_latency(*us, share + u32::from(at < rest));
    }
}

impl News {
    /// Nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.counts == [0; 4] && self.batch.injected == 0
    }
}
