//! Requests to the server of a drill, as any client makes them.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::net::SocketAddr;
use std::time::Duration;

use mainstay_actors::time::Timestamp;
use mainstay_journal::Cursor;
use serde_json::{Value, json};

/// No request of a drill takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one server.
#[derive(Debug, Clone)]
pub(super) struct Api {
    url: String,
    agent: ureq::Agent,
}

/// Why a request has no good answer.
#[derive(Debug)]
pub(super) enum No {
    /// The server is gone.
    Gone,
    /// It said no.
    Refused(String),
}

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => f.write_str("the server does not answer"),
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

impl Api {
    pub(super) fn of(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        Self { url: format!("http://{address}"), agent: agent.into() }
    }

    /// The JSON of a good answer.
    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, No> {
        let url = format!("{}{path}", self.url);
        let sent = match method {
            "GET" => self.agent.get(url).call(),
            "DELETE" => self.agent.delete(url).call(),
            "PATCH" => self.agent.patch(url).send_json(body),
            "PUT" => self.agent.put(url).send_json(body),
            _ => self.agent.post(url).send_json(body),
        };
        let mut answer = sent.map_err(|_| No::Gone)?;
        let read = answer.body_mut().read_json::<Value>().map_err(|_| No::Gone)?;
        if answer.status().is_success() {
            return Ok(read);
        }
        let (status, detail) = (answer.status(), &read["detail"]);
        Err(No::Refused(format!("{method} {path}: {status}, {detail}")))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, No> {
        self.send("GET", path, &Value::Null)
    }

    /// Where the journal ends, and where its store.
    pub(super) fn reached(&self) -> Result<(u64, u64), No> {
        let journal = &self.get("/readyz?verbose")?["journal"];
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        Ok((number(&journal["position"]), number(&journal["store"]["reached"])))
    }

    /// Ready, and able to say how healthy it is: the level.
    pub(super) fn healthy(&self) -> Result<String, No> {
        self.get("/readyz")?;
        let health = self.get("/api/v1/health")?;
        let level = health["level"].as_str().map(str::to_owned);
        level.ok_or_else(|| No::Refused(format!("/api/v1/health tells no level: {health}")))
    }

    /// When an event of the journal was decided.
    pub(super) fn time_of(&self, position: u64) -> Result<Timestamp, No> {
        let after = position.saturating_sub(1);
        let page = self.get(&format!("/api/v1/events?after={after}&limit=1"))?;
        let at = page["events"][0]["at"].as_str().unwrap_or_default();
        Timestamp::parse(at).map_err(No::Refused)
    }

    /// A lock is acquired, its token is valid, and reading it back shows it: the token.
    pub(super) fn first_write(&self, lock: &str) -> Result<u64, No> {
        let path = format!("/api/v1/locks/{lock}");
        let wanted = json!({ "owner": "drill", "ttl_ms": 60_000 });
        let lease = self.send("POST", &format!("{path}/acquire"), &wanted)?;
        let token = &lease["token"];
        let refused = |what: String| Err(No::Refused(what));
        let checked = self.send("POST", &format!("{path}/check"), &json!({ "token": token }))?;
        if checked["valid"] != true {
            return refused(format!("the token {token} of {lock} is not valid"));
        }
        let shown = self.get(&path)?;
        if shown["holders"][0]["token"] != *token {
            return refused(format!("{lock} is not held by the token {token}: {shown}"));
        }
        match token.as_u64() {
            Some(token) => Ok(token),
            None => refused(format!("{lock}: no token in {lease}")),
        }
    }
}

/// The place that an answer to a change rests on.
pub(super) fn cursor(answer: &Value) -> Option<Cursor> {
    let epoch = u32::try_from(answer["epoch"].as_u64()?).ok()?;
    Some(Cursor { epoch, position: answer["position"].as_u64()? })
}
