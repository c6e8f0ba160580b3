//! An erasure: the key goes, then the sessions; whatever was under way is caught up by a start.
//!
//! ```text
//!   SubjectErased durable ─► its key is destroyed ─► its live sessions end ─► ErasureFinished
//!        a session of an erased subject durable ───► it ends
//! ```
//!
//! A create that was sealed before the erasure may become durable behind it, when the sessions were
//! looked for already: so each new session is held against the erased subjects, too.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Handler, Message};
use mainstay_journal::{Cursor, EventLog, StreamId};
use tokio::sync::{Notify, oneshot};

use super::begun::sessions_begun;
use super::reactor::{Post, RETRY};
use super::supervisor::Supervisor;
use super::views::Views;
use crate::session::{Session, SessionCommand, SessionEvent, SessionReply};
use crate::subject::{Subject, SubjectCommand, SubjectEvent};

/// Where the keys of subjects lie. The host never reads one: it only has them destroyed.
pub trait SubjectKeys: fmt::Debug + Send + Sync {
    /// Destroys a subject's key for good, and waits for the disk. Again and again is as good as
    /// once.
    ///
    /// # Errors
    /// The key may still be there; the text says why.
    fn destroy(&self, tenant: &str, subject: &str) -> Result<(), String>;

    /// Whether what was destroyed here is gone from every copy elsewhere, too; waits for them. An
    /// erasure is not finished before.
    ///
    /// # Errors
    /// A copy may still have it; the text says which.
    fn gone_elsewhere(&self) -> Result<(), String> {
        Ok(())
    }
}

/// No keys: nothing was sealed under one.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeys;

impl SubjectKeys for NoKeys {
    fn destroy(&self, _tenant: &str, _subject: &str) -> Result<(), String> {
        Ok(())
    }
}

/// What a start must know of erasures: it keeps them from one checkpoint to the next.
#[derive(Debug, Default)]
pub(crate) struct ErasedFacts {
    /// `{tenant}/{subject}` of everyone who was erased, and whether it is finished.
    pub(crate) subjects: BTreeMap<String, bool>,
    /// `{tenant}/{id}` of live sessions that began after their subject was erased.
    pub(crate) sessions: BTreeSet<String>,
}

impl ErasedFacts {
    pub(crate) fn take_subject(&mut self, id: &str, event: &SubjectEvent) {
        match event {
            SubjectEvent::SubjectErased(_) => drop(self.subjects.insert(id.to_owned(), false)),
            SubjectEvent::ErasureFinished(_) => drop(self.subjects.insert(id.to_owned(), true)),
            _ => {},
        }
    }

    pub(crate) fn take_session(&mut self, id: &str, event: &SessionEvent) {
        if self.subjects.is_empty() {
            return;
        }
        if let Some(subject) = began(event) {
            if self.subjects.contains_key(&subject) {
                self.sessions.insert(id.to_owned());
            }
        } else if event.is_end() {
            self.sessions.remove(id);
        }
    }
}

/// `{tenant}/{subject}` of a session that begins.
fn began(event: &SessionEvent) -> Option<String> {
    match event {
        SessionEvent::SessionCreated(it) => Some(format!("{}/{}", it.tenant, it.subject)),
        SessionEvent::SessionImported(it) => Some(format!("{}/{}", it.tenant, it.subject)),
        _ => None,
    }
}

/// What is to be done about an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    /// Forget a subject, `{tenant}/{subject}`.
    Subject(String),
    /// End a session, `{tenant}/{id}`.
    Session(String),
}

/// The erased subjects, from durable facts, and who waits for them.
#[derive(Debug, Default)]
pub(crate) struct Erasures {
    subjects: HashSet<String>,
    unfinished: HashMap<String, Vec<oneshot::Sender<()>>>,
    work: VecDeque<(Cursor, Work)>,
    pub(crate) begun: Rc<Notify>,
}

impl Erasures {
    /// Takes what a start has found.
    pub(crate) fn recover(&mut self, at: Cursor, facts: ErasedFacts) {
        for (subject, finished) in facts.subjects {
            if !finished {
                self.unfinished.insert(subject.clone(), Vec::new());
                self.work.push_back((at, Work::Subject(subject.clone())));
            }
            self.subjects.insert(subject);
        }
        let sessions = facts.sessions.into_iter().map(|session| (at, Work::Session(session)));
        self.work.extend(sessions);
    }

    pub(crate) fn see_subject(&mut self, id: &str, at: Cursor, event: &SubjectEvent) {
        match event {
            SubjectEvent::SubjectErased(_) => {
                self.subjects.insert(id.to_owned());
                self.unfinished.insert(id.to_owned(), Vec::new());
                self.work.push_back((at, Work::Subject(id.to_owned())));
            },
            SubjectEvent::ErasureFinished(_) => {
                for tell in self.unfinished.remove(id).unwrap_or_default() {
                    // Who does not listen any more can ask the subject.
                    let _ = tell.send(());
                }
            },
            _ => {},
        }
    }

    pub(crate) fn see_session(&mut self, id: &str, at: Cursor, event: &SessionEvent) {
        if !self.subjects.is_empty()
            && began(event).is_some_and(|subject| self.subjects.contains(&subject))
        {
            self.work.push_back((at, Work::Session(id.to_owned())));
        }
    }

    pub(crate) fn flush(&self) {
        if !self.work.is_empty() {
            self.begun.notify_one();
        }
    }
}

