//! The HTTP server, in the host's own actix System.
//!
//! ```text
//!   request ─► front: limits, Host, Origin ─► route ─► who, which role ─► Host::ask ─► durable ─► answer
//!                                                         └─ any error ─► problem+json
//! ```

mod access;
mod attestations;
mod backups;
mod batch;
mod body;
mod chaos;
mod dependencies;
mod docs;
mod drills;
mod events;
mod front;
mod keys;
mod launch;
mod live;
mod locks;
mod metrics;
mod openapi;
mod page;
mod plain;
mod problem;
mod proofs;
mod readiness;
mod request;
mod routes;
mod sessions;
mod subjects;
mod tls;
mod travel;
mod whole;

pub use launch::Named;
pub use problem::Problem;
pub use tls::{TlsError, check as check_tls};

/// How items stand that people vouch for, for the command line.
#[cfg(feature = "cli")]
pub(crate) use attestations::vouched;

/// A drill to be recorded, for the command line.
#[cfg(feature = "cli")]
pub(crate) use drills::NewDrill;

/// What makes keys, for the command line.
#[cfg(feature = "cli")]
pub(crate) mod keyroom {
    pub(crate) use super::access::{Access, KEY_NAME, NewKey, check_key_name};
    pub(crate) use super::keys::view;
}

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::error::JsonPayloadError;
use actix_web::http::StatusCode;
use actix_web::web::{Data, JsonConfig, PathConfig, QueryConfig, ServiceConfig, resource};
use actix_web::{HttpServer, Resource, ResponseError};
use mainstay_actors::host::Host;
use mainstay_actors::key::KeyFacts;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::access::{Access, Door, Rates};
use self::front::Front;
use self::launch::Gate;
use self::metrics::{DrillClock, Refusals};
use self::plain::without_value;
use self::proofs::Proofs;
use self::request::Caller;
use self::tls::Tls;
use self::travel::Folds;
use crate::backup::Backups;
use crate::config::{Config, KeysNeeded};
use crate::guard::Guards;
use crate::proofs::Notary;
use crate::vault::Vault;

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Largest document that an import takes, in bytes.
pub const MAX_IMPORT_BYTES: usize = 32 * 1024 * 1024;
/// Threads that speak HTTP; the entities have one of their own.
const WORKERS: usize = 2;
/// Threads of each worker that read the journal.
const BLOCKING_THREADS: usize = 8;
/// Requests under way get this long at shutdown, in seconds.
const SHUTDOWN_SECONDS: u64 = 5;

/// What the handlers share beside the host.
#[derive(Clone)]
pub(crate) struct App {
    access: Access,
    rates: Arc<Rates>,
    vault: Arc<Vault>,
    live: Arc<live::Live>,
    folds: Folds,
    refusals: Refusals,
    proofs: Proofs,
    gate: Gate,
    guards: Guards,
    backups: Arc<Backups>,
    drills: DrillClock,
}

/// What a server needs beside the host.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Seals values.
    pub vault: Arc<Vault>,
    /// Signs checkpoints.
    pub notary: Arc<Notary>,
    /// Stand around the calls of this process.
    pub(crate) guards: Guards,
    /// Ships the journal.
    pub backups: Arc<Backups>,
}

impl Beside {
    /// Of a process that guards no calls.
    #[must_use]
    pub fn new(vault: Arc<Vault>, notary: Arc<Notary>, backups: Arc<Backups>) -> Self {
        Self { vault, notary, guards: Guards::default(), backups }
    }
}

impl App {
    fn of(config: &Config, beside: &Beside, live: &Arc<live::Live>, named: Named) -> Self {
        let Beside { vault, notary, guards, backups } = beside;
        // Who comes from elsewhere is nobody without a key, and TLS is for who does.
        let open = config.access.keys == KeysNeeded::Optional
            && config.server.tls.is_none()
            && !config.server.is_public();
        Self {
            access: Access::new(vault.clone(), open),
            rates: Arc::new(Rates::new(&config.access)),
            vault: vault.clone(),
            live: live.clone(),
            folds: Folds::default(),
            refusals: Refusals::new(),
            proofs: Proofs::new(notary.clone()),
            gate: Gate::new(config, named),
            guards: guards.clone(),
            backups: backups.clone(),
            drills: DrillClock::new(config.drill.every),
        }
    }

    /// A new session's id: a uuid v7; under an `Idempotency-Key` a uuid v8 from a keyed hash, so
    /// that a retry finds the same session and nobody can guess it.
    fn session_id(&self, tenant: &str, caller: &Caller) -> Result<Uuid, Problem> {
        let Some(key) = caller.key() else { return Ok(Uuid::now_v7()) };
        Ok(Uuid::new_v8(self.vault.hash(&[tenant, key])?))
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    handles: Vec<ServerHandle>,
    address: SocketAddr,
    tls: Option<Tls>,
    redirect: Option<SocketAddr>,
    live: Arc<live::Live>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without TLS only loopback is safe.
    #[error(
        "listen on {0}: an address that is not loopback is served over TLS only: name a certificate in \
         [server.tls], or use 127.0.0.1"
    )]
    Public(SocketAddr),
    /// Without a key nobody could be let in.
    #[error(
        "listen on {0}: an address that is not loopback needs a key, and the journal has no good one: \
         make it with `mainstay keys create ops --role admin --out FILE --data DIR`, or use 127.0.0.1"
    )]
    Keyless(SocketAddr),
    /// The certificate cannot be used.
    #[error("server.tls: {0}")]
    Tls(#[from] TlsError),
    /// The address cannot be bound.
    #[error("listen on {address}: {error}; choose another with --listen")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The host has ended.
    #[error("start the server: {0}")]
    Host(String),
}

