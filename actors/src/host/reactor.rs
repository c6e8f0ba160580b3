//! A session's end releases its locks.
//!
//! ```text
//!   SessionEnded durable ───────────────► for each lock of the session: SessionEnded, awaited
//!   lease or waiter of a session durable ─► does the session live? if not, the same
//! ```
//!
//! The commands are idempotent. A crash between the two halves is caught up by recovery, which
//! finds every session that owns or waits for a lock and is over (ADR-0010).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mainstay_journal::{Cursor, StreamId};
use tokio::sync::oneshot;

use super::message::{Answered, Deliver, Failure, Meta};
use super::registry::Registry;
use super::views::{Hosted, Release, Views};
use crate::lock::{Lock, LockCommand};
use crate::session::{Session, SessionCommand};

/// A command that the host could not take is tried again after this.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// Carries ends of sessions to their locks.
pub(crate) struct SessionLocks {
    pub(crate) views: Rc<RefCell<Views>>,
    pub(crate) post: Post,
}

impl SessionLocks {
    /// Works for as long as the arbiter does.
    pub(crate) async fn run(self) {
        let releases = self.views.borrow().releases.clone();
        loop {
            while let Some((at, release)) = self.next() {
                match release {
                    Release::Ended(session) => self.release(at, &session).await,
                    Release::IfEnded(session) => {
                        if self.has_ended(at, &session).await {
                            self.release(at, &session).await;
                        }
                    },
                }
            }
            releases.notified().await;
        }
    }

    fn next(&self) -> Option<(Cursor, Release)> {
        self.views.borrow_mut().to_release.pop_front()
    }

    async fn has_ended(&self, at: Cursor, session: &str) -> bool {
        let answered =
            self.post.send_until_taken::<Session>(session, &SessionCommand::Show, at).await;
        matches!(answered, Err(Failure::Rejected { .. }))
    }

    /// All of the session's locks together, so that they share group commits.
    async fn release(&self, at: Cursor, session: &str) {
        let locks = self.views.borrow().locks_of_session.get(session).cloned().unwrap_or_default();
        let command = LockCommand::SessionEnded { session: session.to_owned() };
        let send = |lock: &StreamId| self.post.send::<Lock>(lock.id(), &command, at);
        let sent: Vec<_> = locks.iter().map(|lock| (lock, send(lock))).collect();
        for (lock, reply) in sent {
            // Its outcome does not matter further: a lock that cannot be read holds nobody up.
            drop(self.post.settle::<Lock>(lock.id(), &command, at, reply).await);
        }
    }
}

/// Sends commands for a rule between entities.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) registry: Rc<RefCell<Registry>>,
    pub(crate) principal: Arc<str>,
}

impl Post {
    pub(crate) fn send<M: Hosted>(
        &self,
        id: &str,
        command: &M::Command,
        cause: Cursor,
    ) -> Option<oneshot::Receiver<Answered<M>>> {
        let stream = StreamId::new(M::KIND, id)?;
        let (reply_to, reply) = oneshot::channel();
        let meta = Meta::of(&self.principal).caused_by(cause);
        let command = command.clone();
        self.registry.borrow_mut().deliver::<M>(Deliver { stream, command, meta, reply_to });
        Some(reply)
    }

    /// Sends until the entity has ruled, or cannot be read at all.
    pub(crate) async fn send_until_taken<M: Hosted>(
        &self,
        id: &str,
        command: &M::Command,
        cause: Cursor,
    ) -> Answered<M> {
        loop {
            let Some(reply) = self.send::<M>(id, command, cause) else {
                return Err(Failure::Unreadable(format!("{id:?} is no name")));
            };
            let answered = reply.await.unwrap_or(Err(Failure::Crashed));
            if !is_to_be_tried_again(&answered) {
                return answered;
            }
            tracing::warn!(kind = M::KIND, id, "a rule between entities waits for the journal");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Waits for what was sent, and sends it again until the entity has ruled.
    pub(crate) async fn settle<M: Hosted>(
        &self,
        id: &str,
        command: &M::Command,
        cause: Cursor,
        sent: Option<oneshot::Receiver<Answered<M>>>,
    ) -> Answered<M> {
        let answered = match sent {
            Some(reply) => reply.await.unwrap_or(Err(Failure::Crashed)),
            None => return Err(Failure::Unreadable(format!("{id:?} is no name"))),
        };
        if is_to_be_tried_again(&answered) {
            return self.send_until_taken::<M>(id, command, cause).await;
        }
        answered
    }
}

/// Neither a ruling nor an entity that nobody can ask; the entity itself has logged the latter.
fn is_to_be_tried_again<R, E: std::error::Error>(answered: &Result<R, Failure<E>>) -> bool {
    !matches!(
        answered,
        Ok(_)
            | Err(Failure::Rejected { .. }
                | Failure::Unreadable(_)
                | Failure::Crashed
                | Failure::Quarantined)
    )
}
