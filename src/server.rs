//! The HTTP server, in the host's own actix System.
//!
//! ```text
//!   request ─► Host and Origin ─► route ─► who, which role ─► Host::ask ─► durable ─► answer
//!                                             └─ any error ─► problem+json
//! ```

mod access;
mod batch;
mod body;
mod dependencies;
mod docs;
mod events;
mod keys;
mod live;
mod locks;
mod openapi;
mod page;
mod problem;
mod readiness;
mod request;
mod routes;
mod sessions;
mod subjects;
mod travel;
mod whole;

pub use problem::Problem;

/// What makes keys, for the command line.
#[cfg(feature = "cli")]
pub(crate) mod keyroom {
    pub(crate) use super::access::{Access, KEY_NAME, NewKey, check_key_name};
    pub(crate) use super::keys::view;
}

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::error::JsonPayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::{Data, JsonConfig, PathConfig, QueryConfig, ServiceConfig, resource};
use actix_web::{App as WebApp, HttpServer, Resource, ResponseError};
use mainstay_actors::host::Host;
use socket2::SockRef;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::access::{Access, Door};
use self::request::Caller;
use self::travel::Folds;
use crate::config::{AccessConfig, KeysNeeded, ServerConfig};
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
    vault: Arc<Vault>,
    live: Arc<live::Live>,
    folds: Folds,
}

impl App {
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
    handle: ServerHandle,
    address: SocketAddr,
    live: Arc<live::Live>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without keys and TLS only loopback is safe.
    #[error(
        "listen on {0}: only loopback addresses are served, for there are no keys and no TLS yet; \
         use 127.0.0.1 and a proxy in front of it"
    )]
    Public(SocketAddr),
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
    /// Binds and serves `host` inside its System, with values sealed by `vault`; answers from the first moment on, "not ready"
    /// while it recovers.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn start(
        host: &Host,
        vault: &Arc<Vault>,
        config: &ServerConfig,
        access: AccessConfig,
    ) -> Result<Self, ServeError> {
        let listen = config.listen;
        if !listen.ip().is_loopback() {
            return Err(ServeError::Public(listen));
        }
        let bind = |error| ServeError::Bind { address: listen, error };
        let listener = TcpListener::bind(listen).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let (started, starting) = oneshot::channel();
        let inside = host.clone();
        let live = live::Live::new();
        let vault = vault.clone();
        let access = Access::new(vault.clone(), access.keys == KeysNeeded::Optional);
        let app = App { access, vault, live: live.clone(), folds: Folds::default() };
        let run = move || {
            let server = HttpServer::new(move || {
                WebApp::new()
                    .wrap(from_fn(as_problem))
                    .wrap(from_fn(from_here))
                    .configure(|config| configure(config, &inside, &app))
            });
            let server = server
                .workers(WORKERS)
                .worker_max_blocking_threads(BLOCKING_THREADS)
                .shutdown_timeout(SHUTDOWN_SECONDS)
                .disable_signals()
                .on_connect(bound_sending)
                .listen(listener);
            let handle = server.map(|server| {
                let server = server.run();
                let handle = server.handle();
                actix::spawn(server);
                handle
            });
            drop(started.send(handle));
        };
        host.run_inside(run).map_err(ServeError::Host)?;
        match starting.await {
            Ok(Ok(handle)) => Ok(Self { handle, address, live }),
            Ok(Err(error)) => Err(bind(error)),
            Err(_) => Err(ServeError::Host("the host has ended".to_owned())),
        }
    }

    /// Where it listens: the port that was chosen, if the configured one was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and waits for the requests under way.
    pub async fn stop(self) {
        // A stream of events is a request that never ends by itself.
        self.live.end();
        self.handle.stop(true).await;
    }
}

/// Most bytes that the operating system holds for a connection that does not read; it doubles them.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Who takes nothing of what is sent is closed by the operating system, which holds a bounded part
/// of it till then: no stream of events waits for its reader for ever.
fn bound_sending(connection: &dyn Any, _extensions: &mut Extensions) {
    if let Some(connection) = connection.downcast_ref::<TcpStream>() {
        let socket = SockRef::from(connection);
        // Where this cannot be set, a reader that reads nothing only holds its seat.
        drop(socket.set_tcp_user_timeout(Some(live::STALLED)));
        drop(socket.set_send_buffer_size(SEND_BUFFER_BYTES));
    }
}

fn configure(config: &mut ServiceConfig, host: &Host, app: &App) {
    config
        .app_data(Data::new(host.clone()))
        .app_data(Data::new(app.clone()))
        .app_data(bodies(MAX_BODY_BYTES))
        .app_data(QueryConfig::default().error_handler(|e, _| Problem::bad(e.to_string()).into()))
        .app_data(PathConfig::default().error_handler(|e, _| Problem::bad(e.to_string()).into()));
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
            Problem::bad(error.to_string())
        } else {
            Problem::of_status(status)
        };
        problem.into()
    })
}

/// Gives what the framework answers by itself (no route, wrong method) the shape of a problem.
async fn as_problem(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let response = next.call(request).await?;
    let status = response.status();
    let is_problem =
        response.headers().get(CONTENT_TYPE).is_some_and(|it| *it == problem::PROBLEM_JSON);
    if status.as_u16() < 400 || is_problem {
        return Ok(response.map_into_left_body());
    }
    let allow = response.headers().get(actix_web::http::header::ALLOW).cloned();
    let mut answer = Problem::of_status(status).error_response();
    if let Some(allow) = allow {
        answer.headers_mut().insert(actix_web::http::header::ALLOW, allow);
    }
    Ok(response.into_response(answer).map_into_right_body())
}

/// A page in a browser on this machine must not reach the server by another name, nor from
/// another origin.
async fn from_here(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let text = |name| request.headers().get(name).map(|it| it.to_str().unwrap_or_default());
    let host_is_local = text(HOST).is_none_or(is_local);
    let origin_is_local =
        text(ORIGIN).is_none_or(|origin| origin.split_once("://").is_some_and(|it| is_local(it.1)));
    if host_is_local && origin_is_local {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let refused = Problem::new(
        StatusCode::FORBIDDEN,
        "foreign-host",
        "Host and Origin must name this machine: localhost, 127.0.0.1 or [::1]",
    );
    Ok(request.into_response(refused.error_response()).map_into_right_body())
}

fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
