//! A guard around the handlers of an actix-web service: too much load is shed with a word on when to
//! come back.
//!
//! ```text
//!   request ──► breaker, rate limit, timeout, bulkhead ──► the handler
//!           └─► 429 (rate limit) or 503, `Retry-After`, `application/problem+json`
//! ```
//!
//! ```no_run
//! # async fn example(stay: mainstay::Mainstay) {
//! use actix_web::{App, web};
//! use mainstay::guard::{Bulkhead, ByStatus, Gradient};
//!
//! let guard = stay.dependency("checkout").guard().classified_by(ByStatus);
//! let guard = guard.bulkhead(Bulkhead::adaptive(Gradient::default()).queue(20));
//! let app = App::new().wrap(guard.into_inbound()).route("/", web::get().to(|| async { "hello" }));
//! # drop(app);
//! # }
//! ```

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{Error, HttpResponse, ResponseError};

use super::{Classify, Guard, NoFallback, Refused, Tried};
use crate::dependency::Outcome;

/// A middleware; see the module.
#[derive(Debug, Clone)]
pub struct Inbound<C> {
    guard: Guard<C, NoFallback>,
}

/// What [`Inbound`] makes of a service.
#[derive(Debug)]
pub struct InboundService<S, C> {
    inner: Rc<S>,
    guard: Rc<Guard<C, NoFallback>>,
}

/// An answer below 500 is a success; 500 and more, and an error, are failures.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByStatus;

impl<B> Classify<ServiceResponse<B>, Error> for ByStatus {
    fn classify(&self, result: &Result<ServiceResponse<B>, Error>) -> Outcome {
        let status = match result {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        if status.is_server_error() { Outcome::Failure } else { Outcome::Success }
    }
}

/// A request that was not served, as a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Shed(pub Refused);

/// Who is told nothing better comes back after this.
const COME_BACK: Duration = Duration::from_secs(1);

impl ResponseError for Shed {
    fn status_code(&self) -> StatusCode {
        match &self.0 {
            Refused::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refused::Unknown { .. } | Refused::Setting(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let retry_after = self.0.retry_after().unwrap_or(COME_BACK);
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if !status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE {
            // Whole seconds, and never too early.
            response.insert_header((RETRY_AFTER, retry_after_ms.div_ceil(1_000).max(1)));
        }
        let body = serde_json::json!({
            "title": self.to_string(),
            "status": status.as_u16(),
            "retry_after_ms": retry_after_ms,
        });
        response.body(body.to_string())
    }
}

impl<C> Guard<C, NoFallback> {
    /// As a middleware of actix-web. Its `retry` is not used: a request is served once.
    #[must_use]
    pub const fn into_inbound(self) -> Inbound<C> {
        Inbound { guard: self }
    }
}

impl<S, B, C> Transform<S, ServiceRequest> for Inbound<C>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: 'static,
    C: Classify<ServiceResponse<B>, Error> + Clone + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = InboundService<S, C>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        let guard = Rc::new(self.guard.clone());
        ready(Ok(InboundService { inner: Rc::new(inner), guard }))
    }
}

impl<S, B, C> Service<ServiceRequest> for InboundService<S, C>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: 'static,
    C: Classify<ServiceResponse<B>, Error> + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (inner, guard) = (self.inner.clone(), self.guard.clone());
        Box::pin(async move {
            let pass = guard.admit().await.map_err(Shed)?;
            match guard.inside(pass, || inner.call(request)).await {
                Tried::Done(result, _) => result,
                Tried::Refused(refused) => Err(Shed(refused).into()),
            }
        })
    }
}
