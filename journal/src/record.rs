//! What the journal holds: records in streams, each at one position.
//!
//! ```text
//! stream  lock/room-101        version 1     2           3
//! stream  session/default/…    version    1        2
//!                              position 1  2     3  4     5   ── one order over everything
//! ```
//!
//! The journal knows bytes, streams and positions. What a type id or a tag *means* is the
//! domain's affair.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::bytes::Fields;

/// Longest stream name, in bytes: `kind/id` together.
pub const MAX_STREAM_BYTES: usize = 512;
/// Longest principal, request id, correlation id or tag value, in bytes.
pub const MAX_LABEL_BYTES: usize = 512;
/// Most tags a record may carry.
pub const MAX_TAGS: usize = 4;
/// Largest encoded record, in bytes.
pub const MAX_RECORD_BYTES: usize = 32 * 1024;

/// A stream's name, `kind/id`: `lock/room-101`, `session/default/0193…`.
///
/// Cheap to clone; compared and hashed as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Joins a kind and an id. Returns `None` if the kind is empty or holds a `/`, the id is
    /// empty, or the name is longer than [`MAX_STREAM_BYTES`].
    #[must_use]
    pub fn new(kind: &str, id: &str) -> Option<Self> {
        if kind.contains('/') {
            return None;
        }
        Self::parse(&format!("{kind}/{id}"))
    }

    /// Reads `kind/id`; the id may hold further slashes.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, id) = name.split_once('/')?;
        (!kind.is_empty() && !id.is_empty() && name.len() <= MAX_STREAM_BYTES)
            .then(|| Self(name.into()))
    }

    /// The part before the first slash.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once('/').map_or("", |(kind, _)| kind)
    }

    /// The part after the first slash.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, id)| id)
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// A place in a history: an epoch and a position in it, written `{epoch}-{position}`.
///
/// Positions are gap-free from 1; position 0 is the place before the first record. A restore
/// continues at the fork + 1 in the next epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor {
    /// Which history; 1 for a journal that was never restored.
    pub epoch: u32,
    /// Which record in it.
    pub position: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.position)
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, position) = text.split_once('-').ok_or(())?;
        let epoch = epoch.parse().map_err(|_| ())?;
        let position = position.parse().map_err(|_| ())?;
        Ok(Self { epoch, position })
    }
}

/// A retried command is recognised by its id; the fingerprint of its body tells a retry from
/// another command under the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The id, already scoped by its principal.
    pub id: Arc<str>,
    /// A hash of the command's body.
    pub fingerprint: u64,
}

/// A label that `find` can search for. The domain says what a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Which label.
    pub key: u8,
    /// Its value, at most [`MAX_LABEL_BYTES`].
    pub value: Arc<str>,
}

/// The tags of one record, at most [`MAX_TAGS`].
pub type Tags = SmallVec<[Tag; 2]>;

/// An event that is not in the journal yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What happened, by the domain's numbering.
    pub type_id: u16,
    /// In which version of that type's layout.
    pub schema: u16,
    /// Labels for `find`.
    pub tags: Tags,
    /// The encoded event.
    pub payload: Vec<u8>,
}

/// What the records of one append share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// When it was decided, in microseconds since the Unix epoch. Never falls along a journal: a
    /// time before the newest record's is raised to that one.
    pub at_us: u64,
    /// Who asked for it.
    pub principal: Arc<str>,
    /// The request it answers.
    pub request: Option<Request>,
    /// What ties it to work outside: a trace id or the caller's request id.
    pub correlation: Option<Arc<str>>,
    /// The record that made it necessary.
    pub causation: Option<Cursor>,
}

/// The newest record of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Versions count from 1 along a stream; 0 for a stream without records.
    pub version: u64,
    /// Where it lies; 0 for a stream without records.
    pub position: u64,
}

/// One record, borrowed from the block it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Of the block that holds it.
    pub epoch: u32,
    /// Gap-free from 1.
    pub position: u64,
    /// `kind/id`.
    pub stream: &'a str,
    /// Gap-free from 1 along the stream.
    pub version: u64,
    /// Position of the stream's record before this one; 0 if it is the first.
    pub previous: u64,
    /// What happened, by the domain's numbering.
    pub type_id: u16,
    /// In which version of that type's layout.
    pub schema: u16,
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
    /// Who asked for it.
    pub principal: &'a str,
    /// The request it answers: id and fingerprint.
    pub request: Option<(&'a str, u64)>,
    /// What ties it to work outside.
    pub correlation: Option<&'a str>,
    /// The record that made it necessary.
    pub causation: Option<Cursor>,
    /// The record as framed; see `docs/format.md`.
    pub(crate) frame: &'a [u8],
    /// Labels, framed and checked; see [`RecordRef::tags`].
    pub(crate) tags: &'a [u8],
    /// The encoded event.
    pub payload: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// Kind and id of its stream.
    #[must_use]
    pub fn kind_and_id(&self) -> (&'a str, &'a str) {
        // A kind is short: its end is found sooner byte by byte than by a search for long texts.
        let end = self.stream.bytes().position(|byte| byte == b'/');
        let split = end.and_then(|end| self.stream.split_at_checked(end));
        split.map_or((self.stream, ""), |(kind, id)| (kind, id.get(1..).unwrap_or_default()))
    }

    /// The labels, key and value.
    pub fn tags(&self) -> impl Iterator<Item = (u8, &'a str)> + use<'a> {
        let mut rest = Fields(self.tags);
        std::iter::from_fn(move || rest.tag())
    }

    /// The bytes its Merkle leaf is made of; see `docs/format.md`.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        crate::codec::leaf_bytes(self.epoch, self.position, self.frame)
    }

    /// Where it lies, as a cursor.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.position }
    }
}
