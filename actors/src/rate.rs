//! Shares and points in exact integers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share from 0 to 1, in ten-thousandths. In JSON a number (`0.5`), in payloads the integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rate(u32);

impl Rate {
    /// Everything.
    pub const ONE: Self = Self(10_000);

    /// From ten-thousandths; more than 10,000 is 10,000.
    #[must_use]
    pub const fn from_ten_thousandths(value: u32) -> Self {
        Self(if value > 10_000 { 10_000 } else { value })
    }

    /// In ten-thousandths.
    #[must_use]
    pub const fn ten_thousandths(self) -> u32 {
        self.0
    }

    /// `part` of `whole`, rounded down; `None` for nothing of nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let share = u128::from(part.min(whole)) * 10_000;
        let share = share.checked_div(u128::from(whole))?;
        u32::try_from(share).ok().map(Self)
    }

    /// From a number between 0 and 1.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 0..=1e4")]
        (0.0..=1.0).contains(&value).then(|| Self((value * 10_000.0).round() as u32))
    }

    /// As a number between 0 and 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.as_f64())
        } else {
            serializer.serialize_u32(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let value = f64::deserialize(deserializer)?;
            Self::from_f64(value)
                .ok_or_else(|| de::Error::custom(format!("{value} is no share from 0 to 1")))
        } else {
            u32::deserialize(deserializer).map(Self::from_ten_thousandths)
        }
    }
}

/// Points from 0 to 100, in ten-thousandths of a point: compared unrounded, shown rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Score(u32);

impl Score {
    /// 100 points.
    pub const FULL: Self = Self(1_000_000);

    /// From ten-thousandths of a point; at most 100 points.
    #[must_use]
    pub const fn from_ten_thousandths(value: u32) -> Self {
        Self(if value > 1_000_000 { 1_000_000 } else { value })
    }

    /// Whole points.
    #[must_use]
    pub const fn points(points: u32) -> Self {
        Self::from_ten_thousandths(points.saturating_mul(10_000))
    }

    /// In ten-thousandths of a point.
    #[must_use]
    pub const fn ten_thousandths(self) -> u32 {
        self.0
    }

    /// Whole points, rounded down: what is shown.
    #[must_use]
    pub const fn shown(self) -> u32 {
        self.0 / 10_000
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_u32(self.shown())
        } else {
            serializer.serialize_u32(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let human = deserializer.is_human_readable();
        let value = u32::deserialize(deserializer)?;
        Ok(if human { Self::points(value) } else { Self::from_ten_thousandths(value) })
    }
}
