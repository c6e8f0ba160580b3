//! Who may do what: every route says which role it needs, and whether a tenant's key reaches it.
//!
//! ```text
//!   request ─► key? ─► known, good, not too often ─► its role reaches the route ─► handler
//!               │ none, from this machine: `local`, an admin       │ wrong tenant? 403
//!               ▼                                                  ▼
//!              401 ◄── the key's own stream records it, once a minute and reason
//! ```
//!
//! A key is a line of text: `mainstay_{name}_{secret}`, the secret 256 random bits in hexadecimal.
//! The journal holds an HMAC of it under the data directory's secret, and the text is shown once.

#[cfg(test)]
mod cost;
mod identity;
mod matrix;
mod rate;
mod secret_text;

pub(super) use identity::{Identity, Scope, WrongTenant};
pub(super) use matrix::{Door, Need, door};
pub(super) use rate::Rates;
pub(crate) use secret_text::{KEY_NAME, NewKey, check_key_name};

use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, ResponseError};
use hmac::Mac;
use mainstay_actors::host::{Host, Meta};
use mainstay_actors::key::{Key, KeyCommand, KeyHash, RefusedBecause, Role};
use mainstay_actors::machine::Machine;
use mainstay_journal::StreamId;

use self::rate::Share;
use self::secret_text::Presented;
use super::App;
use super::metrics::Reason;
use super::problem::Problem;
use crate::vault::{Vault, VaultError};

/// What lets requests in; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Whether everybody who reaches the server is an admin without a key.
    open: bool,
    vault: Arc<Vault>,
}

impl Access {
    /// `open` lets requests without a key in.
    pub(crate) const fn new(vault: Arc<Vault>, open: bool) -> Self {
        Self { open, vault }
    }

    /// The keyed hash of a key's secret, bound to its name.
    pub(crate) fn hash(&self, name: &str, secret: &str) -> Result<KeyHash, VaultError> {
        let hashed = self.vault.mac(&["mainstay access", name, secret])?.finalize();
        Ok(KeyHash(hashed.into_bytes().into()))
    }

    /// Who sends a request.
    fn identify(&self, host: &Host, request: &HttpRequest) -> Result<Identity, No> {
        let Some(text) = presented(request)? else {
            return if self.open { Ok(Identity::local()) } else { Err(No::Keyless) };
        };
        let presented = Presented::parse(text).ok_or(No::Unknown)?;
        let (Some(keys), Some(now)) = (host.keys(), host.now()) else {
            return Err(No::Problem(super::page::not_ready(host)));
        };
        let parts = ["mainstay access", presented.name, presented.secret];
        let mac = self.vault.mac(&parts).map_err(|error| No::Problem(error.into()))?;
        let state = keys.get(presented.name);
        let Some(key) = state.as_ref().and_then(|state| state.key.as_ref()) else {
            // As long as for a name that exists.
            let _ = mac.verify_slice(&[0; 32]);
            return Err(No::Unknown);
        };
        let name = || presented.name.to_owned();
        if let Some(because) = key.refusal(now) {
            return Err(No::Known(name(), because));
        }
        let is_it = |hash: &KeyHash| mac.clone().verify_slice(&hash.0).is_ok();
        let Some(secret) = key.good_secrets(now).find(|it| is_it(&it.hash)) else {
            return Err(No::Known(name(), RefusedBecause::Secret));
        };
        Ok(Identity::of_key(presented.name, key, secret.hash))
    }
}

/// Why nobody is let in.
enum No {
    /// There is no key.
    Keyless,
    /// There is a key, and nobody knows it.
    Unknown,
    /// The key is known, and not taken.
    Known(String, RefusedBecause),
    /// It cannot be told.
    Problem(Problem),
}

impl No {
    fn reason(&self) -> Reason {
        match self {
            Self::Keyless => Reason::Keyless,
            Self::Known(_, because) => Reason::of(*because),
            Self::Unknown | Self::Problem(_) => Reason::Unknown,
        }
    }
}

/// The key of a request: one header, once.
fn presented(request: &HttpRequest) -> Result<Option<&str>, No> {
    let mut keys = request.headers().get_all("x-api-key");
    let mut bearers = request.headers().get_all(AUTHORIZATION);
    let (key, bearer) = (keys.next(), bearers.next());
    if keys.next().is_some() || bearers.next().is_some() || (key.is_some() && bearer.is_some()) {
        return Err(No::Unknown);
    }
    if let Some(key) = key {
        return key.to_str().map(Some).map_err(|_| No::Unknown);
    }
    let Some(bearer) = bearer else { return Ok(None) };
    let (scheme, key) =
        bearer.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(No::Unknown)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(key.trim())) } else { Err(No::Unknown) }
}

