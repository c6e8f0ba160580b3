//! Whom sessions are about: what they decided about their data, and how they are forgotten.
//!
//! ```text
//!   sessions().subject(id) ──► consents() · record_consent(..) · hold(..) · lift_hold(..) · erase()
//! ```

use std::collections::BTreeMap;

use mainstay_actors::host::Receipt;
use mainstay_actors::machine::Machine;
use mainstay_actors::session::check_subject;
use mainstay_actors::subject::{SubjectCommand, SubjectReject, SubjectReply, SubjectState};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, StreamId};

pub use mainstay_actors::subject::{Consent, Hold};

use crate::client::{Client, Unavailable, told};

/// The machine behind it.
type Entity = mainstay_actors::subject::Subject;

/// One subject of one tenant.
#[derive(Debug, Clone)]
pub struct Subject {
    client: Client,
    tenant: String,
    id: String,
}

/// Why a subject does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It was forgotten.
    #[error("the subject was erased; nothing about it can be written or read any more")]
    Erased,
    /// It must not be erased.
    #[error("the subject is held: {why}; lift the hold first")]
    Held {
        /// The reason that was given.
        why: String,
    },
    /// An argument is out of its range; the text names the range.
    #[error("{0}")]
    Invalid(String),
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl SubjectError {
    fn of(reject: SubjectReject) -> Self {
        match reject {
            SubjectReject::Erased => Self::Erased,
            SubjectReject::Held { why } => Self::Held { why },
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// A subject that was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// When it was asked for.
    pub at: Timestamp,
    /// How many live sessions ended with it.
    pub sessions_ended: u64,
    /// The durable place of its end.
    pub cursor: Cursor,
}

impl Subject {
    pub(crate) fn new(client: Client, tenant: String, id: String) -> Self {
        Self { client, tenant, id }
    }

    /// The last decision of each type.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub async fn consents(&self) -> Result<BTreeMap<String, Consent>, SubjectError> {
        Ok(self.read().await?.consents)
    }

    /// Records a decision: `granted`, or refused or withdrawn; `consent` says about what, and
    /// `text_version` which text they read. Both are 1 to 200 bytes.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub async fn record_consent(
        &self,
        consent: impl Into<String>,
        granted: bool,
        text_version: impl Into<String>,
    ) -> Result<Cursor, SubjectError> {
        let (consent, text_version) = (consent.into(), text_version.into());
        let command = SubjectCommand::RecordConsent { consent, granted, text_version };
        Ok(self.ask(command).await?.at)
    }

    /// Why it must not be erased at this moment, if it must not.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub async fn held(&self) -> Result<Option<Hold>, SubjectError> {
        Ok(self.read().await?.hold)
    }

    /// From now on it cannot be erased. The reason (1 to 200 bytes) is journaled: name a case, not
    /// a person.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub async fn hold(&self, reason: impl Into<String>) -> Result<Cursor, SubjectError> {
        let command = SubjectCommand::SetHold { held: true, reason: reason.into() };
        Ok(self.ask(command).await?.at)
    }

    /// It may be erased again.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub async fn lift_hold(&self, reason: impl Into<String>) -> Result<Cursor, SubjectError> {
        let command = SubjectCommand::SetHold { held: false, reason: reason.into() };
        Ok(self.ask(command).await?.at)
    }

    /// Forgets it, for good: the erasure is journaled, the key of its values is destroyed, and its
    /// live sessions end and release their locks; then this answers. Dropped or cut short after
    /// the first, the rest happens all the same.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub async fn erase(&self) -> Result<Erased, SubjectError> {
        self.ask(SubjectCommand::Erase).await?;
        let failed = |failure| told(failure, SubjectError::of);
        let finished = self.client.host.follow_erasure(self.stream()?).await.map_err(failed)?;
        // It is over, too, when nobody tells any more.
        drop(finished.await);
        let Receipt { reply, at: cursor } = self.ask(SubjectCommand::Show).await?;
        let ended = reply.0.erased.and_then(|erasure| Some((erasure.at, erasure.sessions_ended?)));
        let Some((at, sessions_ended)) = ended else {
            let going = "the erasure is journaled, and goes on at the next start".to_owned();
            return Err(Unavailable::NotReady(going).into());
        };
        Ok(Erased { at, sessions_ended, cursor })
    }

    async fn read(&self) -> Result<SubjectState, SubjectError> {
        let state = self.ask(SubjectCommand::Show).await?.reply.0;
        if state.erased.is_some() { Err(SubjectError::Erased) } else { Ok(state) }
    }

    fn stream(&self) -> Result<StreamId, SubjectError> {
        check_subject(&self.tenant, &self.id)
            .map_err(|reject| SubjectError::Invalid(reject.to_string()))?;
        let stream = StreamId::new(Entity::KIND, &format!("{}/{}", self.tenant, self.id));
        stream.ok_or_else(|| SubjectError::Invalid("the subject is too long".to_owned()))
    }

    async fn ask(&self, command: SubjectCommand) -> Result<Receipt<SubjectReply>, SubjectError> {
        let asked = self.client.host.ask::<Entity>(self.stream()?, command, self.client.meta());
        asked.await.map_err(|failure| told(failure, SubjectError::of))
    }
}
