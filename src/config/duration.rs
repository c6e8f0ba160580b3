//! Durations as people write them: `5s`, `100ms`, `1h 30m`, `7d`; a day has 24 hours.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in whole milliseconds, written `5s`, `100ms` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// As a [`Duration`].
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let say = |reason: &str| format!("{text:?} is no duration ({reason}); write 5s or 100ms");
        let span: jiff::Span = text.parse().map_err(|_| say("no number with a unit"))?;
        let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
        let length = length.map_err(|_| say("months and years have no fixed length"))?;
        let ms = u64::try_from(length.as_millis()).map_err(|_| say("negative"))?;
        Ok(Self(ms))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        write!(f, "{:#}", jiff::SignedDuration::from_millis(ms))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_as_it_may_be_written() {
        for text in ["0s", "100ms", "5s", "1s 500ms", "2m", "1h 30m", "168h"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string(), text);
        }
        let day: Span = "1d 12h".parse().unwrap();
        assert_eq!(day.to_string().parse(), Ok(day));
    }
}
