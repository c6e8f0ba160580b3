//! Who asks, and what of the tenants it may see.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use mainstay_actors::host::{Host, tags, tenant_of_lock};
use mainstay_actors::key::{KeyFacts, KeyHash, Role};
use mainstay_actors::lock::Lock;
use mainstay_actors::machine::Machine;
use mainstay_actors::session::Session;
use mainstay_actors::subject::Subject;

use crate::server::problem::Problem;

/// The tenant when nobody names one.
const DEFAULT_TENANT: &str = "default";

/// Who asks.
#[derive(Debug, Clone)]
pub(in crate::server) struct Identity {
    principal: Arc<str>,
    role: Role,
    scope: Scope,
    /// The keyed hash of the secret it came by.
    secret: Option<KeyHash>,
}

/// Marks a problem that is to be recorded.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct WrongTenant;

impl Identity {
    /// Without a key, from this machine.
    pub(super) fn local() -> Self {
        Self { principal: Arc::from("local"), role: Role::Admin, scope: Scope(None), secret: None }
    }

    /// By a key, and one of its secrets.
    pub(super) fn of_key(name: &str, key: &KeyFacts, secret: KeyHash) -> Self {
        let principal = Arc::from([PREFIX, name].concat());
        let scope = Scope(key.tenant.as_deref().map(Arc::from));
        Self { principal, role: key.role, scope, secret: Some(secret) }
    }

    /// Whether it would be let in again: answers that last ask before each part they send.
    pub(in crate::server) fn is_still_good(&self, host: &Host) -> bool {
        let (Some(name), Some(secret)) = (self.key_name(), self.secret) else { return true };
        let (Some(keys), Some(now)) = (host.keys(), host.now()) else { return false };
        let state = keys.get(name);
        state.as_ref().and_then(|state| state.key.as_ref()).is_some_and(|key| {
            key.refusal(now).is_none() && key.good_secrets(now).any(|it| it.hash == secret)
        })
    }

    /// As events name it.
    pub(in crate::server) fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    pub(super) fn tenant(&self) -> Option<&str> {
        self.scope.0.as_deref()
    }

    pub(in crate::server) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The key it came by.
    pub(super) fn key_name(&self) -> Option<&str> {
        self.principal.strip_prefix(PREFIX)
    }
}

/// What the principal of a key begins with.
const PREFIX: &str = "key:";

/// The tenant of the one who asks, or all of them.
///
/// | of a tenant's key | |
/// |---|---|
/// | sessions, subjects | its own |
/// | locks | whose names begin with the tenant and a colon: `acme:room-101` |
/// | events, states, streams | of these |
/// | dependencies, health | read only: they are everybody's |
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Scope(pub(super) Option<Arc<str>>);

impl Scope {
    /// Every tenant.
    #[cfg(test)]
    pub(in crate::server) const ALL: Self = Self(None);

    /// The tenant that is meant: what was asked for, the key's own, or `default`.
    pub(in crate::server) fn tenant(&self, asked: Option<&str>) -> Result<String, Problem> {
        match (&self.0, asked) {
            (None, asked) => Ok(asked.unwrap_or(DEFAULT_TENANT).to_owned()),
            (Some(own), None) => Ok(own.to_string()),
            (Some(own), Some(asked)) if **own == *asked => Ok(asked.to_owned()),
            (Some(own), Some(_)) => Err(wrong(format!("this key is of the tenant {own}"))),
        }
    }

    /// The one tenant whose events are seen, if not all are.
    pub(in crate::server) fn only(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What every event that is seen is tagged with.
    pub(in crate::server) fn tags(&self) -> Vec<(u8, String)> {
        self.0.iter().map(|own| (tags::TENANT, own.to_string())).collect()
    }

    /// Whether a lock is in reach.
    pub(in crate::server) fn reach_lock(&self, name: &str) -> Result<(), Problem> {
        match &self.0 {
            Some(own) if tenant_of_lock(name) != Some(own) => Err(wrong(format!(
                "this key is of the tenant {own}: it reaches locks whose names begin with {own}:"
            ))),
            _ => Ok(()),
        }
    }

    /// What the names of locks begin with that are asked for and in reach; `None` if none is.
    pub(in crate::server) fn lock_prefix(&self, asked: &str) -> Option<String> {
        let Some(own) = &self.0 else { return Some(asked.to_owned()) };
        let own = format!("{own}:");
        match (asked.starts_with(&own), own.starts_with(asked)) {
            (true, _) => Some(asked.to_owned()),
            (false, true) => Some(own),
            (false, false) => None,
        }
    }

    /// Whether everything is in reach: what is everybody's is commanded by keys of all tenants.
    pub(in crate::server) fn reach_all(&self) -> Result<(), Problem> {
        match &self.0 {
            Some(own) => Err(wrong(format!(
                "this is for keys of all tenants, and this key is of the tenant {own}"
            ))),
            None => Ok(()),
        }
    }

    /// Whether a stream is seen.
    pub(in crate::server) fn sees(&self, stream: &str) -> bool {
        let Some(own) = &self.0 else { return true };
        let tenant = match stream.split_once('/') {
            Some((Session::KIND | Subject::KIND, id)) => {
                id.split_once('/').map(|(tenant, _)| tenant)
            },
            Some((Lock::KIND, name)) => tenant_of_lock(name),
            _ => None,
        };
        tenant == Some(own)
    }
}

fn wrong(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "wrong-tenant", detail)
}

/// The identity of a request; a route that needs none has it only if it is known.
fn identity<T>(request: &HttpRequest, part: impl Fn(&Identity) -> T) -> Result<T, Problem> {
    let unwired = || Problem::internal("the route asks nobody who they are");
    request.extensions().get::<Identity>().map(part).ok_or_else(unwired)
}

impl FromRequest for Identity {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(identity(request, Self::clone))
    }
}

impl FromRequest for Scope {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(identity(request, |it| it.scope.clone()))
    }
}
