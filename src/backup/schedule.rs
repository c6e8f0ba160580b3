//! When the next backup is due: after an interval, or as a cron pattern says.

use std::str::FromStr as _;

use croner::Cron;
use jiff::tz::Offset;
use mainstay_actors::time::Timestamp;

use crate::config::Span;

/// When something is due again and again.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// So long after the last time.
    Every(Span),
    /// At the times that a pattern names, in UTC.
    At(Box<Cron>),
}

impl Schedule {
    /// By a pattern, if there is one.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn of(every: Span, at: Option<&str>) -> Result<Self, String> {
        let Some(at) = at else { return Ok(Self::Every(every)) };
        let cron = Cron::from_str(at).map_err(|error| {
            format!("{at:?} is no cron pattern ({error}); write `0 2 * * *` for two o'clock UTC")
        })?;
        let schedule = Self::At(Box::new(cron));
        if schedule.next(Timestamp::from_micros(0)).is_none() {
            return Err(format!("{at:?} names no time that ever comes"));
        }
        Ok(schedule)
    }

    /// When it is due after a time; `None` if it never is again.
    #[must_use]
    pub fn next(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(every) => Some(last.plus_ms(every.as_ms())),
            Self::At(cron) => {
                let micros = i64::try_from(last.as_micros()).ok()?;
                let last = jiff::Timestamp::from_microsecond(micros).ok()?;
                let next = cron.find_next_occurrence(&Offset::UTC.to_datetime(last), false).ok()?;
                let next = Offset::UTC.to_timestamp(next).ok()?;
                u64::try_from(next.as_microsecond()).ok().map(Timestamp::from_micros)
            },
        }
    }

    /// The longest time between two, as far as the next year tells.
    #[must_use]
    pub fn longest(&self, from: Timestamp) -> Span {
        match self {
            Self::Every(every) => *every,
            Self::At(_) => {
                let times = std::iter::successors(Some(from), |last| self.next(*last));
                let times: Vec<Timestamp> = times.skip(1).take(400).collect();
                let gaps = times.windows(2).filter_map(|pair| match pair {
                    [one, next] => Some(next.ms_since(*one)),
                    _ => None,
                });
                Span::from_ms(gaps.max().unwrap_or(u64::MAX))
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_is_due_at_its_times_in_utc() {
        let daily = Schedule::of(Span::from_ms(1), Some("0 2 * * *")).unwrap();
        let next = daily.next(at("2026-11-27T02:00:00Z"));
        assert_eq!(next, Some(at("2026-11-28T02:00:00Z")));
        assert_eq!(daily.longest(at("2026-11-27T00:00:00Z")), Span::from_ms(86_400_000));
        let hourly = Schedule::of(Span::from_ms(3_600_000), None).unwrap();
        assert_eq!(hourly.next(at("2026-11-27T02:10:00Z")), Some(at("2026-11-27T03:10:00Z")));
        let uneven = Schedule::of(Span::from_ms(1), Some("0 2 * * MON")).unwrap();
        assert_eq!(uneven.longest(at("2026-11-27T00:00:00Z")), Span::from_ms(7 * 86_400_000));
    }

    #[test]
    fn a_pattern_that_is_none_or_never_comes_is_refused() {
        for bad in ["", "noon", "61 * * * *", "0 0 30 2 *"] {
            assert!(Schedule::of(Span::from_ms(1), Some(bad)).is_err(), "{bad:?}");
        }
    }
}
