//! A moment, as people and programs write it, and the place in the journal that it means.
//!
//! | written | means |
//! |---|---|
//! | `2026-11-22T03:12:00Z` | after the last event at or before that time |
//! | `4711` | after that event of the current history |
//! | `1-4711` | the same, and refused if the event there is another epoch's |
//! | `0`, or a time before the first event | nothing had happened yet |

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, ReadError, ReadLog};
use serde::{Deserialize, Serialize};

use super::cursor::{self, NoPlace};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A time.
    Time(Timestamp),
    /// A position of the current history.
    Position(u64),
    /// A position of a named epoch.
    Cursor(Cursor),
}

/// The place that a moment means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Place {
    /// Of the last event.
    pub epoch: u32,
    /// The last event that had happened; 0 before the first one.
    pub position: u64,
    /// The time that is asked for, else that of the event; `None` before the first event.
    pub at: Option<Timestamp>,
}

/// Why a moment is none of this journal.
#[derive(Debug, thiserror::Error)]
pub enum MomentError {
    /// It can be read in none of the three ways.
    #[error(
        "{0:?} is no moment; write a time (2026-11-22T03:12:00Z), a position or {{epoch}}-{{position}}"
    )]
    Nonsense(String),
    /// The position lies after the last event.
    #[error("position {position} lies after the last event, {}", head.position)]
    AfterEnd {
        /// What was asked for.
        position: u64,
        /// The last event.
        head: Cursor,
    },
    /// The time has not come yet.
    #[error("{asked} lies in the future: the last event is {head}, and it is {now}")]
    Future {
        /// What was asked for.
        asked: Timestamp,
        /// The last event.
        head: Cursor,
        /// The time now.
        now: Timestamp,
    },
    /// A position of another history: of an older epoch, behind the fork.
    #[error("{asked} is no moment of this history, which is at {head}; name a moment of this one")]
    OtherEpoch {
        /// What was asked for.
        asked: Cursor,
        /// The last event.
        head: Cursor,
    },
    /// The journal cannot be read there.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<NoPlace> for MomentError {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::AfterEnd { asked, head } => Self::AfterEnd { position: asked.position, head },
            NoPlace::OtherEpoch { asked, head } => Self::OtherEpoch { asked, head },
            NoPlace::Read(error) => error.into(),
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        if let Ok(cursor) = text.parse() {
            return Ok(Self::Cursor(cursor));
        }
        let nonsense = |_| MomentError::Nonsense(text.to_owned());
        Timestamp::parse(text).map(Self::Time).map_err(nonsense)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(at) => write!(f, "{at}"),
            Self::Position(position) => write!(f, "{position}"),
            Self::Cursor(cursor) => write!(f, "{cursor}"),
        }
    }
}

impl Moment {
    /// Finds the place in a journal; a time is found by bisection. `now` tells a quiet present from
    /// the future.
    ///
    /// # Errors
    /// See [`MomentError`].
    pub fn place(self, log: &dyn ReadLog, now: Timestamp) -> Result<Place, MomentError> {
        let head = log.head();
        let position = match self {
            Self::Time(asked) => return at_time(log, asked, now),
            Self::Position(position) if position <= head.position => position,
            Self::Position(position) => return Err(MomentError::AfterEnd { position, head }),
            Self::Cursor(cursor) => cursor::position_of(cursor, log)?,
        };
        Ok(Place { epoch: log.epoch_at(position)?, position, at: time_of(log, position)? })
    }
}

impl Place {
    /// The newest event of a journal.
    ///
    /// # Errors
    /// The journal cannot be read there.
    pub fn newest(log: &dyn ReadLog) -> Result<Self, ReadError> {
        let Cursor { epoch, position } = log.head();
        Ok(Self { epoch, position, at: time_of(log, position)? })
    }

    /// Where its last event lies.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.position }
    }

    /// The time by which leases and sessions are judged.
    #[must_use]
    pub fn judged_at(&self) -> Timestamp {
        self.at.unwrap_or_default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}, {at}", self.cursor()),
            None => write!(f, "{}, before the first event", self.cursor()),
        }
    }
}

fn at_time(log: &dyn ReadLog, asked: Timestamp, now: Timestamp) -> Result<Place, MomentError> {
    let position = log.position_at(asked.as_micros())?;
    let head = log.head();
    // The journal's clock may be ahead of ours; what it has written has been.
    let known = now.max(time_of(log, head.position)?.unwrap_or_default());
    if asked > known {
        return Err(MomentError::Future { asked, head, now });
    }
    Ok(Place { epoch: log.epoch_at(position)?, position, at: Some(asked) })
}

/// When an event was decided; `None` at position 0.
fn time_of(log: &dyn ReadLog, position: u64) -> Result<Option<Timestamp>, ReadError> {
    let mut at = None;
    if position > 0 {
        log.scan(position, position, &mut |record| {
            at = Some(Timestamp::from_micros(record.at_us));
            ControlFlow::Break(())
        })?;
    }
    Ok(at)
}
