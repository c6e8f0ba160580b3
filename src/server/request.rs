//! What every handler needs of a request: who asks, under which key, tied to what.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use mainstay_actors::host::Meta;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::problem::Problem;

/// Longest `Idempotency-Key`, `X-Request-Id` or path id, in bytes.
const MAX_HEADER_BYTES: usize = 200;

/// The caller and its headers.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Arc<str>,
    key: Option<String>,
    correlation: Option<Arc<str>>,
    target: String,
}

impl Caller {
    /// The command's meta data; `body` is hashed, so that a retry is told from another request
    /// under the same key.
    pub(crate) fn meta(&self, body: &impl Serialize) -> Meta {
        let request = self.key.as_ref().map(|key| {
            let body = serde_json::to_vec(body).unwrap_or_default();
            let fingerprint = xxh3_64(&[self.target.as_bytes(), b"\n", &body].concat());
            (Arc::from(format!("{}:{key}", self.principal)), fingerprint)
        });
        let (principal, correlation) = (self.principal.clone(), self.correlation.clone());
        Meta { principal, request, correlation, causation: None }
    }

    /// The `Idempotency-Key`, if one was sent.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(read(request))
    }
}

fn read(request: &HttpRequest) -> Result<Caller, Problem> {
    let key = header(request, "idempotency-key")?;
    let trace = header(request, "traceparent")?;
    // version-traceid-parentid-flags; source: W3C Trace Context.
    let trace = trace.and_then(|it| it.split('-').nth(1).map(str::to_owned));
    let correlation = match trace {
        Some(trace) => Some(trace),
        None => header(request, "x-request-id")?,
    };
    Ok(Caller {
        principal: Arc::from("local"),
        key,
        correlation: correlation.map(Arc::from),
        target: format!("{} {}", request.method(), request.path()),
    })
}

fn header(request: &HttpRequest, name: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let visible = |text: &&str| {
        (1..=MAX_HEADER_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let value = value.to_str().ok().filter(visible).ok_or_else(|| {
        Problem::bad(format!("{name} must be 1 to {MAX_HEADER_BYTES} visible ASCII characters"))
    })?;
    Ok(Some(value.to_owned()))
}
