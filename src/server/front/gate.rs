//! By which name a server may be asked for, and from which pages.
//!
//! | bound to | `Host` | `Origin` |
//! |---|---|---|
//! | loopback | this machine, or one of `server.names` | this machine, or one of `server.origins` |
//! | another address | one of `server.names`, if there are any | any: a page has no key unless it is given one |
//!
//! The path and query of every request must be text, too.
//!
//! A page of one of `server.origins` may read the answers (CORS); of another, no browser lets it.

use std::net::IpAddr;
use std::sync::Arc;

use actix_cors::Cors;
use actix_web::ResponseError;
use actix_web::body::MessageBody;
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, ORIGIN};
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;
use percent_encoding::percent_decode_str;

use super::foreign;
use crate::config::{List, ServerConfig, parts};
use crate::server::problem::Problem;

/// Whom it lets pass.
#[derive(Debug)]
pub(super) struct Gate {
    public: bool,
    names: List,
    origins: List,
}

/// A browser asks again whether it may ask after so long, in seconds.
const PREFLIGHT_SECONDS: usize = 600;

impl Gate {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let (names, origins) = (config.names.clone(), config.origins.clone());
        Self { public: config.is_public(), names, origins }
    }

    pub(super) fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// What tells a browser that a page of one of the origins may ask and read. No credentials: a
    /// key is a header that the page sends, never a cookie.
    pub(super) fn cors(&self) -> Cors {
        let cors = Cors::default()
            .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
            .allowed_headers([
                "x-api-key",
                "authorization",
                "content-type",
                "idempotency-key",
                "if-match",
                "last-event-id",
                "traceparent",
                "x-request-id",
            ])
            .expose_headers(["etag", "retry-after", "ratelimit", "ratelimit-policy"])
            .max_age(PREFLIGHT_SECONDS);
        self.origins.iter().fold(cors, Cors::allowed_origin)
    }

    fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        let text =
            |name: HeaderName| head.headers().get(name).map(|it| it.to_str().unwrap_or_default());
        let host = text(HOST);
        let named = |host: &str| self.names.iter().any(|it| it.eq_ignore_ascii_case(parts(host).0));
        let host_fits = match (self.public, self.names.is_empty()) {
            (true, true) => true,
            (true, false) => host.is_some_and(named),
            (false, _) => host.is_none_or(|host| is_local(host) || named(host)),
        };
        if !host_fits {
            return Err(foreign(if self.public {
                "Host must be one of the names in server.names"
            } else {
                "Host must name this machine: localhost, 127.0.0.1, [::1], or one of server.names"
            }));
        }
        let Some(origin) = text(ORIGIN) else { return Ok(()) };
        let listed = self.origins.iter().any(|it| it == origin);
        let asks_first = head.method == Method::OPTIONS
            && head.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let open = self.public && !(asks_first && self.has_origins());
        let local = || !self.public && origin.split_once("://").is_some_and(|it| is_local(it.1));
        if listed || open || local() {
            return Ok(());
        }
        Err(foreign("Origin must be this machine or one of server.origins"))
    }
}

/// What is no text is not read as another text: the framework would put U+FFFD into a query.
fn check_text(head: &RequestHead) -> Result<(), Problem> {
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let is_text = !target.contains('%') || percent_decode_str(target).decode_utf8().is_ok();
    if is_text { Ok(()) } else { Err(Problem::bad("the path and its query must be UTF-8")) }
}

/// Lets a request pass, or refuses it.
pub(super) async fn pass(
    gate: Arc<Gate>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    match gate.check(request.head()).and_then(|()| check_text(request.head())) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_left_body),
        Err(refused) => Ok(request.into_response(refused.error_response()).map_into_right_body()),
    }
}

fn is_local(authority: &str) -> bool {
    let (host, _) = parts(authority);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::Config;

    fn passes(config: &str, headers: &[(&str, &str)]) -> bool {
        let gate = Gate::new(&Config::from_text(config, "test", []).unwrap().server);
        let request =
            headers.iter().fold(TestRequest::default(), |it, header| it.insert_header(*header));
        gate.check(request.to_srv_request().head()).is_ok()
    }

    const LOOPBACK: &str = "";
    const NAMED_LOOPBACK: &str = "[server]\nnames = [\"mainstay.example\"]\n";
    const PUBLIC: &str =
        "[server]\nlisten = \"192.0.2.1:1\"\norigins = [\"https://app.example\"]\n";
    const NAMED: &str = "[server]\nlisten = \"192.0.2.1:1\"\nnames = [\"mainstay.example\"]\n";

    #[test]
    fn each_cell_of_the_table_holds() {
        for (config, host, good) in [
            (LOOPBACK, "localhost:7070", true),
            (LOOPBACK, "[::1]:7070", true),
            (LOOPBACK, "mainstay.example", false),
            (LOOPBACK, "127.0.0.1.example", false),
            (NAMED_LOOPBACK, "Mainstay.Example:443", true),
            (NAMED_LOOPBACK, "localhost", true),
            (NAMED_LOOPBACK, "other.example", false),
            (PUBLIC, "whatever.example", true),
            (NAMED, "mainstay.example", true),
            (NAMED, "mainstay.example:443", true),
            (NAMED, "localhost", false),
            (NAMED, "mainstay.example.other", false),
        ] {
            assert_eq!(passes(config, &[("host", host)]), good, "{config:?} {host}");
        }
        assert!(passes(LOOPBACK, &[]) && passes(PUBLIC, &[]));
        assert!(!passes(NAMED, &[]), "no Host is no name");
        let listed = "[server]\norigins = [\"https://app.example\"]\n";
        for (config, origin, good) in [
            (LOOPBACK, "http://localhost:3000", true),
            (LOOPBACK, "https://app.example", false),
            (LOOPBACK, "null", false),
            (listed, "https://app.example", true),
            (listed, "http://app.example", false),
            (listed, "https://app.example:444", false),
            (PUBLIC, "https://other.example", true),
        ] {
            assert_eq!(passes(config, &[("origin", origin)]), good, "{config:?} {origin}");
        }
    }
}
