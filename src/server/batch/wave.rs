//! Waves of commands: each is one message to the host, and is answered before the next is sent.

use std::collections::HashMap;
use std::pin::Pin;

use mainstay_actors::dependency::Dependency;
use mainstay_actors::host::{Batch, Host, Hosted, Meta, Receipt};
use mainstay_actors::lock::{Lock, LockCommand, LockReply};
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::StreamId;
use serde::Serialize;

use super::{Answer, Command};
use crate::server::locks::Acquire;
use crate::server::problem::Problem;
use crate::server::request::Caller;
use crate::server::sessions::{Creation, Patch};
use crate::server::{App, dependencies, locks, sessions};

/// An answer that is under way.
type Coming = Pin<Box<dyn Future<Output = Answer>>>;

/// The waves of a request.
pub(super) struct Waves<'r> {
    host: &'r Host,
    app: &'r App,
    caller: &'r Caller,
    batch: Batch,
    on: HashMap<StreamId, usize>,
    /// Commands of one wave on one entity: half of what its mailbox takes, others use it too.
    on_one_entity: usize,
    coming: Vec<Coming>,
    answers: Vec<Answer>,
}

impl<'r> Waves<'r> {
    pub(super) fn new(host: &'r Host, app: &'r App, caller: &'r Caller) -> Self {
        let (batch, on) = (Batch::default(), HashMap::new());
        let on_one_entity = host.limits().mailbox.div_ceil(2);
        let (coming, answers) = (Vec::new(), Vec::new());
        Self { host, app, caller, batch, on, on_one_entity, coming, answers }
    }

    /// Takes the next command; one that cannot be is answered in its place.
    pub(super) async fn take(&mut self, command: Command) {
        if let Err(problem) = self.place(command).await {
            self.coming.push(Box::pin(async move { Answer::problem(&problem) }));
        }
    }

    /// Sends what is left, and gives every answer in order.
    pub(super) async fn finish(mut self) -> Vec<Answer> {
        self.send().await;
        self.answers
    }

    async fn send(&mut self) {
        self.on.clear();
        let sent = self.host.send(std::mem::take(&mut self.batch));
        let coming = std::mem::take(&mut self.coming);
        if let Err(failure) = sent {
            let problem = Problem::from(failure);
            self.answers.extend(coming.iter().map(|_| Answer::problem(&problem)));
            return;
        }
        for answer in coming {
            self.answers.push(answer.await);
        }
    }

    async fn place(&mut self, command: Command) -> Result<(), Problem> {
        match command {
            Command::CreateSession { .. }
            | Command::TouchSession { .. }
            | Command::PatchSession { .. }
            | Command::EndSession { .. } => self.place_session(command).await,
            Command::AcquireLock { key, name, body } => {
                self.place_acquire(key.as_deref(), name, body.into()).await
            },
            Command::RenewLease { key, name, body } => {
                let caller = self.lock_caller(key.as_deref(), &name, "renew")?;
                let meta = caller.meta(&body);
                self.place_lock(&name, body.command(), meta, locks::lease).await
            },
            Command::ReleaseLease { key, name, body } => {
                let caller = self.lock_caller(key.as_deref(), &name, "release")?;
                let meta = caller.meta(&body);
                self.place_lock(&name, body.command(), meta, locks::released).await
            },
            Command::CheckToken { key, name, body } => {
                let caller = self.lock_caller(key.as_deref(), &name, "check")?;
                let meta = caller.meta(&body);
                self.place_lock(&name, body.command(), meta, locks::checked).await
            },
            Command::ForceState { key, name, body } => {
                self.caller.scope().reach_all()?;
                let target = format!("POST /api/v1/dependencies/{name}/state");
                let meta = self.caller.part(key.as_deref(), target)?.meta(&body);
                let stream = dependencies::stream(&name)?;
                let shown = move |receipt| dependencies::shown(&name, receipt);
                self.add::<Dependency, _>(stream, body.command(), meta, 200, shown).await;
                Ok(())
            },
            Command::ReportOutcomes { name, body } => {
                self.caller.scope().reach_all()?;
                let host = self.host.clone();
                self.coming.push(Box::pin(async move {
                    Answer::of(202, dependencies::count(&host, &name, body).await)
                }));
                Ok(())
            },
        }
    }

