//! What stands around a call to a dependency.
//!
//! ```text
//!   cache( fallback( retry( breaker( rate limit( timeout( bulkhead( the call )))))))
//! ```
//!
//! ```no_run
//! # async fn example(stay: mainstay::Mainstay) -> Result<(), Box<dyn std::error::Error>> {
//! # async fn ask() -> Result<String, std::io::Error> { Ok(String::new()) }
//! use std::time::Duration;
//!
//! let llm = stay.dependency("openai");
//! let guard = llm.guard().timeout(Duration::from_secs(10)).fallback(|_| "as last time".to_owned());
//! let answer = guard.call(ask).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Every layer is optional; a guard is made once and used by many, from any thread and executor.
//! The breaker is the dependency's own, in the journal and shared by every guard of it. A
//! bulkhead, a rate limit, a retry budget and a cache (feature `cache`) belong to who makes them:
//! clones share them.
//!
//! | what happens | it counts for the breaker as | retried | the fallback answers |
//! |---|---|---|---|
//! | `Err`, classified as failure | failure | yes | yes |
//! | `Ok`, classified as failure | failure | yes | no: the value is returned |
//! | success | success | no | no |
//! | ignored | nothing | no | no: the result is returned |
//! | timeout, while it is made | failure | yes | yes |
//! | timeout, in the bulkhead's line | nothing | no | yes |
//! | an injected fault | as what it stands for; counted apart in the journal | yes | yes |
//! | panic, also of the classifier | failure; it goes on | no | no |
//! | the future is dropped | nothing | no | no |
//! | the breaker, the rate limit or the bulkhead refuses | nothing | not before its `retry_after` | yes |
//! | the fallback panics | – ; it goes on | no | no |

mod block;
mod blocking;
mod bulkhead;
#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "cache")]
mod cached;
mod call;
mod classify;
mod error;
mod fallback;
mod gradient;
#[cfg(feature = "actix-web")]
mod inbound;
mod inside;
mod known;
mod limit;
pub(crate) mod pass;
mod rate_limit;
mod retry;
mod strike;
mod timer;
#[cfg(feature = "tower")]
mod tower;

pub use bulkhead::{Bulkhead, Counts, Full, Slot};
#[cfg(feature = "cache")]
pub use cache::{Cache, CacheCounts, NoTier, Tier};
#[cfg(feature = "cache")]
pub use cached::Cached;
pub use classify::{ByFunction, ByResult, Classify};
pub use error::{GuardError, LimitError, Refused};
pub use fallback::{Fallback, FallbackNow, Later, NoFallback, Value};
pub use gradient::Gradient;
#[cfg(feature = "actix-web")]
pub use inbound::{ByStatus, Inbound, InboundService, Shed};
pub use known::Figures;
pub use rate_limit::{RateLimit, RetryAfter};
pub use retry::{Again, Retry, RetryBudget};
pub use timer::{Elapsed, Timer};
#[cfg(feature = "tower")]
pub use tower::{GuardLayer, Guarded};

pub(crate) use known::{Guards, Tally};

use std::time::Duration;

use crate::dependency::{Dependency, Outcome};

/// See the module.
#[derive(Debug, Clone)]
#[repr(C, align(32))]
pub struct Guard<C = ByResult, F = NoFallback> {
    // What a bare call reads lies in the first 32 bytes, on one cache line.
    /// No layer stands around the call, and no setting is wrong.
    bare: bool,
    dependency: Dependency,
    timer: Timer,
    // A service with thousands of guards walks over them: what a bare call does not read is apart.
    layers: Box<Layers>,
    classify: C,
    fallback: F,
}

/// What is optional.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    pub(crate) retry: Option<Retry>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) bulkhead: Option<Bulkhead>,
    /// The first setting that cannot be.
    pub(crate) invalid: Option<LimitError>,
}

impl Layers {
    /// Nothing but the breaker stands around the call.
    pub(crate) const fn is_empty(&self) -> bool {
        let Self { retry, rate_limit, timeout, bulkhead, invalid: _ } = self;
        retry.is_none() && rate_limit.is_none() && timeout.is_none() && bulkhead.is_none()
    }
}

/// What came of one try.
enum Tried<T, E> {
    /// The call was made.
    Done(Result<T, E>, Outcome),
    /// It was not, or its answer was not waited for.
    Refused(Refused),
}

impl<T, E> Tried<T, E> {
    /// The result for who called.
    ///
    /// # Errors
    /// What a fallback may answer for.
    fn into_result(self) -> Result<Result<T, GuardError<E>>, GuardError<E>> {
        match self {
            Self::Done(Err(error), Outcome::Failure) => Err(GuardError::Failed(error)),
            Self::Done(result, _) => Ok(result.map_err(GuardError::Failed)),
            Self::Refused(refused) if refused.is_a_mistake() => Ok(Err(refused.into())),
            Self::Refused(refused) => Err(refused.into()),
        }
    }
}

/// Longest timeout of a guard.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_hours(24);

