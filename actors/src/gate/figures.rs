//! What the keeper of a gate tells its callers: written by one, read by all without a lock.
//!
//! ```text
//!   write:  version odd ─► fields ─► version even        read: again until the version is even and
//!                                                              the same before and after
//! ```

use super::sync::{AtomicU32, AtomicU64, Ordering, fence, spin_loop};
use super::verdict::Thresholds;
use super::window::Tally;
use crate::rate::Rate;

/// See the module.
#[derive(Debug)]
pub(super) struct Figures {
    version: AtomicU32,
    fields: [AtomicU64; FIELDS],
}

const FIELDS: usize = 9;

/// What one reading of it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Told {
    /// Whose window it is.
    pub(super) generation: u64,
    /// The window, without what the stripes hold beyond `read`.
    pub(super) window: Tally,
    /// What the stripes held for this generation when they were last read; modulo 2^24.
    pub(super) read: [u64; 3],
    /// When a verdict is due.
    pub(super) thresholds: Thresholds,
}

impl Figures {
    pub(super) fn new() -> Self {
        Self { version: AtomicU32::new(0), fields: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// By the keeper only.
    pub(super) fn write(&self, told: &Told) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (field, value) in self.fields.iter().zip(told.packed()) {
            field.store(value, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    pub(super) fn read(&self) -> Told {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let fields = std::array::from_fn(|at| {
                self.fields.get(at).map_or(0, |field| field.load(Ordering::Relaxed))
            });
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && version == self.version.load(Ordering::Relaxed) {
                return Told::unpacked(fields);
            }
            spin_loop();
        }
    }
}

impl Told {
    fn packed(&self) -> [u64; FIELDS] {
        let Self { generation, window, read: [calls, failures, slow], thresholds } = *self;
        let Thresholds { minimum_calls, failure_rate, slow_rate, run, permits } = thresholds;
        let numbers = (u64::from(minimum_calls) << 32) | u64::from(run.unwrap_or(0));
        // A slow rate of none is one that no share reaches.
        let slow_rate = slow_rate.map_or(u16::MAX.into(), Rate::ten_thousandths);
        let rates = (u64::from(permits) << 32)
            | (u64::from(slow_rate) << 16)
            | u64::from(failure_rate.ten_thousandths());
        let Tally { calls: all, failures: failed, slow: slowly } = window;
        [generation, all, failed, slowly, calls, failures, slow, numbers, rates]
    }

    #[expect(clippy::cast_possible_truncation, reason = "packed from 16 and 32 bits")]
    fn unpacked(fields: [u64; FIELDS]) -> Self {
        let [generation, all, failed, slowly, calls, failures, slow, numbers, rates] = fields;
        let slow_rate = rates >> 16 & 0xffff;
        let thresholds = Thresholds {
            minimum_calls: (numbers >> 32) as u32,
            failure_rate: Rate::from_ten_thousandths((rates & 0xffff) as u32),
            slow_rate: (slow_rate <= 10_000).then(|| Rate::from_ten_thousandths(slow_rate as u32)),
            run: Some(numbers as u32).filter(|run| *run > 0),
            permits: (rates >> 32) as u32,
        };
        let window = Tally { calls: all, failures: failed, slow: slowly };
        Self { generation, window, read: [calls, failures, slow], thresholds }
    }

    /// The window with what the stripes hold now, modulo 2^24.
    pub(super) fn with(&self, stripes: [u64; 3]) -> Tally {
        let [calls, failures, slow] =
            std::array::from_fn(|at| match (stripes.get(at), self.read.get(at)) {
                (Some(now), Some(read)) => now.wrapping_sub(*read) & 0xff_ffff,
                _ => 0,
            });
        let Tally { calls: all, failures: failed, slow: slowly } = self.window;
        Tally { calls: all + calls, failures: failed + failures, slow: slowly + slow }
    }
}
