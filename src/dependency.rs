//! Dependencies for a Rust service: may a call be made, and how did it go.
//!
//! ```text
//!   client.dependency("database").permit() ──► Permit ──► the call ──► permit.report(outcome)
//!                  │                              └── dropped: given back, counts as nothing
//!                  └──► Rejected { retry_after }
//! ```

pub use mainstay_actors::gate::Outcome;
pub use mainstay_actors::host::DependencyView;

use std::time::Duration;

use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::gate::{self, Admission, Report};
use mainstay_actors::time::Timestamp;

use crate::client::{Client, Unavailable, told, unavailable};

/// One dependency, by name.
#[derive(Debug, Clone)]
pub struct Dependency {
    client: Client,
    name: String,
}

/// Why a call must not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// The breaker does not let it through.
    #[error("the breaker rejects calls")]
    Rejected {
        /// When it is worth asking again, if that is known.
        retry_after: Option<Duration>,
    },
    /// No dependency of this name is configured.
    #[error("no such dependency; configure it first")]
    Unknown,
    /// Nothing was decided.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
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

impl Dependency {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks whether a call may be made now.
    ///
    /// # Errors
    /// See [`PermitError`].
    pub async fn permit(&self) -> Result<Permit, PermitError> {
        let admission = self.client.host.admit(&self.name).await;
        let no = |reject| match reject {
            DependencyReject::Unknown => PermitError::Unknown,
            other => Unavailable::Failed(other.to_string()).into(),
        };
        match admission.map_err(|failure| told(failure, no))? {
            Admission::Admitted(permit) => Ok(Permit {
                dependency: self.clone(),
                given: Some(permit),
                since: self.client.host.now().unwrap_or_default(),
            }),
            Admission::Rejected { retry_after_ms } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                Err(PermitError::Rejected { retry_after })
            },
            // The host opens the half by itself before it answers.
            Admission::TryHalfOpen { .. } => Err(PermitError::Rejected { retry_after: None }),
        }
    }

    /// Tells how a call went that was made without a permit. Nothing durable is claimed.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub async fn report(&self, outcome: Outcome, took: Duration) -> Result<(), ReportError> {
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.send(Report { permit: None, outcome, duration_us, probe: false }).await
    }

    /// Its durable state; `None` if no dependency of this name is configured.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn state(&self) -> Result<Option<DependencyView>, Unavailable> {
        let state = self.client.host.dependency(&self.name).await.map_err(unavailable)?;
        Ok(state.and_then(|state| DependencyView::of(&self.name, &state)))
    }

    async fn send(&self, report: Report) -> Result<(), ReportError> {
        let recorded = self.client.host.record(&self.name, vec![report]).await;
        let no = |reject| match reject {
            DependencyReject::Unknown => ReportError::Unknown,
            other => Unavailable::Failed(other.to_string()).into(),
        };
        recorded.map_err(|failure| told(failure, no))
    }
}

/// The right to make one call; it also takes the time from here to the report.
///
/// Dropping it, as a cancelled call does, gives it back and counts as neither.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    dependency: Dependency,
    given: Option<gate::Permit>,
    since: Timestamp,
}

impl Permit {
    /// Tells how the call went. Nothing durable is claimed.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub async fn report(mut self, outcome: Outcome) -> Result<(), ReportError> {
        let now = self.dependency.client.host.now().unwrap_or_default();
        let duration_us = now.as_micros().saturating_sub(self.since.as_micros());
        let permit = self.given.take();
        self.dependency.send(Report { permit, outcome, duration_us, probe: false }).await
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permit) = self.given.take() {
            let outcome = Outcome::Ignored;
            let report = Report { permit: Some(permit), outcome, duration_us: 0, probe: false };
            self.dependency.client.host.report(&self.dependency.name, vec![report]);
        }
    }
}
