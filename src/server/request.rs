//! What every handler needs of a request: who asks, under which key, tied to what.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use mainstay_actors::host::Meta;
use mainstay_journal::Cursor;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::{Identity, Scope};
use super::problem::Problem;
use crate::vault::Vault;

/// Longest `Idempotency-Key`, `X-Request-Id` or path id, in bytes.
const MAX_HEADER_BYTES: usize = 200;

/// An answer and the durable place it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Placed<T> {
    /// The answer itself.
    #[serde(flatten)]
    body: T,
    /// Of the history.
    epoch: u32,
    /// Of the newest event of the entity that the answer rests on.
    position: u64,
}

impl<T> Placed<T> {
    pub(crate) const fn new(body: T, at: Cursor) -> Self {
        Self { body, epoch: at.epoch, position: at.position }
    }

    /// Another answer at the same place.
    pub(crate) fn map<U>(self, into: impl FnOnce(T) -> U) -> Placed<U> {
        let Self { body, epoch, position } = self;
        Placed { body: into(body), epoch, position }
    }
}

/// What every command takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the schema of the headers that `Caller` reads")]
pub(crate) struct CommandHeaders {
    /// A retry under the same key gets the first answer; another request under it is 422.
    #[param(nullable = false, rename = "Idempotency-Key", pattern = "^[!-~]{1,200}$")]
    key: Option<String>,
    /// W3C trace context; its trace id is written into every event of the request.
    #[param(nullable = false, rename = "traceparent", pattern = "^[!-~]{1,200}$")]
    trace: Option<String>,
    /// Written into every event of the request, unless there is a `traceparent`.
    #[param(nullable = false, rename = "X-Request-Id", pattern = "^[!-~]{1,200}$")]
    id: Option<String>,
}

/// `?tenant=`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Of {
    /// Whose it is; the key's own tenant, or `default`, if absent.
    #[param(nullable = false, pattern = "^[A-Za-z0-9._-]{1,200}$")]
    pub(super) tenant: Option<String>,
}

/// The caller and its headers.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    who: Identity,
    key: Option<String>,
    correlation: Option<Arc<str>>,
    target: String,
    vault: Arc<Vault>,
}

impl Caller {
    /// The command's meta data; `body` is hashed, so that a retry is told from another request
    /// under the same key.
    pub(crate) fn meta(&self, body: &impl Serialize) -> Meta {
        let request = self.key.as_ref().map(|key| {
            (Arc::from(format!("{}:{key}", self.who.principal())), self.fingerprint(body))
        });
        let (principal, correlation) = (self.who.principal().clone(), self.correlation.clone());
        Meta { principal, request, correlation, causation: None, fresh: false }
    }

    /// Keyed, for it lies in the journal: nobody can guess a value by it. Before the vault is open
    /// the host takes no command either.
    fn fingerprint(&self, body: &impl Serialize) -> u64 {
        let body = serde_json::to_string(body).unwrap_or_default();
        let hash = self.vault.hash(&["mainstay request", &self.target, &body]).unwrap_or_default();
        hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    /// The same caller with a part of its request: as if that part had been sent alone, to `target`
    /// and under `key`.
    pub(crate) fn part(&self, key: Option<&str>, target: String) -> Result<Self, Problem> {
        let key = key.map(|key| visible("key", key)).transpose()?;
        Ok(Self { key, target, ..self.clone() })
    }

    /// What of the tenants it may see.
    pub(super) fn scope(&self) -> &Scope {
        self.who.scope()
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
        let who = Identity::extract(request).into_inner();
        ready(who.and_then(|who| read(request, who)))
    }
}

fn read(request: &HttpRequest, who: Identity) -> Result<Caller, Problem> {
    let key = header(request, "idempotency-key")?;
    let trace = header(request, "traceparent")?;
    // version-traceid-parentid-flags; source: W3C Trace Context.
    let trace = trace.and_then(|it| it.split('-').nth(1).map(str::to_owned));
    let correlation = match trace {
        Some(trace) => Some(trace),
        None => header(request, "x-request-id")?,
    };
    let app = request.app_data::<Data<App>>();
    let app = app.ok_or_else(|| Problem::internal("the server is not set up"))?;
    Ok(Caller {
        vault: app.vault.clone(),
        who,
        key,
        correlation: correlation.map(Arc::from),
        target: format!("{} {}", request.method(), request.path()),
    })
}

fn header(request: &HttpRequest, name: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    // What is no text is no visible ASCII either.
    visible(name, value.to_str().unwrap_or_default()).map(Some)
}

fn visible(name: &str, text: &str) -> Result<String, Problem> {
    let sized = (1..=MAX_HEADER_BYTES).contains(&text.len());
    if sized && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let rule = format!("{name} must be 1 to {MAX_HEADER_BYTES} visible ASCII characters");
    Err(Problem::bad(rule))
}
