//! A range as bytes and as text.
//!
//! | unit | payload | JSON |
//! |---|---|---|
//! | integers | unit, from, to | `{"from": 1, "to": 5}` |
//! | dates | days since 1970-01-01 | `{"from": "2026-12-01", "to": "2026-12-05"}` |
//! | times | microseconds since the Unix epoch | `{"from": "2026-12-01T12:00:00.000000Z", …}` |

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Range, RangeUnit};
use crate::time::Timestamp;

/// One end of a range, as a person writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Bound {
    Integer(i64),
    /// `5.0` is an integer in JSON, too.
    Float(f64),
    Text(String),
}

/// `{from, to}`, for people.
#[derive(Serialize)]
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
            Self::Float(value) => return whole(*value).map(|value| (RangeUnit::Integers, value)),
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

/// Up to 2^53 a floating-point number stands for one integer only.
fn whole(value: f64) -> Option<i64> {
    let exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    exact.then_some(value as i64)
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
        // An object and nothing else: a struct would be read from an array, too.
        let mut shown = BTreeMap::<String, Bound>::deserialize(deserializer)?;
        let mut bound =
            |name: &'static str| shown.remove(name).ok_or_else(|| de::Error::missing_field(name));
        let (from, to) = (bound("from")?, bound("to")?);
        if let Some(unknown) = shown.keys().next() {
            return Err(de::Error::unknown_field(unknown, &["from", "to"]));
        }
        match (from.read(), to.read()) {
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
    fn an_integer_may_be_written_with_a_point() {
        let range: Range = serde_json::from_str(r#"{"from":-3.0,"to":5e0}"#).unwrap();
        assert_eq!(serde_json::to_string(&range).unwrap(), r#"{"from":-3,"to":5}"#);
        assert!(serde_json::from_str::<Range>(r#"{"from":1.5,"to":5}"#).is_err());
        assert!(serde_json::from_str::<Range>(r#"{"from":0,"to":1e300}"#).is_err());
    }

    #[test]
    fn a_range_is_an_object_of_two_bounds() {
        for text in ["[1,5]", r#"{"from":1}"#, r#"{"from":1,"to":5,"by":1}"#, "5", "null"] {
            assert!(serde_json::from_str::<Range>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_of_two_kinds_are_no_range() {
        assert!(serde_json::from_str::<Range>(r#"{"from":1,"to":"2026-12-05"}"#).is_err());
        assert!(serde_json::from_str::<Range>(r#"{"from":"soon","to":"later"}"#).is_err());
    }
}
