//! Where keys are made: by a running server, or in a data directory that no server has open.

use std::path::Path;

use mainstay_actors::host::{Host, Keys};
use mainstay_actors::key::{Key, KeyCommand, Role};
use mainstay_actors::machine::Machine;
use mainstay_journal::StreamId;
use serde_json::{Value, json};

use super::Where;
use crate::Mainstay;
use crate::cli::exit::Failed;
use crate::cli::inside::Inside;
use crate::cli::online::{Online, path};
use crate::config::{JournalConfig, Span};
use crate::server::keyroom::{Access, KEY_NAME, NewKey, check_key_name, view};

/// One of the two.
pub(super) enum Office {
    Server(Online),
    Data(Box<Room>),
}

/// An open data directory.
pub(super) struct Room {
    inside: Inside,
    access: Access,
}

impl Office {
    pub(super) fn open(at: &Where) -> Result<Self, Failed> {
        let Some(data) = &at.data else {
            let hint = "or make keys in the data directory of a stopped one with --data";
            return Ok(Self::Server(Online::new(&at.server, hint)?));
        };
        Room::open(data, at.key.config()).map(|room| Self::Data(Box::new(room)))
    }

    /// `body` is what the route takes.
    pub(super) fn create(&self, name: &str, body: &Value) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => online.post("/api/v1/keys", body),
            Self::Data(room) => {
                let role = body.get("role").and_then(Value::as_str).unwrap_or_default();
                let role = Role::ALL.into_iter().find(|it| it.name() == role);
                let role = role.unwrap_or(Role::Viewer);
                let tenant = body.get("tenant").and_then(Value::as_str).map(str::to_owned);
                let life_ms = body.get("life_ms").and_then(Value::as_u64);
                room.issue(name, |hash| KeyCommand::Create { role, tenant, hash, life_ms })
            },
        }
    }

    pub(super) fn rotate(&self, name: &str, overlap: Span) -> Result<Value, Failed> {
        let overlap_ms = overlap.as_ms();
        match self {
            Self::Server(online) => {
                let route = format!("/api/v1/keys/{}/rotate", path(name));
                online.post(&route, &json!({ "overlap_ms": overlap_ms }))
            },
            Self::Data(room) => room.issue(name, |hash| KeyCommand::Rotate { hash, overlap_ms }),
        }
    }

    pub(super) fn revoke(&self, name: &str, reason: &str) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => {
                let route = format!("/api/v1/keys/{}/revoke", path(name));
                online.post(&route, &json!({ "reason": reason }))
            },
            Self::Data(room) => room.ask(name, KeyCommand::Revoke { reason: reason.to_owned() }),
        }
    }

    pub(super) fn show(&self, name: &str) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => online.get(&format!("/api/v1/keys/{}", path(name)), &[]),
            Self::Data(room) => room.ask(name, KeyCommand::Show),
        }
    }

    pub(super) fn list(&self) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => online.get("/api/v1/keys", &[]),
            Self::Data(room) => Ok(room.list()),
        }
    }
}

impl Room {
    fn open(data: &Path, journal: JournalConfig) -> Result<Self, Failed> {
        let instead = "while a server runs on it, ask that one with --server";
        let inside = Inside::open(data, journal, instead)?;
        let access = Access::new(inside.stay()?.vault().clone(), false);
        Ok(Self { inside, access })
    }

    fn issue(
        &self,
        name: &str,
        command: impl FnOnce(mainstay_actors::key::KeyHash) -> KeyCommand,
    ) -> Result<Value, Failed> {
        let new = NewKey::generate(name);
        let new = new.map_err(|error| Failed::work(format!("random bits: {error}")))?;
        let hash = self.access.hash(name, &new.secret);
        let hash = hash.map_err(|error| Failed::work(error.to_string()))?;
        let mut made = self.ask(name, command(hash))?;
        if let Some(members) = made.as_object_mut() {
            members.insert("key".to_owned(), json!(new.text));
        }
        Ok(made)
    }

    fn ask(&self, name: &str, command: KeyCommand) -> Result<Value, Failed> {
        let stream = StreamId::new(Key::KIND, name).filter(|_| check_key_name(name));
        let stream = stream.ok_or_else(|| Failed::usage(format!("a key's name is {KEY_NAME}")))?;
        let reply = self.inside.ask::<Key>(stream, command)?;
        let stay = self.inside.stay()?;
        let now = stay.host().now().unwrap_or_default();
        Ok(reply.0.map_or(Value::Null, |key| json!(view(name, &key, now))))
    }

    fn list(&self) -> Value {
        let host = self.inside.stay().ok().map(Mainstay::host);
        let now = host.and_then(Host::now).unwrap_or_default();
        let all = host.and_then(Host::keys).map(Keys::all).unwrap_or_default();
        let views =
            all.iter().filter_map(|(name, state)| Some(view(name, state.key.as_ref()?, now)));
        json!({ "keys": views.collect::<Vec<_>>() })
    }
}
