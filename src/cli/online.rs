//! Requests to a running server.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::exit::Failed;

/// A client of one server.
#[derive(Debug)]
pub(super) struct Online {
    server: String,
    /// What to do without a server.
    offline: &'static str,
    agent: ureq::Agent,
}

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
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self { server, offline, agent })
    }

    /// The JSON of a GET, whatever its status; a problem other than "not ready" is a failure.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failed> {
        let (status, body) = self.ask(path, query)?;
        if status < 400 {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("no reason given").to_owned();
        Err(match status {
            503 => Failed::unreachable(format!("{}: {detail}", self.server)),
            400 | 410 => Failed::usage(detail),
            404 => Failed::work(detail),
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

    /// Status and JSON of a GET.
    pub(super) fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<(u16, Value), Failed> {
        let query = query.iter().map(|(key, value)| (*key, value.as_str()));
        let unreachable = |error: ureq::Error| {
            Failed::unreachable(format!(
                "no server answers at {} ({error}); start one with `mainstay serve`, name another \
                 with --server, {}",
                self.server, self.offline
            ))
        };
        let url = format!("{}{path}", self.server);
        let mut response = self.agent.get(url).query_pairs(query).call().map_err(unreachable)?;
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_json();
        let body = read.map_err(|error| {
            Failed::unreachable(format!("{} is no mainstay server: {error}", self.server))
        })?;
        Ok((status, body))
    }
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
