//! A session's attributes change.

use std::pin::Pin;

use mainstay_actors::host::Failure;
use mainstay_actors::session::{SessionCommand, SessionReject};
use serde::Serialize;

use super::view::Values;
use super::{Entity, Kept, Session};
use crate::client::{Client, Unavailable, told};
use crate::vault::VaultError;

/// Attributes to set and to remove; await it. It counts as a touch.
#[derive(Debug)]
#[must_use = "it does nothing until it is awaited"]
pub struct Patch {
    session: Session,
    if_revision: Option<u64>,
    values: Values,
}

/// Why attributes do not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// There is no such session, or it is over.
    #[error("no such session")]
    NotFound,
    /// Someone else patched first: get the session and try again.
    #[error("the session is at revision {current}; get it and try again")]
    Stale {
        /// The revision now.
        current: u64,
    },
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// An attribute's value has no JSON.
    #[error("attribute {name:?} cannot be written as JSON: {reason}")]
    Unwritable {
        /// Which one.
        name: String,
        /// What serde says.
        reason: String,
    },
    /// The subject of the session was erased.
    #[error("the subject of this session was erased")]
    Erased,
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<VaultError> for PatchError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Erased => Self::Erased,
            other => Unavailable::from(other).into(),
        }
    }
}

impl From<Failure<SessionReject>> for PatchError {
    fn from(failure: Failure<SessionReject>) -> Self {
        told(failure, Self::of)
    }
}

impl PatchError {
    fn of(reject: SessionReject) -> Self {
        match reject {
            SessionReject::NotFound => Self::NotFound,
            SessionReject::Stale { current } => Self::Stale { current },
            SessionReject::OutOfRange { field, rule } => Self::Invalid { field, rule },
            other @ (SessionReject::Exists | SessionReject::PersonalSubject { .. }) => {
                Unavailable::Failed(other.to_string()).into()
            },
        }
    }
}

impl Patch {
    pub(super) fn new(session: Session) -> Self {
        Self { session, if_revision: None, values: Values::default() }
    }

    /// Sets an attribute, kept as JSON: the HTTP API shows and changes it, too.
    pub fn set(mut self, name: impl Into<String>, value: &(impl Serialize + ?Sized)) -> Self {
        self.values.json(name.into(), value);
        self
    }

    /// Sets an attribute of opaque bytes. Over HTTP it is null unless they are JSON.
    pub fn set_bytes(mut self, name: impl Into<String>, value: &[u8]) -> Self {
        self.values.bytes(name.into(), value);
        self
    }

    /// Removes an attribute.
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.values.remove(name.into());
        self
    }

    /// Only if the revision is still this one; else [`PatchError::Stale`].
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.if_revision = Some(revision);
        self
    }

    async fn send(self) -> Result<Kept, PatchError> {
        let Self { session, if_revision, values } = self;
        let changes = values
            .changes()
            .map_err(|it| PatchError::Unwritable { name: it.name, reason: it.reason })?;
        let stream = session.stream().ok_or(PatchError::NotFound)?;
        let Client { host, vault, .. } = &session.client;
        let meta = session.client.meta();
        let changes = if changes.values().any(Option::is_some) {
            let owner = vault.owner_of::<PatchError>(host, &stream, &meta).await?;
            vault.seal_all(owner, stream.id(), changes).await?
        } else {
            changes
        };
        let patch = SessionCommand::Patch { if_revision, changes };
        let patched = host.ask::<Entity>(stream, patch, meta).await.map_err(PatchError::from)?;
        Kept::of(&patched).ok_or(PatchError::NotFound)
    }
}

impl IntoFuture for Patch {
    type Output = Result<Kept, PatchError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
