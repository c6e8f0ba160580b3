//! How the endpoint of one dependency is asked.

use std::time::Duration;

use super::budget::Budget;
use super::credential::Credential;
use super::redis::Redis;
use super::{ProbeError, http, tcp, tls};
use crate::config::{DependencyConfig, ProbeTarget};

pub(super) enum Prober {
    Tcp {
        address: String,
        timeout: Duration,
    },
    Http {
        url: String,
        agent: ureq::Agent,
    },
    Redis(Redis),
    #[cfg(feature = "postgres")]
    Postgres {
        postgres: Box<super::postgres::Postgres>,
        timeout: Duration,
    },
}

impl Prober {
    pub(super) fn new(
        dependency: &DependencyConfig,
        target: &ProbeTarget,
    ) -> Result<Self, ProbeError> {
        let timeout = dependency.timeout.as_duration();
        let ca = dependency.probe_ca.as_deref();
        let bad_ca = |reason| ProbeError::Ca {
            name: dependency.name.clone(),
            path: ca.map(|it| it.display().to_string()).unwrap_or_default(),
            reason,
        };
        let credential = Credential {
            user: dependency.probe_user.clone(),
            secret_file: dependency.probe_secret_file.clone(),
        };
        // A file that cannot be used is told at the start, before a breaker opens for it.
        credential
            .password()
            .map_err(|reason| ProbeError::Secret { name: dependency.name.clone(), reason })?;
        Ok(match target {
            ProbeTarget::Tcp(address) => Self::Tcp { address: address.clone(), timeout },
            ProbeTarget::Http(url) => {
                Self::Http { url: url.clone(), agent: http::agent(ca, timeout).map_err(bad_ca)? }
            },
            ProbeTarget::Redis(target) => {
                let tls = target.tls.then(|| tls::client(ca)).transpose().map_err(bad_ca)?;
                let (target, tls) = (target.clone(), tls.map(Into::into));
                Self::Redis(Redis { target, tls, credential, timeout })
            },
            #[cfg(feature = "postgres")]
            ProbeTarget::Postgres(target) => {
                let query = dependency.probe_query.as_deref().unwrap_or("SELECT 1");
                let tls = tls::client(ca).map_err(bad_ca)?;
                let postgres = super::postgres::Postgres::new(target, query, tls, credential)?;
                Self::Postgres { postgres: Box::new(postgres), timeout }
            },
            #[cfg(not(feature = "postgres"))]
            ProbeTarget::Postgres(_) => {
                return Err(ProbeError::NotBuilt { name: dependency.name.clone() });
            },
        })
    }

    /// Why it failed, if it did, and how long it took.
    pub(super) fn probe(&self) -> (Result<(), String>, Duration) {
        let timeout = match self {
            Self::Tcp { timeout, .. } => *timeout,
            // The agent has a time of its own.
            Self::Http { .. } => Duration::MAX,
            Self::Redis(redis) => redis.timeout,
            #[cfg(feature = "postgres")]
            Self::Postgres { timeout, .. } => *timeout,
        };
        let budget = Budget::start(timeout);
        let answer = match self {
            Self::Tcp { address, .. } => tcp::connect(address.as_str(), &budget).map(drop),
            Self::Http { url, agent } => http::ask(agent, url),
            Self::Redis(redis) => redis.ask(budget),
            #[cfg(feature = "postgres")]
            Self::Postgres { postgres, .. } => postgres.ask(budget),
        };
        (answer, budget.spent())
    }
}
