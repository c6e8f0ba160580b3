//! What a service does with a mainstay: locks, sessions, permits, health, in its own name.
//!
//! ```text
//!   Mainstay::client("booking") ──► Client ─┬─ lock(name)        ──► Lease
//!                                           ├─ session(id)       ──► get, touch, patch, end
//!                                           ├─ sessions()        ──► create, of_subject
//!                                           ├─ subject(id)       ──► consents, hold, erase
//!                                           ├─ dependency(name)  ──► Guard, Permit
//!                                           └─ health()
//! ```
//!
//! Everything goes through [`Host::ask`] as it does over HTTP, works on any executor, and is
//! durable when its answer is here.

use std::sync::Arc;

use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::{Failure, HealthView, Host, Meta, Moves};
use mainstay_journal::Refusal;
use tokio::task::spawn_local;
use uuid::Uuid;

use crate::dependency::Dependency;
use crate::guard::Guards;
use crate::lock::Lock;
use crate::session::{Session, Sessions};
use crate::stay::Mainstay;
use crate::subject::Subject;
use crate::vault::{Vault, VaultError};

/// The principal of [`Mainstay::lock`] and its sisters.
pub const PRINCIPAL: &str = "library";

/// A mainstay as one principal uses it. Clone it freely, use it from any thread and executor.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) host: Host,
    pub(crate) vault: Arc<Vault>,
    pub(crate) principal: Arc<str>,
    pub(crate) guards: Guards,
}

impl Client {
    /// Over a running host and an open vault, under the name that its events carry as their
    /// principal: 1 to 200 bytes, no personal data.
    #[must_use]
    pub fn new(host: Host, vault: Arc<Vault>, principal: &str) -> Self {
        Self { host, vault, principal: Arc::from(principal), guards: Guards::default() }
    }

    /// A lock by name: 1 to 200 bytes of letters, digits and `. _ : -`.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock::new(self.clone(), name.into())
    }

    /// The sessions of the tenant `default`; see [`Sessions::tenant`].
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::new(self.clone())
    }

    /// A session of the tenant `default` by its id; see [`Sessions::session`].
    #[must_use]
    pub fn session(&self, id: impl Into<String>) -> Session {
        self.sessions().session(id)
    }

    /// A subject of the tenant `default`; see [`Sessions::subject`].
    #[must_use]
    pub fn subject(&self, id: impl Into<String>) -> Subject {
        self.sessions().subject(id)
    }

    /// A dependency by name.
    #[must_use]
    pub fn dependency(&self, name: &str) -> Dependency {
        Dependency::new(self.clone(), name)
    }

    /// The moves of all breakers, from now on, as the journal has them.
    ///
    /// # Errors
    /// It is not ready, or has ended.
    pub fn transitions(&self) -> Result<Moves, Unavailable> {
        let ended = || Unavailable::NotReady(self.host.readiness().to_string());
        self.host.moves().ok_or_else(ended)
    }

    /// The global health, from durable facts.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn health(&self) -> Result<HealthView, Unavailable> {
        self.host.health().await.map_err(unavailable)
    }

    /// The actors behind it, for what has no word here yet.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// For a command that may be decided twice without harm.
    pub(crate) fn meta(&self) -> Meta {
        Meta::of(&self.principal)
    }

    /// For a command that is tried again: a request id of its own. It is never used for another
    /// command, so its fingerprint says nothing.
    pub(crate) fn request(&self) -> Meta {
        let id = format!("{}:{}", self.principal, Uuid::now_v7());
        Meta { request: Some((Arc::from(id), 0)), ..self.meta() }
    }

    /// Runs a task on the host's own thread and runtime.
    pub(crate) fn spawn<F: Future<Output = ()> + 'static>(
        &self,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), Unavailable> {
        let ran = self.host.run_inside(move || drop(spawn_local(task())));
        ran.map_err(Unavailable::NotReady)
    }
}

impl Mainstay {
    /// What a service does with it, under a name that its events carry as their principal.
    #[must_use]
    pub fn client(&self, principal: &str) -> Client {
        let client = Client::new(self.host().clone(), self.vault().clone(), principal);
        Client { guards: self.guards().clone(), ..client }
    }

    /// [`Client::lock`] of the principal [`PRINCIPAL`].
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        self.client(PRINCIPAL).lock(name)
    }

    /// [`Client::sessions`] of the principal [`PRINCIPAL`].
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.client(PRINCIPAL).sessions()
    }

    /// [`Client::session`] of the principal [`PRINCIPAL`].
    #[must_use]
    pub fn session(&self, id: impl Into<String>) -> Session {
        self.client(PRINCIPAL).session(id)
    }

    /// [`Client::dependency`] of the principal [`PRINCIPAL`].
    #[must_use]
    pub fn dependency(&self, name: &str) -> Dependency {
        self.client(PRINCIPAL).dependency(name)
    }

    /// [`Client::transitions`] of the principal [`PRINCIPAL`].
    ///
    /// # Errors
    /// It is not ready, or has ended.
    pub fn transitions(&self) -> Result<Moves, Unavailable> {
        self.client(PRINCIPAL).transitions()
    }

    /// The global health, from durable facts.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn health(&self) -> Result<HealthView, Unavailable> {
        self.client(PRINCIPAL).health().await
    }
}

/// Why nothing was decided: not the business of a lock, session or dependency, but of the process
/// or its disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// Recovery is not over, or the mainstay is closing. Nothing happened.
    #[error("not ready: {0}")]
    NotReady(String),
    /// A bounded queue is full; try again soon. Nothing happened.
    #[error("{0} is full")]
    Busy(&'static str),
    /// The journal does not take the event. Nothing happened.
    #[error("{0}")]
    Refused(Refusal),
    /// The sync failed: it may or may not have happened.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// The entity cannot be asked: its history is unreadable, or it crashed. The log says more.
    #[error("{0}")]
    Failed(String),
}

impl From<VaultError> for Unavailable {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Closed => Self::NotReady(error.to_string()),
            VaultError::Busy => Self::Busy("the queue for keys"),
            VaultError::NoRoom => Self::Refused(Refusal::NoRoom),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A failure as the error of one operation: its own no, or that nothing was decided.
pub(crate) fn told<R: std::error::Error, E: From<Unavailable>>(
    failure: Failure<R>,
    rejected: impl FnOnce(R) -> E,
) -> E {
    let unavailable = match failure {
        Failure::Rejected { reason, .. } => return rejected(reason),
        Failure::NotReady(what) => Unavailable::NotReady(what),
        Failure::Busy(what) => Unavailable::Busy(what),
        Failure::Refused(refusal) => Unavailable::Refused(refusal),
        Failure::OutcomeUnknown(reason) => Unavailable::OutcomeUnknown(reason),
        other => Unavailable::Failed(other.to_string()),
    };
    unavailable.into()
}

/// A failure of a question that is never refused.
pub(crate) fn unavailable(failure: Failure<DependencyReject>) -> Unavailable {
    told(failure, |reject| Unavailable::Failed(reject.to_string()))
}
