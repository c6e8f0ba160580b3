//! Moments, in microseconds since the Unix epoch. The core never asks what time it is.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC: microseconds since the Unix epoch.
///
/// In JSON it is RFC 3339 (`2026-11-22T03:12:44.000120Z`), in payloads the bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This much later; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// So many microseconds later; stops at the end of time.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Milliseconds from `earlier` to this moment, rounded up; 0 if it lies before.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0).div_ceil(1_000)
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// The text is no RFC 3339 moment after 1970.
    pub fn parse(text: &str) -> Result<Self, String> {
        let moment: jiff::Timestamp = text
            .parse()
            .map_err(|_| format!("{text:?} is no time; write it as 2026-11-22T03:12:00Z"))?;
        u64::try_from(moment.as_microsecond())
            .map(Self)
            .map_err(|_| format!("{text} lies before 1970"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            i64::try_from(self.0).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
        match moment {
            Some(moment) => write!(f, "{moment:.6}"),
            None => f.write_str("the end of time"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
            Self::parse(&text).map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}
