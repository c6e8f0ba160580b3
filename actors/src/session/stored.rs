//! A session's state as bytes and as text.
//!
//! | | |
//! |---|---|
//! | JSON | `{"status": "live", …}`: the status stands beside the fields |
//! | snapshots | a plain variant: bincode has no fields to look a tag up in |

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{EndReason, Live, SessionState};
use crate::time::Timestamp;

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Shown<'s> {
    Absent,
    Live(&'s Live),
    Ended { reason: EndReason, at: Timestamp },
}

#[derive(Serialize)]
enum Kept<'s> {
    Absent,
    Live(&'s Live),
    Ended { reason: EndReason, at: Timestamp },
}

#[derive(Deserialize)]
enum Read {
    Absent,
    Live(Live),
    Ended { reason: EndReason, at: Timestamp },
}

impl Serialize for SessionState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let readable = serializer.is_human_readable();
        match self {
            Self::Absent if readable => Shown::Absent.serialize(serializer),
            Self::Live(live) if readable => Shown::Live(live).serialize(serializer),
            Self::Ended { reason, at } if readable => {
                Shown::Ended { reason: *reason, at: *at }.serialize(serializer)
            },
            Self::Absent => Kept::Absent.serialize(serializer),
            Self::Live(live) => Kept::Live(live).serialize(serializer),
            Self::Ended { reason, at } => {
                Kept::Ended { reason: *reason, at: *at }.serialize(serializer)
            },
        }
    }
}

impl<'de> Deserialize<'de> for SessionState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(de::Error::custom("a session's state cannot be read from text"));
        }
        Ok(match Read::deserialize(deserializer)? {
            Read::Absent => Self::Absent,
            Read::Live(live) => Self::Live(live),
            Read::Ended { reason, at } => Self::Ended { reason, at },
        })
    }
}
