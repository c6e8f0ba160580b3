//! A new session.

use std::pin::Pin;
use std::time::Duration;

use mainstay_actors::host::Meta;
use mainstay_actors::session::{Live, SessionCommand, SessionReject, SessionReply, check_new};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, StreamId};
use serde::Serialize;
use uuid::Uuid;

use super::view::Values;
use super::{Entity, Session, Sessions};
use crate::client::{Unavailable, told};
use crate::lock::ms;
use crate::vault::VaultError;

/// A session to be; await it.
#[derive(Debug)]
#[must_use = "it does nothing until it is awaited"]
pub struct Create {
    sessions: Sessions,
    subject: String,
    ttl: Duration,
    max_age: Option<Duration>,
    values: Values,
}

/// A session that has just begun.
#[derive(Debug, Clone)]
pub struct Created {
    /// The session.
    pub session: Session,
    /// When it ends unless it is touched.
    pub expires_at: Timestamp,
    /// The durable place of its beginning.
    pub cursor: Cursor,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The subject looks like personal data.
    #[error("the subject looks like {what}; use an opaque id")]
    PersonalSubject {
        /// What it looks like.
        what: &'static str,
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
    /// The subject was erased: there is never a session about it again.
    #[error("the subject was erased")]
    Erased,
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<VaultError> for CreateError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Erased => Self::Erased,
            other => Unavailable::from(other).into(),
        }
    }
}

impl CreateError {
    fn of(reject: SessionReject) -> Self {
        match reject {
            SessionReject::PersonalSubject { what } => Self::PersonalSubject { what },
            SessionReject::OutOfRange { field, rule } => Self::Invalid { field, rule },
            other @ (SessionReject::NotFound
            | SessionReject::Exists
            | SessionReject::Stale { .. }) => Unavailable::Failed(other.to_string()).into(),
        }
    }
}

impl Create {
    pub(super) fn new(sessions: Sessions, subject: String, ttl: Duration) -> Self {
        Self { sessions, subject, ttl, max_age: None, values: Values::default() }
    }

    /// It ends at this age whatever happens: 1 s to 366 days.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// With an attribute, kept as JSON: the HTTP API shows and changes it, too.
    pub fn attribute(mut self, name: impl Into<String>, value: &(impl Serialize + ?Sized)) -> Self {
        self.values.json(name.into(), value);
        self
    }

    /// With an attribute of opaque bytes. Over HTTP it is null unless they are JSON.
    pub fn bytes(mut self, name: impl Into<String>, value: &[u8]) -> Self {
        self.values.bytes(name.into(), value);
        self
    }

    async fn send(self) -> Result<Created, CreateError> {
        let changes = self.values.changes();
        let changes =
            changes.map_err(|it| CreateError::Unwritable { name: it.name, reason: it.reason })?;
        let Sessions { client, tenant } = &self.sessions;
        let session = self.sessions.session(Uuid::now_v7().to_string());
        let stream = stream(&session)?;
        let (subject, ttl_ms, max_age_ms) = (self.subject, ms(self.ttl), self.max_age.map(ms));
        let plain = changes.iter().filter_map(|(name, it)| Some((name.clone(), it.clone()?)));
        let plain = plain.collect();
        check_new(tenant, &subject, ttl_ms, max_age_ms, &plain).map_err(CreateError::of)?;
        let name = client.vault.name(tenant, &subject)?;
        let sealed = client.vault.seal_all(name, &session.full_id(), changes).await?;
        let attributes = sealed.into_iter().filter_map(|(name, it)| Some((name, it?))).collect();
        let tenant = tenant.clone();
        let create = SessionCommand::Create { tenant, subject, ttl_ms, max_age_ms, attributes };
        let meta = Meta { fresh: true, ..client.request() };
        let asked = client.host.ask::<Entity>(stream, create, meta).await;
        let created = asked.map_err(|failure| told(failure, CreateError::of))?;
        let SessionReply::Shown(live) = created.reply else {
            return Err(Unavailable::Failed("the session is not shown".to_owned()).into());
        };
        Ok(Created { session, expires_at: Live::expires_at(&live), cursor: created.at })
    }
}

fn stream(session: &Session) -> Result<StreamId, CreateError> {
    let rule = "1 to 200 bytes of letters, digits and . _ -";
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let tenant = &session.tenant;
    let named = (1..=200).contains(&tenant.len()) && tenant.bytes().all(plain);
    session.stream().filter(|_| named).ok_or(CreateError::Invalid { field: "tenant", rule })
}

impl IntoFuture for Create {
    type Output = Result<Created, CreateError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
