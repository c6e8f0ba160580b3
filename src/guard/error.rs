//! Why a guarded call has no value.

use std::time::Duration;

use mainstay_actors::dependency::Mode;
use mainstay_actors::gate::Shut;

use crate::client::Unavailable;

/// Why a guarded call has no value. `E` is the error of the call itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError<E> {
    /// The call was made, and failed.
    #[error("{0}")]
    Failed(E),
    /// The call was not made, or its answer was not waited for.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why a call was not made, or its answer not waited for. It says nothing about the call's own
/// error, so it is the same for all calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The breaker does not let it through.
    #[error("the breaker is {mode} and rejects calls")]
    Open {
        /// The breaker's state.
        mode: Mode,
        /// When it is worth asking again, if that is known.
        retry_after: Option<Duration>,
    },
    /// The rate limit is reached.
    #[error("the rate limit is reached")]
    RateLimited {
        /// When there is room again.
        retry_after: Duration,
    },
    /// As many calls as may be are under way or wait.
    #[error("the bulkhead is full")]
    Full {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// It took longer than the guard allows. It counts as a failure.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// What it was allowed.
        after: Duration,
    },
    /// A fault that was injected on purpose. It counts as a failure.
    #[error("experiment {experiment:?}: injected {fault}")]
    Injected {
        /// The experiment's name.
        experiment: String,
        /// Its fault, as it is told: `errors`, `hang`.
        fault: &'static str,
    },
    /// No dependency of this name is configured, or it was retired.
    #[error("no dependency {name:?}; configure it first")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A setting of the guard that cannot be.
    #[error("{0}")]
    Setting(LimitError),
    /// Nothing was decided: the mainstay has ended, or cannot be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A setting that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {rule}")]
pub struct LimitError {
    /// The setting.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl From<Shut> for Refused {
    #[inline]
    fn from(shut: Shut) -> Self {
        let retry_after = shut.retry_after_ms().map(Duration::from_millis);
        Self::Open { mode: shut.mode, retry_after }
    }
}

impl Refused {
    /// A name or a setting is wrong: no fallback hides it.
    pub(super) const fn is_a_mistake(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Setting(_))
    }

    /// When it is worth asking again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open { retry_after, .. } => *retry_after,
            Self::RateLimited { retry_after } | Self::Full { retry_after } => Some(*retry_after),
            Self::TimedOut { .. }
            | Self::Injected { .. }
            | Self::Unknown { .. }
            | Self::Setting(_)
            | Self::Unavailable(_) => None,
        }
    }
}

impl<E> GuardError<E> {
    /// When it is worth asking again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(_) => None,
            Self::Refused(refused) => refused.retry_after(),
        }
    }

    /// The call's own error, if it was made and failed.
    #[must_use]
    pub fn failed(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}
