//! Sessions for a Rust service: small attributes under a revision, with an idle TTL and an age.
//!
//! ```text
//!   sessions().create(subject, ttl).attribute(..).await ──► Created { session, .. }
//!   session ──► get() · touch() · patch().set(..).if_revision(..).await · end()
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `create` | a new session |
//! | `patch` | its attributes change |
//! | `list` | the live sessions of a subject |
//! | `view` | a session as it stands |

mod create;
mod list;
mod patch;
mod view;

pub use create::{Create, CreateError, Created};
pub use list::{ListError, OfSubject, SessionPage};
pub use patch::{Patch, PatchError};
pub use view::{Kept, SessionView};

use std::time::Duration;

use mainstay_actors::host::Receipt;
use mainstay_actors::machine::Machine;
use mainstay_actors::session::{SessionCommand, SessionReject, SessionReply};
use mainstay_journal::{Cursor, StreamId};

use crate::client::{Client, Unavailable, told};
use crate::subject::Subject;
use crate::vault::VaultError;

/// The machine behind it.
type Entity = mainstay_actors::session::Session;

/// The tenant when none is named.
const DEFAULT_TENANT: &str = "default";

/// The sessions of one tenant.
#[derive(Debug, Clone)]
pub struct Sessions {
    client: Client,
    tenant: String,
}

impl Sessions {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, tenant: DEFAULT_TENANT.to_owned() }
    }

    /// Those of another tenant: 1 to 200 bytes of letters, digits and `. _ -`.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// A new session about a subject (1 to 200 bytes, opaque) that ends when nobody touches it for
    /// `ttl` (1 s to 30 days). Await it.
    pub fn create(&self, subject: impl Into<String>, ttl: Duration) -> Create {
        Create::new(self.clone(), subject.into(), ttl)
    }

    /// A session by its id. Nothing is asked yet.
    #[must_use]
    pub fn session(&self, id: impl Into<String>) -> Session {
        let Self { client, tenant } = self.clone();
        Session { client, tenant, id: id.into() }
    }

    /// A subject of this tenant. Nothing is asked yet.
    #[must_use]
    pub fn subject(&self, id: impl Into<String>) -> Subject {
        let Self { client, tenant } = self.clone();
        Subject::new(client, tenant, id.into())
    }

    /// The live sessions of a subject, newest first. Await it.
    pub fn of_subject(&self, subject: impl Into<String>) -> OfSubject {
        OfSubject::new(self.clone(), subject.into())
    }
}

/// One session, by its id.
#[derive(Debug, Clone)]
pub struct Session {
    client: Client,
    tenant: String,
    id: String,
}

/// Why a session does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session, or it is over.
    #[error("no such session")]
    NotFound,
    /// Its subject was erased: it is ending.
    #[error("the subject of this session was erased")]
    Erased,
    /// Its values cannot be opened; the text says what to do. It can be ended all the same.
    #[error("{0}")]
    Sealed(String),
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<VaultError> for SessionError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Erased => Self::Erased,
            VaultError::Damaged | VaultError::Missing | VaultError::Unopened { .. } => {
                Self::Sealed(error.to_string())
            },
            other => Unavailable::from(other).into(),
        }
    }
}

impl SessionError {
    fn of(reject: SessionReject) -> Self {
        match reject {
            SessionReject::NotFound => Self::NotFound,
            other => Unavailable::Failed(other.to_string()).into(),
        }
    }
}

impl Session {
    /// Its id: a uuid v7.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// As it stands. Does not touch it.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn get(&self) -> Result<SessionView, SessionError> {
        let Receipt { reply, at } = self.ask(SessionCommand::Show).await?;
        match reply {
            SessionReply::Shown(live) => {
                let values = self.client.vault.open_live(&self.full_id(), &live)?;
                Ok(SessionView { id: self.id.clone(), live: *live, values, at })
            },
            _ => Err(SessionError::NotFound),
        }
    }

    /// It is in use: its idle time starts again. Journaled once a tenth of the TTL has passed
    /// since the last time, so a touched session lives 0.9 to 1 TTL longer.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn touch(&self) -> Result<Kept, SessionError> {
        let touched = self.ask(SessionCommand::Touch).await?;
        Kept::of(&touched).ok_or(SessionError::NotFound)
    }

    /// Sets and removes attributes. Await it.
    pub fn patch(&self) -> Patch {
        Patch::new(self.clone())
    }

    /// Ends it, and with it its leases; returns the durable place of that.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn end(&self) -> Result<Cursor, SessionError> {
        Ok(self.ask(SessionCommand::End).await?.at)
    }

    /// `{tenant}/{id}`
    pub(crate) fn full_id(&self) -> String {
        format!("{}/{}", self.tenant, self.id)
    }

    fn stream(&self) -> Option<StreamId> {
        StreamId::new(Entity::KIND, &self.full_id())
    }

    async fn ask(&self, command: SessionCommand) -> Result<Receipt<SessionReply>, SessionError> {
        let stream = self.stream().ok_or(SessionError::NotFound)?;
        let asked = self.client.host.ask::<Entity>(stream, command, self.client.meta()).await;
        asked.map_err(|failure| told(failure, SessionError::of))
    }
}
