//! A session as it stands.

use std::collections::BTreeMap;

use mainstay_actors::host::Receipt;
use mainstay_actors::session::{Live, Sealed, SessionReply};
use mainstay_actors::time::Timestamp;
use mainstay_journal::Cursor;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A live session, at the moment of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionView {
    pub(super) id: String,
    pub(super) live: Live,
    /// Of its attributes, opened.
    pub(super) values: BTreeMap<String, Vec<u8>>,
    pub(super) at: Cursor,
}

impl SessionView {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.live.tenant
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.live.subject
    }

    /// Rises with each patch; a touch does not change it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.live.revision
    }

    /// When it began.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.live.created_at
    }

    /// The moment from which it is readable no more, unless it is touched.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.live.expires_at()
    }

    /// The newest durable event of it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.at
    }

    /// The names of its attributes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.live.attributes.names()
    }

    /// An attribute's bytes; a value that was set as JSON is its text.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// An attribute read from JSON; `None` if there is no such attribute.
    ///
    /// # Errors
    /// It is no JSON, or not of this type.
    pub fn attribute<T: DeserializeOwned>(&self, name: &str) -> serde_json::Result<Option<T>> {
        self.bytes(name).map(serde_json::from_slice).transpose()
    }
}

/// A session that goes on: its revision and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Of its attributes.
    pub revision: u64,
    /// When it ends unless it is touched.
    pub expires_at: Timestamp,
    /// The newest durable event of it.
    pub cursor: Cursor,
}

impl Kept {
    pub(super) fn of(receipt: &Receipt<SessionReply>) -> Option<Self> {
        match receipt.reply {
            SessionReply::Kept { revision, expires_at } => {
                Some(Self { revision, expires_at, cursor: receipt.at })
            },
            _ => None,
        }
    }
}

/// Values by name, until they are sealed and sent; remembers the first that cannot be written.
#[derive(Debug, Default)]
pub(super) struct Values {
    values: BTreeMap<String, Option<Sealed>>,
    unwritable: Option<Unwritable>,
}

/// An attribute that is no JSON.
#[derive(Debug)]
pub(super) struct Unwritable {
    pub(super) name: String,
    pub(super) reason: String,
}

impl Values {
    /// As JSON, as the HTTP API keeps values.
    pub(super) fn json(&mut self, name: String, value: &(impl Serialize + ?Sized)) {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.bytes(name, &bytes),
            Err(error) => {
                let reason = error.to_string();
                self.unwritable.get_or_insert(Unwritable { name, reason });
            },
        }
    }

    pub(super) fn bytes(&mut self, name: String, value: &[u8]) {
        self.values.insert(name, Some(Sealed::plain(value)));
    }

    pub(super) fn remove(&mut self, name: String) {
        self.values.insert(name, None);
    }

    /// What to set and to remove.
    pub(super) fn changes(self) -> Result<BTreeMap<String, Option<Sealed>>, Unwritable> {
        self.unwritable.map_or(Ok(self.values), Err)
    }
}