    async fn place_session(&mut self, command: Command) -> Result<(), Problem> {
        let (status, tenant, id, command, meta) = match command {
            Command::CreateSession { key, body } => {
                let caller =
                    self.caller.part(key.as_deref(), "POST /api/v1/sessions".to_owned())?;
                let Creation { tenant, id, command, meta } =
                    sessions::creation(self.app, &caller, &body).await?;
                (201, tenant, id, command, meta)
            },
            Command::TouchSession { key, id, tenant } => {
                let target = format!("POST /api/v1/sessions/{id}/touch");
                let meta = self.caller.part(key.as_deref(), target)?.meta(&());
                (200, self.tenant(tenant.as_deref())?, id, SessionCommand::Touch, meta)
            },
            Command::PatchSession { key, id, tenant, if_match, body } => {
                let target = format!("PATCH /api/v1/sessions/{id}");
                let meta = self.caller.part(key.as_deref(), target)?.meta(&body);
                let tenant = self.tenant(tenant.as_deref())?;
                let command = self.patch(&tenant, &id, if_match.as_deref(), &body, &meta).await?;
                (200, tenant, id, command, meta)
            },
            Command::EndSession { key, id, tenant } => {
                let target = format!("DELETE /api/v1/sessions/{id}");
                let meta = self.caller.part(key.as_deref(), target)?.meta(&());
                (200, self.tenant(tenant.as_deref())?, id, SessionCommand::End, meta)
            },
            _ => return Err(Problem::internal("no command of a session")),
        };
        let stream = sessions::stream(&tenant, &id)?;
        let vault = self.app.vault.clone();
        let shown = move |receipt| sessions::placed(&vault, &tenant, &id, &receipt);
        self.add::<Session, _>(stream, command, meta, status, shown).await;
        Ok(())
    }

    /// A patch is sealed for the subject of its session, which an earlier command may have made.
    async fn patch(
        &mut self,
        tenant: &str,
        id: &str,
        if_match: Option<&str>,
        body: &Patch,
        meta: &Meta,
    ) -> Result<SessionCommand, Problem> {
        let stream = sessions::stream(tenant, id)?;
        if !self.app.vault.knows_owner(stream.id()) && self.on.contains_key(&stream) {
            self.send().await;
        }
        body.command(self.host, &self.app.vault, &stream, meta.clone(), if_match).await
    }

    /// A lease without a session is one command; with one it is several, so it has a wave alone.
    async fn place_acquire(
        &mut self,
        key: Option<&str>,
        name: String,
        body: Acquire,
    ) -> Result<(), Problem> {
        let caller = self.lock_caller(key, &name, "acquire")?;
        if body.session.is_none() {
            let (command, meta) = locks::claim(&caller, &body)?;
            return self.place_lock(&name, command, meta, locks::lease).await;
        }
        self.send().await;
        let taken = locks::take(self.host, &caller, &name, &body).await;
        self.answers.push(Answer::of(200, taken));
        Ok(())
    }

    fn tenant(&self, asked: Option<&str>) -> Result<String, Problem> {
        self.caller.scope().tenant(asked)
    }

    fn lock_caller(&self, key: Option<&str>, name: &str, verb: &str) -> Result<Caller, Problem> {
        self.caller.scope().reach_lock(name)?;
        self.caller.part(key, format!("POST /api/v1/locks/{name}/{verb}"))
    }

    async fn place_lock<T: Serialize>(
        &mut self,
        name: &str,
        command: LockCommand,
        meta: Meta,
        shown: impl FnOnce(Receipt<LockReply>) -> Result<T, Problem> + 'static,
    ) -> Result<(), Problem> {
        self.add::<Lock, _>(locks::stream(name)?, command, meta, 200, shown).await;
        Ok(())
    }

    /// Adds a command to the wave; sends the wave first if its entity has enough to do.
    async fn add<M: Hosted, T: Serialize>(
        &mut self,
        stream: StreamId,
        command: M::Command,
        meta: Meta,
        status: u16,
        shown: impl FnOnce(Receipt<M::Reply>) -> Result<T, Problem> + 'static,
    ) where
        Problem: From<mainstay_actors::host::Failure<M::Reject>>,
    {
        if self.on.get(&stream).is_some_and(|&waiting| waiting >= self.on_one_entity) {
            self.send().await;
        }
        *self.on.entry(stream.clone()).or_default() += 1;
        let answered = self.batch.add::<M>(stream, command, meta);
        self.coming.push(Box::pin(async move {
            Answer::of(status, answered.await.map_err(Problem::from).and_then(shown))
        }));
    }
}
