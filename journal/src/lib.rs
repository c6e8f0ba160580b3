//! An append-only journal of streams and positions.
//!
//! ```text
//!            submit                      scan · find · read_stream
//!               │                                  ▲
//!  LocalLog ────▼── writer ─► segments ────────────┤ (durable records only)
//!                                │ follower        │
//!                                └──────► sled ────┘
//! ```
//!
//! It knows bytes, streams and positions, and no noun of the domain above it. The bytes on disk
//! are described in `docs/format.md`.

pub mod archive;
mod block;
mod bytes;
mod codec;
#[cfg(feature = "test-support")]
#[expect(clippy::panic, reason = "a failed check is a panic")]
pub mod conformance;
pub mod disk;
mod error;
#[cfg(feature = "test-support")]
mod faulty;
mod heads;
mod hex;
mod identify;
mod kept;
mod keyring;
mod layout;
mod local;
mod log;
mod memory;
pub mod merkle;
mod pack;
pub mod plant;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod postings;
mod reader;
mod record;
mod recover;
mod segment;
mod sieve;
mod spare;
mod stats;
mod store;
mod stored;
mod terms;
mod unlock;
mod verify;
mod view;
mod writer;

pub use archive::Base;
pub use block::FORMAT;
pub use error::{Away, OpenError, ReadError};
#[cfg(feature = "test-support")]
pub use faulty::{Fault, FaultyLog, FaultySink};
pub use keyring::{Keyring, KeyringError};
pub use layout::Identity;
pub use local::{LocalLog, Options};
pub use log::{
    Append, EventLog, Full, KeptWriter, LogStatus, Outcome, Query, ReadLog, Refusal, Seen, Sink,
    Snapshot, StoreStatus, Subscription, Visit,
};
pub use memory::MemoryLog;
pub use reader::{Reader, Reading};
pub use record::{
    Cursor, Draft, Envelope, Head, MAX_LABEL_BYTES, MAX_RECORD_BYTES, MAX_STREAM_BYTES, MAX_TAGS,
    RecordRef, Request, StreamId, Tag, Tags,
};
pub use recover::Opened;
pub use stored::{StoredBlock, VisitBlock};
pub use verify::{Finding, FindingKind, Meaning, Progress, Report, VerifyOptions, verify};
pub use writer::{MAX_APPEND_BYTES, Turn, Writer};
