//! What stands between the network and the routes.
//!
//! ```text
//!   connection ─► bounded in number, time and memory ─► TLS, if there is a certificate
//!       │
//!   request ─► headers of every answer ─► problems ─► Host and Origin ─► CORS ─► problems ─► routes
//! ```

mod connections;
mod gate;
mod headers;
mod redirect;

pub(super) use connections::{BODY_WITHIN, accepted, raise_file_limit};
pub(super) use redirect::redirecting;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App, ResponseError};
use socket2::{Domain, Socket, Type};

use self::gate::Gate;
use super::problem::{self, Problem};
use crate::config::ServerConfig;

/// A request's head must be here this soon after its connection.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A connection between two requests stays this long.
pub(super) const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// Connections that the operating system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// What every request passes; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Front {
    secure: bool,
    gate: Arc<Gate>,
}

impl Front {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self { secure: config.tls.is_some(), gate: Arc::new(Gate::new(config)) }
    }

    /// An application behind it, without routes.
    pub(super) fn app(
        self,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody>,
            Error = actix_web::Error,
            InitError = (),
        >,
    > {
        let Self { secure, gate } = self;
        App::new()
            .wrap(from_fn(as_problem))
            .wrap(Condition::new(gate.has_origins(), gate.cors()))
            .wrap(from_fn(move |request, next| gate::pass(gate.clone(), request, next)))
            .wrap(from_fn(as_problem))
            .wrap(from_fn(move |request, next| headers::add(secure, request, next)))
            .wrap(from_fn(connections::watch))
    }
}

/// Takes an address. A crowd that comes at once waits in the operating system.
pub(super) fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
    let allow = response.headers().get(ALLOW).cloned();
    let mut answer = Problem::of_status(status).error_response();
    if let Some(allow) = allow {
        answer.headers_mut().insert(ALLOW, allow);
    }
    Ok(response.into_response(answer).map_into_right_body())
}

/// A refusal of who asks by another name, or from a page of another.
fn foreign(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "foreign-host", detail)
}
