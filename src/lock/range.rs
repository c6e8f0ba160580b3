//! What the bounds of a range may count.
//!
//! | type | unit |
//! |---|---|
//! | `i64` | integers |
//! | `jiff::civil::Date` | dates |
//! | `jiff::Timestamp`, [`Timestamp`] | times, in microseconds |

use jiff::civil::{Date, date};
use mainstay_actors::lock::RangeUnit;
use mainstay_actors::time::Timestamp;

/// One end of a range.
pub trait Bound: sealed::Sealed {
    /// What it counts.
    const UNIT: RangeUnit;

    /// As a number of its unit.
    fn value(self) -> i64;
}

impl Bound for i64 {
    const UNIT: RangeUnit = RangeUnit::Integers;

    fn value(self) -> i64 {
        self
    }
}

const EPOCH: Date = date(1970, 1, 1);

impl Bound for Date {
    const UNIT: RangeUnit = RangeUnit::Dates;

    fn value(self) -> i64 {
        self.duration_since(EPOCH).as_hours() / 24
    }
}

impl Bound for jiff::Timestamp {
    const UNIT: RangeUnit = RangeUnit::Times;

    fn value(self) -> i64 {
        self.as_microsecond()
    }
}

impl Bound for Timestamp {
    const UNIT: RangeUnit = RangeUnit::Times;

    fn value(self) -> i64 {
        i64::try_from(self.as_micros()).unwrap_or(i64::MAX)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for jiff::civil::Date {}
    impl Sealed for jiff::Timestamp {}
    impl Sealed for mainstay_actors::time::Timestamp {}
}

#[cfg(test)]
mod tests {
    use mainstay_actors::lock::Range;

    use super::*;

    /// As the HTTP API reads it.
    fn read(text: &str) -> Range {
        serde_json::from_str(text).unwrap()
    }

    fn range<T: Bound>(of: std::ops::Range<T>) -> Range {
        Range { unit: T::UNIT, from: of.start.value(), to: of.end.value() }
    }

    #[test]
    fn a_range_of_the_library_is_that_of_the_http_api() {
        assert_eq!(range(-3..5), read(r#"{"from":-3,"to":5}"#));
        let days = date(1969, 12, 30)..date(2026, 12, 5);
        assert_eq!(range(days), read(r#"{"from":"1969-12-30","to":"2026-12-05"}"#));
        let text = r#"{"from":"2026-12-01T12:00:00.000001Z","to":"2026-12-01T12:30:00Z"}"#;
        let moment = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let jiffs = moment("2026-12-01T12:00:00.000001Z")..moment("2026-12-01T12:30:00Z");
        assert_eq!(range(jiffs), read(text));
        let ours = |text: &str| Timestamp::parse(text).unwrap();
        let ours = ours("2026-12-01T12:00:00.000001Z")..ours("2026-12-01T12:30:00Z");
        assert_eq!(range(ours), read(text));
    }
}
