//! Requests to a running server.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use mainstay_actors::time::Timestamp;
use serde_json::Value;
use ureq::Body;
use ureq::http::{Request, Response};

use super::exit::Failed;

/// A client of one server.
#[derive(Debug)]
pub(super) struct Online {
    server: String,
    /// What to do without a server.
    offline: &'static str,
    agent: ureq::Agent,
    /// Sent with every request.
    key: Option<String>,
}

/// Names the file with the key that goes with every request.
const KEY_FILE: &str = "MAINSTAY_KEY_FILE";

/// A fold of a large journal takes its time.
const PATIENCE: Duration = Duration::from_mins(5);

impl Online {
    /// `offline` is the way that needs no server, told when none answers.
    pub(super) fn new(server: &str, offline: &'static str) -> Result<Self, Failed> {
        let server = server.trim_end_matches('/').to_owned();
        if server.split_once("://").is_none_or(|(_, rest)| rest.contains('@')) {
            let text = "--server takes a URL without credentials: http://127.0.0.1:7070";
            return Err(Failed::usage(text));
        }
        let key = key(&server)?;
        Ok(Self { server, offline, agent: agent(), key })
    }

    /// Of a server of our own, which asks for no key.
    pub(super) fn keyless(server: &str) -> Self {
        Self { server: server.to_owned(), offline: "it has ended", agent: agent(), key: None }
    }

    /// The JSON of a GET, whatever its status; a problem other than "not ready" is a failure.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failed> {
        let (status, body) = self.ask(path, query)?;
        self.good(status, body)
    }

    /// The JSON of a POST; a problem is a failure.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        let mut request = self.agent.post(format!("{}{path}", self.server));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        let answer = request.send_json(body).map_err(|error| self.unreachable(&error))?;
        let (status, body) = self.read(answer)?;
        self.good(status, body)
    }

    /// The JSON of a DELETE; a problem is a failure.
    pub(super) fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failed> {
        let query = query.iter().map(|(key, value)| (*key, value.as_str()));
        let mut request = self.agent.delete(format!("{}{path}", self.server)).query_pairs(query);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        let (status, body) =
            self.read(request.call().map_err(|error| self.unreachable(&error))?)?;
        self.good(status, body)
    }

    /// The text of a GET; a problem is a failure.
    pub(super) fn text(&self, path: &str) -> Result<String, Failed> {
        let mut request = self.agent.get(format!("{}{path}", self.server));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        let mut answer = request.call().map_err(|error| self.unreachable(&error))?;
        if answer.status().as_u16() >= 400 {
            let (status, body) = self.read(answer)?;
            return self.good(status, body).map(|_| String::new());
        }
        let read = answer.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_string();
        read.map_err(|error| {
            Failed::unreachable(format!("{} is no mainstay server: {error}", self.server))
        })
    }

    /// Status and JSON of a request with any method, whatever the status.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Failed> {
        let bad =
            |error: &dyn std::fmt::Display| Failed::usage(format!("{method} {path}: {error}"));
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(text).map_err(|error| bad(&error))?;
        let mut answer = self.agent.run(request).map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        // What is no JSON has no members.
        let body = answer.body_mut().with_config().limit(MAX_BODY_BYTES).read_json();
        Ok((status, body.unwrap_or_default()))
    }

    fn good(&self, status: u16, body: Value) -> Result<Value, Failed> {
        if status < 400 {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("no reason given").to_owned();
        Err(match status {
            503 => Failed::unreachable(format!("{}: {detail}", self.server)),
            400 | 410 => Failed::usage(detail),
            401 => Failed::refused(format!("{detail}; {KEY_FILE} names the file with it")),
            403 => Failed::refused(detail),
            404 | 409 => Failed::work(detail),
            _ => Failed::work(format!("{status}: {detail}")),
        })
    }

    /// The position of the newest event.
    pub(super) fn head(&self) -> Result<u64, Failed> {
        let (_, readiness) = self.ask("/readyz", &[("verbose", "true".to_owned())])?;
        readiness["journal"]["position"].as_u64().ok_or_else(|| {
            let detail = readiness["detail"].as_str().unwrap_or("not ready");
            Failed::unreachable(format!("{}: {detail}", self.server))
        })
    }

    /// The clock of the server, as an answer of it says.
    pub(super) fn date(&self) -> Option<Timestamp> {
        let answer = self.agent.get(format!("{}/livez", self.server)).call().ok()?;
        let date = answer.headers().get("date")?.to_str().ok()?;
        let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        u64::try_from(date.as_microsecond()).ok().map(Timestamp::from_micros)
    }

    /// Status and JSON of a GET.
    pub(super) fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<(u16, Value), Failed> {
        let query = query.iter().map(|(key, value)| (*key, value.as_str()));
        let url = format!("{}{path}", self.server);
        let mut request = self.agent.get(url).query_pairs(query);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        self.read(request.call().map_err(|error| self.unreachable(&error))?)
    }

    fn unreachable(&self, error: &ureq::Error) -> Failed {
        Failed::unreachable(format!(
            "no server answers at {} ({error}); start one with `mainstay serve`, name another with \
             --server, {}",
            self.server, self.offline
        ))
    }

    fn read(&self, mut response: Response<Body>) -> Result<(u16, Value), Failed> {
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_json();
        let body = read.map_err(|error| {
            Failed::unreachable(format!("{} is no mainstay server: {error}", self.server))
        })?;
        Ok((status, body))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into()
}

/// The key of the file that the environment names, if it names one.
fn key(server: &str) -> Result<Option<String>, Failed> {
    let Some(path) = std::env::var_os(KEY_FILE) else { return Ok(None) };
    let path = Path::new(&path);
    let told = |reason: String| Failed::usage(format!("{KEY_FILE} {}: {reason}", path.display()));
    let mode = std::fs::metadata(path).map_err(|error| told(error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        return Err(told("others can read it; `chmod 600` it, and rotate the key".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(told("it must hold a key and nothing else".to_owned()));
    }
    if !server.starts_with("https://") && !is_here(server) {
        return Err(told(format!("a key goes over https only, and not to {server}")));
    }
    Ok(Some(key.to_owned()))
}

/// Whether a URL names this machine.
fn is_here(server: &str) -> bool {
    let authority = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A thousand of the largest sessions.
const MAX_BODY_BYTES: u64 = 256 * 1024 * 1024;

/// A name as a part of a path: everything but unreserved characters and slashes is escaped.
pub(super) fn path(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if plain(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}
