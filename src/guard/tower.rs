//! A guard around a [`tower_service::Service`].
//!
//! ```text
//!   poll_ready ──► the inner service's own
//!   call ──► breaker, rate limit, timeout, bulkhead ──► the service that was ready
//!        └─► refused: the service that was ready is let go, and its reservation with it
//! ```
//!
//! A service that is asked is ready or not for itself: a breaker that rejects answers in `call`,
//! at once. Dropping the response's future counts as nothing. Clones share breaker and limits. A
//! guard's `retry` is not used here, as a request can be sent once: put tower's own retry outside.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{ByResult, Classify, Fallback, Guard, GuardError, NoFallback, Tried};

/// See the module.
#[derive(Debug, Clone)]
pub struct GuardLayer<C = ByResult, F = NoFallback> {
    guard: Guard<C, F>,
}

/// A service inside of a guard.
#[derive(Debug, Clone)]
pub struct Guarded<S, C = ByResult, F = NoFallback> {
    inner: S,
    guard: Guard<C, F>,
}

impl<C, F> Guard<C, F> {
    /// As a layer of tower.
    #[must_use]
    pub const fn into_layer(self) -> GuardLayer<C, F> {
        GuardLayer { guard: self }
    }
}

impl<S, C: Clone, F: Clone> Layer<S> for GuardLayer<C, F> {
    type Service = Guarded<S, C, F>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, guard: self.guard.clone() }
    }
}

impl<S, C, F, Request> Service<Request> for Guarded<S, C, F>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    Request: Send + 'static,
    C: Classify<S::Response, S::Error> + Clone + Send + Sync + 'static,
    F: Fallback<S::Response, S::Error> + Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = GuardError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(GuardError::Failed)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that was asked is the one that is ready; a clone need not be.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let guard = self.guard.clone();
        Box::pin(async move {
            let tried = match guard.admit().await {
                Ok(pass) => guard.inside(pass, move || ready.call(request)).await,
                Err(refused) => Tried::Refused(refused),
            };
            guard.answered(tried).await
        })
    }
}
