//! A range as bytes and as text.
//!
//! | unit | payload | JSON |
//! |---|---|---|
//! | integers | unit, from, to | `{"from": 1, "to": 5}` |
//! | dates | days since 1970-01-01 | `{"from": "2026-12-01", "to": "2026-12-05"}` |
//! | times | microseconds since the Unix epoch | `{"from": "2026-12-01T12:00:00.000000Z", …}` |

use jiff::civil::{Date, date};
use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Range, RangeUnit};
use crate::time::Timestamp;

/// One end of a range, as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Bound {
    Integer(i64),
    Text(String),
}

/// `{from, to}`, for people.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    from: Bound,
    to: Bound,
}

/// The frozen layout, for payloads.
#[derive(Serialize, Deserialize)]
struct Stored {
    unit: RangeUnit,
    from: i64,
    to: i64,
}

const EPOCH: Date = date(1970, 1, 1);

impl Bound {
    fn of(unit: RangeUnit, value: i64) -> Self {
        let text = match unit {
            RangeUnit::Integers => None,
            RangeUnit::Dates => Span::new()
                .try_days(value)
                .and_then(|days| EPOCH.checked_add(days))
                .ok()
                .map(|date| date.to_string()),
            RangeUnit::Times => {
                u64::try_from(value).ok().map(|us| Timestamp::from_micros(us).to_string())
            },
        };
        text.map_or(Self::Integer(value), Self::Text)
    }

    fn read(&self) -> Option<(RangeUnit, i64)> {
        let text = match self {
            Self::Integer(value) => return Some((RangeUnit::Integers, *value)),
            Self::Text(text) => text,
        };
        if text.len() == "2026-12-01".len() {
            let days = EPOCH.until(text.parse::<Date>().ok()?).ok()?;
            let days = days.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
            return Some((RangeUnit::Dates, days.as_hours() / 24));
        }
        let moment = Timestamp::parse(text).ok()?;
        Some((RangeUnit::Times, i64::try_from(moment.as_micros()).ok()?))
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { unit, from, to } = *self;
        if serializer.is_human_readable() {
            Shown { from: Bound::of(unit, from), to: Bound::of(unit, to) }.serialize(serializer)
        } else {
            Stored { unit, from, to }.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            let Stored { unit, from, to } = Stored::deserialize(deserializer)?;
            return Ok(Self { unit, from, to });
        }
        let shown = Shown::deserialize(deserializer)?;
        match (shown.from.read(), shown.to.read()) {
            (Some((unit, from)), Some((other, to))) if unit == other => Ok(Self { unit, from, to }),
            _ => Err(de::Error::custom(
                "from and to must both be integers, both dates (2026-12-01) or both RFC 3339 times",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_as_it_is_shown() {
        for text in [
            r#"{"from":-3,"to":5}"#,
            r#"{"from":"2026-12-01","to":"2026-12-05"}"#,
            r#"{"from":"1969-12-30","to":"1970-01-02"}"#,
            r#"{"from":"2026-12-01T12:00:00.000000Z","to":"2026-12-01T12:30:00.000000Z"}"#,
        ] {
            let range: Range = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&range).unwrap(), text);
        }
    }

    #[test]
    fn bounds_of_two_kinds_are_no_range() {
        assert!(serde_json::from_str::<Range>(r#"{"from":1,"to":"2026-12-05"}"#).is_err());
        assert!(serde_json::from_str::<Range>(r#"{"from":"soon","to":"later"}"#).is_err());
    }
}