/// Carries erasures out.
pub(crate) struct Forgetting {
    pub(crate) views: Rc<RefCell<Views>>,
    pub(crate) post: Post,
    pub(crate) keys: Arc<dyn SubjectKeys>,
    pub(crate) log: Arc<dyn EventLog>,
    /// Erasures that wait for copies elsewhere: where, of whom, how many sessions ended.
    pub(crate) late: RefCell<VecDeque<(Cursor, String, u64)>>,
}

impl Forgetting {
    /// Works for as long as the arbiter does.
    pub(crate) async fn run(self) {
        let begun = self.views.borrow().erasures.begun.clone();
        loop {
            self.catch_up().await;
            self.finish_late().await;
            let next = begun.notified();
            if self.late.borrow().is_empty() {
                next.await;
            } else {
                // Others are forgotten meanwhile.
                drop(tokio::time::timeout(RETRY * 10, next).await);
            }
        }
    }

    /// Finishes the erasures that waited, once no copy elsewhere has their keys.
    pub(crate) async fn finish_late(&self) {
        let waiting = self.late.borrow().len();
        if waiting == 0 {
            return;
        }
        let keys = self.keys.clone();
        let gone = tokio::task::spawn_blocking(move || keys.gone_elsewhere()).await;
        if let Err(reason) = gone.unwrap_or_else(|panic| Err(panic.to_string())) {
            tracing::warn!(reason, waiting, "an erasure is not finished: a copy may have the key");
            return;
        }
        for _ in 0..waiting {
            let Some((at, id, sessions_ended)) = self.late.borrow_mut().pop_front() else { return };
            self.finish(at, &id, sessions_ended).await;
        }
    }

    async fn finish(&self, at: Cursor, id: &str, sessions_ended: u64) {
        let finish = SubjectCommand::FinishErasure { sessions_ended };
        // One that cannot be read holds nobody up: the next start tries again.
        drop(self.post.send_until_taken::<Subject>(id, &finish, at).await);
    }

    /// Does everything that is to be done here at this moment; what waits for copies elsewhere is
    /// finished later.
    pub(crate) async fn catch_up(&self) {
        while let Some((at, work)) = self.next() {
            match work {
                Work::Subject(subject) => self.forget(at, &subject).await,
                Work::Session(session) => drop(self.end(at, [session]).await),
            }
        }
    }

    fn next(&self) -> Option<(Cursor, Work)> {
        self.views.borrow_mut().erasures.work.pop_front()
    }

    async fn forget(&self, at: Cursor, id: &str) {
        let Some((tenant, subject)) = id.split_once('/') else { return };
        self.destroy(tenant, subject).await;
        let sessions = loop {
            match self.sessions(tenant, subject).await {
                Ok(sessions) => break sessions,
                Err(reason) => {
                    tracing::error!(%reason, "the sessions of an erased subject cannot be found");
                    tokio::time::sleep(RETRY).await;
                },
            }
        };
        let sessions_ended = self.end(at, sessions).await;
        self.late.borrow_mut().push_back((at, id.to_owned(), sessions_ended));
    }

    /// Tries until the key is gone: nothing else matters more.
    async fn destroy(&self, tenant: &str, subject: &str) {
        loop {
            let (keys, tenant, subject) =
                (self.keys.clone(), tenant.to_owned(), subject.to_owned());
            let work = move || keys.destroy(&tenant, &subject);
            let destroyed = tokio::task::spawn_blocking(work).await;
            match destroyed.unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(()) => return,
                Err(reason) => {
                    tracing::error!(reason, "the key of an erased subject is not destroyed yet");
                    tokio::time::sleep(RETRY * 10).await;
                },
            }
        }
    }

    /// Every session that may live about a subject.
    async fn sessions(&self, tenant: &str, subject: &str) -> Result<Vec<String>, String> {
        let (log, tenant, subject) = (self.log.clone(), tenant.to_owned(), subject.to_owned());
        let work = move || {
            let mut sessions = Vec::new();
            let read = sessions_begun(&*log, &tenant, &subject, None, &mut |begun| {
                sessions.push(begun.stream.id().to_owned());
                ControlFlow::Continue(())
            });
            read.map(|()| sessions).map_err(|error| error.to_string())
        };
        let found = tokio::task::spawn_blocking(work).await;
        found.unwrap_or_else(|panic| Err(panic.to_string()))
    }

    /// Ends those that live; returns how many.
    async fn end(&self, at: Cursor, sessions: impl IntoIterator<Item = String>) -> u64 {
        let mut ended = 0;
        let mut sessions = sessions.into_iter().peekable();
        while sessions.peek().is_some() {
            // Together, so that they share group commits; not all, so that others get their turn.
            let some: Vec<String> = sessions.by_ref().take(AT_ONCE).collect();
            let forget = SessionCommand::Forget;
            let sent = some.iter().map(|id| (id, self.post.send::<Session>(id, &forget, at)));
            for (id, reply) in sent.collect::<Vec<_>>() {
                let answered = self.post.settle::<Session>(id, &forget, at, reply).await;
                ended += u64::from(answered.is_ok_and(|it| it.reply == SessionReply::Ended));
            }
        }
        ended
    }
}

/// Sessions that are ended at once.
const AT_ONCE: usize = 64;

/// Tells when an erasure is finished; the sender is dropped at once if it is, or if there is none.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FollowErasure {
    pub(crate) subject: StreamId,
    pub(crate) tell: oneshot::Sender<()>,
}

impl Handler<FollowErasure> for Supervisor {
    type Result = ();

    fn handle(&mut self, follow: FollowErasure, _context: &mut Self::Context) {
        let mut views = self.views.borrow_mut();
        if let Some(waiting) = views.erasures.unfinished.get_mut(follow.subject.id()) {
            waiting.push(follow.tell);
        }
    }
}
