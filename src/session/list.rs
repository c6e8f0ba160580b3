//! The live sessions of a subject.
//!
//! ```text
//!   journal, newest first: created? ──► batch ──► ask each: live? ──► page ──► next: last looked at
//! ```

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use mainstay_actors::host::sessions_begun;
use mainstay_journal::{Cursor, EventLog, ReadError};
use tokio::sync::oneshot;
use tokio::task::{JoinError, spawn_blocking, spawn_local};

use super::{Session, SessionError, SessionView, Sessions};
use crate::client::Unavailable;

/// The live sessions of one subject; await it for a page of them.
#[derive(Debug)]
#[must_use = "it does nothing until it is awaited"]
pub struct OfSubject {
    sessions: Sessions,
    subject: String,
    before: Option<Cursor>,
    limit: usize,
}

/// A page of live sessions, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionPage {
    /// At most as many as were asked for.
    pub sessions: Vec<SessionView>,
    /// For [`OfSubject::before`], if there may be more.
    pub next: Option<Cursor>,
}

/// Why sessions are not listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The cursor is of another history than this one: of an older epoch, behind the fork.
    #[error(
        "the cursor {cursor} is no place of this history, which is at epoch {epoch}; begin anew"
    )]
    OtherEpoch {
        /// The cursor.
        cursor: Cursor,
        /// Of this history.
        epoch: u32,
    },
    /// The journal cannot be read, or a session's values cannot be opened.
    #[error("{0}")]
    Unreadable(String),
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<ReadError> for ListError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// A session's creation in the journal.
struct Made {
    session: Session,
    at: Cursor,
    at_us: u64,
}

/// Creations that are read at once.
const BATCH: usize = 256;
/// Sessions that are asked at once.
const AT_ONCE: usize = 16;
/// Most sessions of a page.
const MAX_LIMIT: usize = 1_000;

impl OfSubject {
    pub(super) fn new(sessions: Sessions, subject: String) -> Self {
        Self { sessions, subject, before: None, limit: 100 }
    }

    /// Only those that were created before this: the `next` of an earlier page.
    pub fn before(mut self, cursor: Cursor) -> Self {
        self.before = Some(cursor);
        self
    }

    /// At most so many, 1 to 1,000; 100 without it.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, MAX_LIMIT);
        self
    }

    /// On the host's thread, whatever executor the caller has.
    async fn send(self) -> Result<SessionPage, ListError> {
        let (to_caller, answer) = oneshot::channel();
        self.sessions.client.clone().spawn(async move || {
            // A caller that left needs no page.
            drop(to_caller.send(self.page().await));
        })?;
        let ended = |_| Unavailable::NotReady("the host has ended".to_owned());
        answer.await.map_err(ended)?
    }

    async fn page(&self) -> Result<SessionPage, ListError> {
        let host = &self.sessions.client.host;
        let not_ready = || Unavailable::NotReady(host.readiness().to_string());
        let log = host.log().ok_or_else(not_ready)?;
        let before = match self.before {
            Some(cursor) if !is_ours(log.clone(), cursor).await? => {
                return Err(ListError::OtherEpoch { cursor, epoch: log.head().epoch });
            },
            before => before.unwrap_or(Cursor { position: u64::MAX, ..log.head() }),
        };
        let mut before = (before, None);
        let mut sessions = Vec::new();
        loop {
            let batch = self.made(log.clone(), before).await?;
            for some in batch.chunks(AT_ONCE) {
                let asked: Vec<_> = some
                    .iter()
                    .map(|it| it.session.clone())
                    .map(|session| spawn_local(async move { session.get().await }))
                    .collect();
                for (made, answer) in some.iter().zip(asked) {
                    let failed = |error| Unavailable::Failed(format!("ask a session: {error}"));
                    match answer.await.map_err(failed)? {
                        Ok(view) => sessions.push(view),
                        Err(SessionError::NotFound | SessionError::Erased) => continue,
                        Err(SessionError::Sealed(reason)) => {
                            return Err(ListError::Unreadable(reason));
                        },
                        Err(SessionError::Unavailable(reason)) => return Err(reason.into()),
                    }
                    if sessions.len() == self.limit {
                        return Ok(SessionPage { sessions, next: Some(made.at) });
                    }
                }
            }
            match batch.last() {
                Some(last) if batch.len() == BATCH => before = (last.at, Some(last.at_us)),
                _ => return Ok(SessionPage { sessions, next: None }),
            }
        }
    }

    /// The newest beginnings behind one, or before a position, from the journal's index.
    async fn made(
        &self,
        log: Arc<dyn EventLog>,
        before: (Cursor, Option<u64>),
    ) -> Result<Vec<Made>, ListError> {
        let (sessions, subject) = (self.sessions.clone(), self.subject.clone());
        let read = move || {
            let mut batch = Vec::new();
            sessions_begun(&*log, &sessions.tenant, &subject, Some(before), &mut |begun| {
                let id = begun.stream.id().split_once('/');
                batch.extend(id.map(|(_, id)| Made {
                    session: sessions.session(id),
                    at: begun.at,
                    at_us: begun.at_us,
                }));
                if batch.len() < BATCH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(batch)
        };
        spawn_blocking(read).await.map_err(cancelled)?
    }
}

/// Whether a cursor is a place of this history.
async fn is_ours(log: Arc<dyn EventLog>, cursor: Cursor) -> Result<bool, ListError> {
    Ok(spawn_blocking(move || log.is_ours(cursor)).await.map_err(cancelled)??)
}

fn cancelled(_: JoinError) -> ListError {
    ListError::Unreadable("the read was cancelled".to_owned())
}

impl IntoFuture for OfSubject {
    type Output = Result<SessionPage, ListError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
