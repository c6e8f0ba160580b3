//! An append-only journal of streams and positions.
//!
//! It knows bytes, streams and positions, and no noun of the domain above it.

mod error;
mod log;
mod record;

pub use error::ReadError;
pub use log::{
    Append, EventLog, Full, LogStatus, Outcome, Query, Refusal, Sink, StoreStatus, Subscription,
    Visit,
};
pub use record::{
    Cursor, Draft, Envelope, Head, MAX_LABEL_BYTES, MAX_RECORD_BYTES, MAX_STREAM_BYTES, MAX_TAGS,
    RecordRef, Request, StreamId, Tag, Tags,
};
