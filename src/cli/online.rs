//! Requests to a running server.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::time::Duration;

use serde_json::Value;

use super::exit::Failed;

/// A client of one server.
#[derive(Debug)]
pub(super) struct Online {
    server: String,
    agent: ureq::Agent,
}

impl Online {
    pub(super) fn new(server: &str) -> Result<Self, Failed> {
        let server = server.trim_end_matches('/').to_owned();
        if server.split_once("://").is_none_or(|(_, rest)| rest.contains('@')) {
            let text = "--server takes a URL without credentials: http://127.0.0.1:7070";
            return Err(Failed::usage(text));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self { server, agent })
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
            400 => Failed::usage(detail),
            _ => Failed::work(format!("{status}: {detail}")),
        })
    }

    /// Status and JSON of a GET.
    pub(super) fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<(u16, Value), Failed> {
        let query = query.iter().map(|(key, value)| (*key, value.as_str()));
        let unreachable = |error: ureq::Error| {
            Failed::unreachable(format!(
                "no server answers at {} ({error}); start one with `mainstay serve`, or name \
                 another with --server",
                self.server
            ))
        };
        let url = format!("{}{path}", self.server);
        let mut response = self.agent.get(url).query_pairs(query).call().map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_json().map_err(|error| {
            Failed::unreachable(format!("{} is no mainstay server: {error}", self.server))
        })?;
        Ok((status, body))
    }
}