impl Guard {
    pub(crate) fn new(dependency: Dependency) -> Self {
        let timer = Timer::new(dependency.client.host.runtime());
        let layers = dependency.client.guards.layers(dependency.name());
        dependency.tally.guard();
        if let Some(bulkhead) = &layers.bulkhead {
            dependency.tally.watch(bulkhead);
        }
        let (classify, fallback) = (ByResult, NoFallback);
        let bare = layers.is_empty();
        Self { bare, dependency, timer, layers: Box::new(layers), classify, fallback }
    }
}

impl<C, F> Guard<C, F> {
    /// The call may take so long, waiting for the bulkhead included: 1 ms to 24 h. A call that
    /// blocks cannot be cut off: see [`call_blocking`](Self::call_blocking).
    #[must_use]
    pub fn timeout(mut self, after: Duration) -> Self {
        if !(Duration::from_millis(1)..=MAX_TIMEOUT).contains(&after) {
            self.note(Err(LimitError { field: "timeout", rule: "1 ms to 24 h" }));
        }
        self.layers.timeout = Some(after);
        self.bare = false;
        self
    }

    /// So many calls at a time; a few wait in line. Keep it, or the guard: each bulkhead that is
    /// made has places of its own.
    #[must_use]
    pub fn bulkhead(mut self, bulkhead: Bulkhead) -> Self {
        self.note(bulkhead.check());
        self.dependency.tally.watch(&bulkhead);
        self.layers.bulkhead = Some(bulkhead);
        self.bare = false;
        self
    }

    /// So many calls in a span of time. Keep it, or the guard: each one that is made counts for
    /// itself.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.layers.rate_limit = Some(limit);
        self.bare = false;
        self
    }

    /// Calls that fail are made again, as far as the budget reaches. Keep it, or the guard: each one
    /// that is made has a budget of its own.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.note(retry.check());
        self.layers.retry = Some(retry);
        self.bare = false;
        self
    }

    /// What counts as a failure; without it every `Err` does.
    #[must_use]
    pub fn classify<T, E, G>(self, classify: G) -> Guard<ByFunction<G>, F>
    where
        G: Fn(&Result<T, E>) -> Outcome,
    {
        self.classified_by(ByFunction(classify))
    }

    /// As [`classify`](Self::classify), by a type that says it.
    #[must_use]
    pub fn classified_by<G>(self, classify: G) -> Guard<G, F> {
        let Self { bare, dependency, timer, layers, classify: _, fallback } = self;
        Guard { bare, dependency, timer, layers, classify, fallback }
    }

    /// What answers when the call does not.
    #[must_use]
    pub fn fallback<T, E, G>(self, fallback: G) -> Guard<C, Value<G>>
    where
        G: Fn(GuardError<E>) -> T,
    {
        self.with_fallback(Value(fallback))
    }

    /// As [`fallback`](Self::fallback), for an answer that is waited for.
    #[must_use]
    pub fn fallback_later<E, G, Fut>(self, fallback: G) -> Guard<C, Later<G>>
    where
        G: Fn(GuardError<E>) -> Fut,
        Fut: Future,
    {
        self.with_fallback(Later(fallback))
    }

    fn with_fallback<G>(self, fallback: G) -> Guard<C, G> {
        let Self { bare, dependency, timer, layers, classify, fallback: _ } = self;
        Guard { bare, dependency, timer, layers, classify, fallback }
    }

    /// The result of what was tried, or the fallback's.
    async fn answered<T, E>(&self, tried: Tried<T, E>) -> Result<T, GuardError<E>>
    where
        F: Fallback<T, E>,
    {
        match tried.into_result() {
            Ok(result) => result,
            Err(error) => self.fall_back(error).await,
        }
    }

    fn answered_now<T, E>(&self, tried: Tried<T, E>) -> Result<T, GuardError<E>>
    where
        F: FallbackNow<T, E>,
    {
        tried.into_result().unwrap_or_else(|error| self.fall_back_now(error))
    }

    async fn fall_back<T, E>(&self, error: GuardError<E>) -> Result<T, GuardError<E>>
    where
        F: Fallback<T, E>,
    {
        let answer = self.fallback.answer(error).await;
        answer.inspect(|_| self.dependency.tally.fell_back())
    }

    #[inline]
    fn fall_back_now<T, E>(&self, error: GuardError<E>) -> Result<T, GuardError<E>>
    where
        F: FallbackNow<T, E>,
    {
        self.fallback.answer_now(error).inspect(|_| self.dependency.tally.fell_back())
    }

    /// Whether every setting can be. A guard with one that cannot refuses every call with the same
    /// error.
    ///
    /// # Errors
    /// The first setting that cannot be, with its rule.
    pub fn check(&self) -> Result<(), Refused> {
        self.layers.invalid.map_or(Ok(()), |error| Err(Refused::Setting(error)))
    }

    /// Nothing but the breaker stands around the call.
    #[inline]
    const fn is_bare(&self) -> bool {
        self.bare
    }

    fn note(&mut self, checked: Result<(), LimitError>) {
        if let Err(error) = checked {
            self.layers.invalid.get_or_insert(error);
        }
    }

    /// Whose guard it is.
    #[must_use]
    pub const fn dependency(&self) -> &Dependency {
        &self.dependency
    }
}