/// Lets a request through to a route that needs something, or answers in its place.
pub(super) async fn let_in(
    need: Need,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let app = request.app_data::<Data<App>>().cloned();
    let host = request.app_data::<Data<Host>>().cloned();
    let (Some(app), Some(host)) = (app, host) else {
        return Ok(refuse(request, &Problem::internal("the server is not wired")));
    };
    let identity = app.access.identify(&host, request.request());
    let Need::Role { role, by_tenants } = need else {
        // Who is known may be shown more.
        if let Ok(identity) = identity {
            request.extensions_mut().insert(identity);
        }
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(No::Problem(problem)) => return Ok(refuse(request, &problem)),
        // Costs nothing, and tries nothing.
        Err(No::Keyless) => {
            app.refusals.count(Reason::Keyless);
            return Ok(refuse(request, &unauthorized()));
        },
        Err(no) => {
            // Beyond this nobody writes down who tries.
            if let Err(problem) = app.rates.of_failure(request.peer_addr().map(|it| it.ip())) {
                app.refusals.count(Reason::Rate);
                return Ok(refuse(request, &problem));
            }
            app.refusals.count(no.reason());
            if let No::Known(name, because) = no {
                note(&host, name, because, &request);
            }
            return Ok(refuse(request, &unauthorized()));
        },
    };
    let share = identity.key_name().and_then(|_| app.rates.of_key(identity.principal()));
    let mut response = match share.as_ref().map_or(Ok(()), Share::check) {
        Ok(()) => let_known_in((&host, &app), identity, (role, by_tenants), request, next).await?,
        Err(problem) => {
            app.refusals.count(Reason::Rate);
            refuse(request, &problem)
        },
    };
    if let Some(share) = share {
        share.write(response.headers_mut());
    }
    Ok(response)
}

/// Lets somebody through whom the server knows, as far as role and tenant reach.
async fn let_known_in<B: MessageBody + 'static>(
    (host, app): (&Host, &App),
    identity: Identity,
    (role, by_tenants): (Role, bool),
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if identity.role() < role {
        let problem = wrong_role(&identity, role);
        app.refusals.count(Reason::Role);
        note_of(host, &identity, RefusedBecause::Role, &request);
        return Ok(refuse(request, &problem));
    }
    if identity.tenant().is_some() && !by_tenants {
        app.refusals.count(Reason::Tenant);
        note_of(host, &identity, RefusedBecause::Tenant, &request);
        let detail = "this route is for keys of all tenants, and this key is of one";
        let problem = Problem::new(StatusCode::FORBIDDEN, "wrong-tenant", detail);
        return Ok(refuse(request, &problem));
    }
    request.extensions_mut().insert(identity.clone());
    let response = next.call(request).await?;
    if response.response().extensions().contains::<WrongTenant>()
        && let Some(name) = identity.key_name()
    {
        app.refusals.count(Reason::Tenant);
        let operation = operation(response.request());
        record(host, name.to_owned(), RefusedBecause::Tenant, operation);
    }
    Ok(response.map_into_left_body())
}

/// The answer in the handler's place.
fn refuse<B>(request: ServiceRequest, problem: &Problem) -> ServiceResponse<EitherBody<B>> {
    let mut response = problem.error_response();
    if problem.status() == StatusCode::UNAUTHORIZED.as_u16() {
        let scheme = HeaderValue::from_static("Bearer realm=\"mainstay\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    request.into_response(response).map_into_right_body()
}

/// One answer for every key that is not taken: who guesses learns nothing.
fn unauthorized() -> Problem {
    let detail = "send a key that is known and good, as X-API-Key or Authorization: Bearer; an \
                  admin makes one with `mainstay keys create`";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

fn wrong_role(identity: &Identity, needed: Role) -> Problem {
    let (needed, has) = (needed.name(), identity.role().name());
    let detail = format!("this needs the role {needed}, and the key is of a {has}");
    Problem::new(StatusCode::FORBIDDEN, "wrong-role", detail)
        .with("needs", needed)
        .with("role", has)
}

fn note_of(host: &Host, identity: &Identity, because: RefusedBecause, request: &ServiceRequest) {
    if let Some(name) = identity.key_name() {
        note(host, name.to_owned(), because, request);
    }
}

fn note(host: &Host, name: String, because: RefusedBecause, request: &ServiceRequest) {
    record(host, name, because, operation(request.request()));
}

/// The route, not the path: what somebody asked for may be a secret of another.
fn operation(request: &HttpRequest) -> String {
    let route = request.match_pattern().unwrap_or_default();
    format!("{} {route}", request.method())
}

/// Has a refusal recorded in the key's stream, unless one of its reason was a moment ago. Nobody
/// waits for it.
fn record(host: &Host, name: String, because: RefusedBecause, operation: String) {
    let (Some(keys), Some(now)) = (host.keys(), host.now()) else { return };
    let known = keys.get(&name);
    let last = known.as_ref().and_then(|state| state.refused_at.get(&because).copied());
    let recent = last.is_some_and(|at| now < at.plus_ms(mainstay_actors::key::REFUSALS_EVERY_MS));
    let Some(stream) = StreamId::new(Key::KIND, &name).filter(|_| !recent) else { return };
    tracing::warn!(key = name, ?because, operation, "access refused");
    let host = host.clone();
    actix_web::rt::spawn(async move {
        let meta = Meta::of(&Arc::from("system:access"));
        let refused = host.ask::<Key>(stream, KeyCommand::Refuse { because, operation }, meta);
        if let Err(failure) = refused.await {
            tracing::warn!(key = name, %failure, "the refusal is not in the journal");
        }
    });
}