impl Server {
    /// Binds and serves `host` inside its System; answers from the first moment on, "not ready"
    /// while it recovers. Over TLS, and on an address that is not
    /// loopback, it asks for keys.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn start(
        host: &Host,
        beside: &Beside,
        config: &Config,
        named: Named,
    ) -> Result<Self, ServeError> {
        let (server, listen) = (&config.server, config.server.listen);
        if server.is_public() && server.tls.is_none() {
            return Err(ServeError::Public(listen));
        }
        let tls = server.tls.as_ref().map(Tls::start).transpose()?;
        let bind = |address| move |error| ServeError::Bind { address, error };
        let listener = front::listener(listen).map_err(bind(listen))?;
        let address = listener.local_addr().map_err(bind(listen))?;
        let redirect = server.redirect.map(|it| front::listener(it).map_err(bind(it)));
        let redirect = redirect.transpose()?;
        let redirect_address = redirect.as_ref().and_then(|it| it.local_addr().ok());
        let connections = front::raise_file_limit(config.limits.connections.size());
        let each = connections.div_ceil(WORKERS);
        let live = live::Live::new();
        let app = App::of(config, beside, &live, named);
        let (inside, front) = (host.clone(), Front::new(server));
        let (secure, names) = (tls.as_ref().map(Tls::config), server.names.clone());
        let run = move || -> std::io::Result<Vec<ServerHandle>> {
            let server = HttpServer::new(move || {
                front.clone().app().configure(|config| configure(config, &inside, &app))
            });
            let server = server
                .workers(WORKERS)
                .worker_max_blocking_threads(BLOCKING_THREADS)
                .max_connections(each)
                // Handshakes are bounded by the connections that they are part of.
                .max_connection_rate(each)
                .client_request_timeout(front::HEAD_WITHIN)
                .tls_handshake_timeout(front::HEAD_WITHIN)
                .keep_alive(front::KEEP_ALIVE)
                .shutdown_timeout(SHUTDOWN_SECONDS)
                .disable_signals()
                .on_connect(move |connection, extensions| {
                    front::accepted(connection, extensions, each);
                });
            let server = match secure {
                Some(tls) => server.listen_rustls_0_23(listener, tls)?,
                None => server.listen(listener)?,
            };
            let mut servers = vec![server.run()];
            if let Some(redirect) = redirect {
                servers.push(front::redirecting(redirect, &names, address.port())?);
            }
            let handles = servers.iter().map(actix_web::dev::Server::handle).collect();
            for server in servers {
                actix::spawn(server);
            }
            Ok(handles)
        };
        let (started, starting) = oneshot::channel();
        host.run_inside(move || drop(started.send(run()))).map_err(ServeError::Host)?;
        match starting.await {
            Ok(Ok(handles)) => Ok(Self { handles, address, tls, redirect: redirect_address, live }),
            Ok(Err(error)) => Err(bind(listen)(error)),
            Err(_) => Err(ServeError::Host("the host has ended".to_owned())),
        }
    }

    /// Whether somebody can be let in. Ask when the host is ready: until then nobody knows.
    ///
    /// # Errors
    /// The address is not loopback and no key is good.
    pub fn check_keys(&self, host: &Host) -> Result<(), ServeError> {
        let any = || {
            let (keys, now) = (host.keys()?.all(), host.now()?);
            let good =
                |key: &KeyFacts| key.refusal(now).is_none() && key.good_secrets(now).count() > 0;
            Some(keys.iter().filter_map(|(_, state)| state.key.as_ref()).any(good))
        };
        if self.address.ip().is_loopback() || any().unwrap_or_default() {
            return Ok(());
        }
        Err(ServeError::Keyless(self.address))
    }

    /// Where it listens: the port that was chosen, if the configured one was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it leads plain HTTP to https.
    #[must_use]
    pub fn redirect(&self) -> Option<SocketAddr> {
        self.redirect
    }

    /// `https://192.0.2.1:7070`
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.has_tls() { "https" } else { "http" }, self.address)
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Looks at the certificate's files at once, and not only when they have changed.
    pub fn reload(&self) {
        if let Some(tls) = &self.tls {
            tls.reload();
        }
    }

    /// Takes no more connections and waits for the requests under way.
    pub async fn stop(self) {
        // A stream of events is a request that never ends by itself.
        self.live.end();
        for handle in self.handles {
            handle.stop(true).await;
        }
    }
}

fn configure(config: &mut ServiceConfig, host: &Host, app: &App) {
    config
        .app_data(Data::new(host.clone()))
        .app_data(Data::new(app.clone()))
        .app_data(bodies(MAX_BODY_BYTES))
        .app_data(
            QueryConfig::default()
                .error_handler(|e, _| Problem::bad(without_value(&e.to_string())).into()),
        )
        .app_data(
            PathConfig::default()
                .error_handler(|e, _| Problem::bad(without_value(&e.to_string())).into()),
        );
    for (path, doors) in routes::all() {
        let routes = doors.into_iter().map(|Door { route, .. }| route);
        let mut resource = routes.fold(resource(path), Resource::route);
        if path == routes::IMPORT {
            resource = resource.app_data(bodies(MAX_IMPORT_BYTES));
        }
        config.service(resource);
    }
}

/// JSON bodies of at most so many bytes.
fn bodies(limit: usize) -> JsonConfig {
    JsonConfig::default().limit(limit).error_handler(|error, _request| {
        // The framework calls another content type a bad request.
        let status = match &error {
            JsonPayloadError::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            other => other.status_code(),
        };
        let problem = if status == StatusCode::BAD_REQUEST {
            Problem::bad(without_value(&error.to_string()))
        } else {
            Problem::of_status(status)
        };
        problem.into()
    })
}
