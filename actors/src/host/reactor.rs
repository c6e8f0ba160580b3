//! A session's end releases its locks.
//!
//! ```text
//!   SessionEnded durable ──► for each lock of the session: SessionEnded command, awaited
//!                                   └──► cursor ──► ReactorAdvanced in system/reactor-session-locks
//! ```
//!
//! The commands are idempotent and the cursor is durable, so a crash between the two halves is
//! caught up: recovery queues again what ended after the cursor.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mainstay_journal::{Cursor, StreamId};
use tokio::sync::oneshot;

use super::message::{Answered, Deliver, Failure, Meta};
use super::registry::Registry;
use super::views::{Hosted, Views};
use crate::lock::{Lock, LockCommand};
use crate::machine::Machine;
use crate::system::{System, SystemCommand};

/// Id of the stream with the reactor's cursor.
pub(crate) const SESSION_LOCKS: &str = "reactor-session-locks";
/// A command that the host could not take is tried again after this.
const RETRY: Duration = Duration::from_millis(100);

/// Carries ends of sessions to their locks.
pub(crate) struct SessionLocks {
    pub(crate) views: Rc<RefCell<Views>>,
    pub(crate) registry: Rc<RefCell<Registry>>,
    pub(crate) principal: Arc<str>,
}

impl SessionLocks {
    /// Works for as long as the arbiter does.
    pub(crate) async fn run(self) {
        let ended = self.views.borrow().session_ended.clone();
        loop {
            let mut reacted_to = None;
            while let Some((at, session)) = self.next() {
                self.release(at, &session).await;
                self.views.borrow_mut().locks_of_session.remove(&session);
                reacted_to = Some(at);
            }
            if let Some(at) = reacted_to {
                let advance = SystemCommand::AdvanceReactor { position: at.position };
                self.send::<System>(System::KIND, SESSION_LOCKS, advance, at).await;
            }
            ended.notified().await;
        }
    }

    fn next(&self) -> Option<(Cursor, String)> {
        self.views.borrow_mut().ended_sessions.pop_front()
    }

    async fn release(&self, at: Cursor, session: &str) {
        let locks = self.views.borrow().locks_of_session.get(session).cloned().unwrap_or_default();
        for lock in locks {
            let command = LockCommand::SessionEnded { session: session.to_owned() };
            self.send::<Lock>(Lock::KIND, lock.id(), command, at).await;
        }
    }

    /// Sends until the host has taken it: the commands are idempotent.
    async fn send<M: Hosted>(&self, kind: &str, id: &str, command: M::Command, cause: Cursor) {
        let Some(stream) = StreamId::new(kind, id) else { return };
        loop {
            let (reply_to, reply) = oneshot::channel();
            let meta = Meta::of(&self.principal).caused_by(cause);
            let (stream, command) = (stream.clone(), command.clone());
            self.registry.borrow_mut().deliver::<M>(Deliver { stream, command, meta, reply_to });
            let answered: Answered<M> = reply.await.unwrap_or(Err(Failure::Crashed));
            match answered {
                Ok(_) | Err(Failure::Rejected { .. }) => return,
                Err(failure) => {
                    tracing::warn!(%failure, id, "a rule between entities waits for the journal");
                    tokio::time::sleep(RETRY).await;
                },
            }
        }
    }
}
