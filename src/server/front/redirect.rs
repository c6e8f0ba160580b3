//! Plain HTTP that leads to https, and does nothing else.
//!
//! ```text
//!   GET /path?query, Host: name ──► 308, Location: https://name:port/path?query
//! ```

use std::future::ready;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::http::header::{HOST, LOCATION};
use actix_web::http::{ConnectionType, KeepAlive};
use actix_web::web::to;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError};

use super::headers;
use crate::config::{List, is_host, parts};
use crate::server::problem::Problem;

/// It has little to wait for.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Each is gone with its answer.
const CONNECTIONS: usize = 1024;

/// The port that a URL leaves out.
const HTTPS: u16 = 443;

/// The listener's server; `port` is that of https.
pub(in crate::server) fn redirecting(
    listener: TcpListener,
    names: &List,
    port: u16,
) -> std::io::Result<actix_web::dev::Server> {
    let names = names.clone();
    let app = move || {
        let names = names.clone();
        App::new().default_service(to(move |request: HttpRequest| {
            let mut answer = lead(&request, &names, port).unwrap_or_else(|it| it.error_response());
            answer.head_mut().set_connection_type(ConnectionType::Close);
            // Not over TLS: a browser takes no word about TLS from here.
            headers::write(answer.headers_mut(), false, false);
            ready(answer)
        }))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(CONNECTIONS)
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(HEAD_WITHIN)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn lead(request: &HttpRequest, names: &List, port: u16) -> Result<HttpResponse, Problem> {
    let host = request.headers().get(HOST).and_then(|it| it.to_str().ok());
    let host = host.map(|it| parts(it).0).filter(|it| is_host(it));
    let host = host.ok_or_else(|| Problem::bad("Host must be a name or an address"))?;
    if !names.is_empty() && !names.iter().any(|it| it.eq_ignore_ascii_case(host)) {
        return Err(super::foreign("Host must be one of the names in server.names"));
    }
    let port = if port == HTTPS { String::new() } else { format!(":{port}") };
    // The parser has let nothing through that could end a header.
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let url = format!("https://{host}{port}{path}");
    Ok(HttpResponse::PermanentRedirect().insert_header((LOCATION, url)).finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn led(host: &str, uri: &str, names: &[&str], port: u16) -> Result<String, u16> {
        let names: List = serde_json::from_value(serde_json::json!(names)).unwrap();
        let request = TestRequest::default().uri(uri).insert_header((HOST, host));
        let answer = lead(&request.to_http_request(), &names, port).map_err(|it| it.status())?;
        assert_eq!(answer.status(), 308);
        Ok(answer.headers().get(LOCATION).unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_path_is_led_to_itself_over_https_and_to_no_other_host() {
        for (host, uri, port, location) in [
            ("a.example", "/x/y?z=1", 443, "https://a.example/x/y?z=1"),
            ("a.example:80", "/", 7070, "https://a.example:7070/"),
            ("[::1]:80", "/", 443, "https://[::1]/"),
            ("a.example", "//evil.example/x", 443, "https://a.example//evil.example/x"),
            ("a.example", "http://evil.example/x", 443, "https://a.example/x"),
            ("a.example", "/%0d%0aset-cookie:x", 443, "https://a.example/%0d%0aset-cookie:x"),
        ] {
            assert_eq!(led(host, uri, &[], port).as_deref(), Ok(location), "{host} {uri}");
        }
        for bad in ["", "a b", "a@evil.example", "evil.example/", "a\\b", "a:b", "http://a"] {
            assert_eq!(led(bad, "/", &[], 443), Err(400), "{bad:?}");
        }
        assert_eq!(led("evil.example", "/", &["a.example"], 443), Err(403));
        assert!(led("A.example:80", "/", &["a.example"], 443).is_ok());
    }
}
