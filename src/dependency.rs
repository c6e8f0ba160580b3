//! Dependencies for a Rust service: may a call be made, and how did it go.
//!
//! ```text
//!   client.dependency("database") ─┬─ guard() ──► a whole call: see `guard`
//!                                  ├─ permit() ─► Permit ──► the call ──► permit.report(outcome)
//!                                  │                └── dropped: given back, counts as nothing
//!                                  ├─ configure, force ──► journaled
//!                                  └─ state
//! ```

pub use mainstay_actors::dependency::{BreakerSettings, Mode, Settings, SettingsError, Window};
pub use mainstay_actors::gate::Outcome;
pub use mainstay_actors::host::{DependencyView, Heard, Move, Moves};

use std::sync::Arc;
use std::time::Duration;

use mainstay_actors::dependency::{
    self, DependencyCommand, DependencyReject, DependencyReply, DependencyState,
};
use mainstay_actors::gate::{Front, Report};
use mainstay_actors::machine::Machine as _;
use mainstay_journal::StreamId;

use crate::client::{Client, Unavailable, told, unavailable};
use crate::config::check_name;
use crate::guard::pass::{Asked, Given};
use crate::guard::{Figures, Guard, Refused, Tally};

/// One dependency, by name. Cheap to clone, used from any thread and executor.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Dependency {
    // What a call reads comes first.
    pub(crate) front: Front,
    pub(crate) client: Client,
    pub(crate) tally: Arc<Tally>,
}

/// Why an outcome is not counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// No dependency of this name is configured.
    #[error("no such dependency; configure it first")]
    Unknown,
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a dependency is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No dependency of this name is configured.
    #[error("no such dependency; configure it first")]
    Unknown,
    /// The configuration file names it, and the file is what changes it.
    #[error("dependency {0:?} is named by the configuration file: change it there")]
    FromFile(String),
    /// A name, a setting or a transition that cannot be; the text says which and what can be.
    #[error("{0}")]
    Refused(String),
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Dependency {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        let front = client.host.front(name);
        let tally = client.guards.tally(front.name());
        Self { front, client, tally }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.front.name()
    }

    /// What stands around a call to it; see [`Guard`]. It begins with the layers that the
    /// configuration gives it, whose bulkhead, rate limit and budget are the same for all.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::new(self.clone())
    }

    /// What its guards have counted in this process.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.tally.figures()
    }

    /// Asks whether a call may be made now. Only who opens the half of a breaker with
    /// `auto_half_open = false` waits, for the journal.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn permit(&self) -> Result<Permit, Refused> {
        let given = match self.ask()? {
            Asked::Given(given) => given,
            Asked::AskKeeper => self.ask_keeper().await?,
        };
        Ok(Permit { dependency: self.clone(), given: Some(given) })
    }

    /// Tells how a call went that was made without a permit. Nothing durable is claimed.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub async fn report(&self, outcome: Outcome, took: Duration) -> Result<(), ReportError> {
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let report = Report { permit: None, outcome, duration_us, probe: false, injected: false };
        let recorded = self.client.host.record(self.name(), vec![report]).await;
        let no = |reject| match reject {
            DependencyReject::Unknown => ReportError::Unknown,
            other => Unavailable::Failed(other.to_string()).into(),
        };
        recorded.map_err(|failure| told(failure, no))
    }

    /// Its durable state; `None` if no dependency of this name is configured.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn state(&self) -> Result<Option<DependencyView>, Unavailable> {
        let state = self.client.host.dependency(self.name()).await.map_err(unavailable)?;
        Ok(state.and_then(|state| {
            let unjournaled = self.front.is_unjournaled();
            Some(DependencyView { unjournaled, ..DependencyView::of(self.name(), &state)? })
        }))
    }

    /// Registers it, or changes its settings: state and window are kept. Of two configurations of
    /// one name the later one holds, for every guard of this journal; the same one again changes
    /// nothing. Durable when it returns.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn configure(&self, settings: Settings) -> Result<(), ChangeError> {
        let known = self.client.host.dependency(self.name()).await.map_err(unavailable)?;
        let from_file = |state: DependencyState| {
            state.settings.is_some_and(|settings| settings.from_file) && !state.retired
        };
        if known.is_some_and(from_file) {
            return Err(ChangeError::FromFile(self.name().to_owned()));
        }
        let settings = Settings { from_file: false, ..settings };
        self.change(DependencyCommand::Configure(Box::new(settings))).await
    }

    /// A transition by hand, with its reason; `for_time`: how long, then closed. Durable when it
    /// returns.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn force(
        &self,
        to: Mode,
        for_time: Option<Duration>,
        reason: &str,
    ) -> Result<(), ChangeError> {
        let for_ms = for_time.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        self.change(DependencyCommand::Force { to, for_ms, reason: reason.to_owned() }).await
    }

    async fn change(&self, command: DependencyCommand) -> Result<(), ChangeError> {
        check_name(self.name()).map_err(ChangeError::Refused)?;
        let stream = StreamId::new(dependency::Dependency::KIND, self.name())
            .ok_or_else(|| ChangeError::Refused("a name is too long".to_owned()))?;
        let asked =
            self.client.host.ask::<dependency::Dependency>(stream, command, self.client.meta());
        let no = |reject| match reject {
            DependencyReject::Unknown => ChangeError::Unknown,
            other => ChangeError::Refused(other.to_string()),
        };
        match asked.await.map_err(|failure| told(failure, no))?.reply {
            DependencyReply::State(_) | DependencyReply::Done => Ok(()),
        }
    }
}

/// The right to make one call; it also takes the time from here to the report.
///
/// Dropping it, as a cancelled call does, gives it back and counts as neither.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    dependency: Dependency,
    given: Option<Given>,
}

impl Permit {
    /// Tells how the call went. Nothing durable is claimed.
    pub fn report(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(given) = self.given.take() {
            self.dependency.settle(given, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(Outcome::Ignored);
    }
}
