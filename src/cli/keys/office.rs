//! Where keys are made: by a running server, or in a data directory that no server has open.

use std::path::Path;
use std::sync::Arc;

use mainstay_actors::host::{Answered, Failure, Host, Keys, Meta, StartError};
use mainstay_actors::key::{Key, KeyCommand, Role};
use mainstay_actors::machine::Machine;
use mainstay_journal::StreamId;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Where;
use crate::cli::exit::Failed;
use crate::cli::online::{Online, path};
use crate::config::{Config, JournalConfig, Span};
use crate::server::keyroom::{Access, KEY_NAME, NewKey, check_key_name, view};
use crate::{Mainstay, OpenError};

/// One of the two.
pub(super) enum Office {
    Server(Online),
    Data(Box<Inside>),
}

/// An open data directory.
pub(super) struct Inside {
    runtime: Runtime,
    /// Closed when it is dropped.
    stay: Option<Mainstay>,
    access: Access,
}

impl Office {
    pub(super) fn open(at: &Where) -> Result<Self, Failed> {
        let Some(data) = &at.data else {
            let hint = "or make keys in the data directory of a stopped one with --data";
            return Ok(Self::Server(Online::new(&at.server, hint)?));
        };
        Inside::open(data, at.key.config()).map(|inside| Self::Data(Box::new(inside)))
    }

    /// `body` is what the route takes.
    pub(super) fn create(&self, name: &str, body: &Value) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => online.post("/api/v1/keys", body),
            Self::Data(inside) => {
                let role = body.get("role").and_then(Value::as_str).unwrap_or_default();
                let role = Role::ALL.into_iter().find(|it| it.name() == role);
                let role = role.unwrap_or(Role::Viewer);
                let tenant = body.get("tenant").and_then(Value::as_str).map(str::to_owned);
                let life_ms = body.get("life_ms").and_then(Value::as_u64);
                inside.issue(name, |hash| KeyCommand::Create { role, tenant, hash, life_ms })
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
            Self::Data(inside) => {
                inside.issue(name, |hash| KeyCommand::Rotate { hash, overlap_ms })
            },
        }
    }

    pub(super) fn revoke(&self, name: &str, reason: &str) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => {
                let route = format!("/api/v1/keys/{}/revoke", path(name));
                online.post(&route, &json!({ "reason": reason }))
            },
            Self::Data(inside) => {
                inside.ask(name, KeyCommand::Revoke { reason: reason.to_owned() })
            },
        }
    }

    pub(super) fn show(&self, name: &str) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => online.get(&format!("/api/v1/keys/{}", path(name)), &[]),
            Self::Data(inside) => inside.ask(name, KeyCommand::Show),
        }
    }

    pub(super) fn list(&self) -> Result<Value, Failed> {
        match self {
            Self::Server(online) => online.get("/api/v1/keys", &[]),
            Self::Data(inside) => Ok(inside.list()),
        }
    }
}

impl Inside {
    fn open(data: &Path, journal: JournalConfig) -> Result<Self, Failed> {
        let mut config = Config { journal, ..Config::default() };
        data.clone_into(&mut config.server.data);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::work(format!("start: {error}")))?;
        config.journal.keyring().map_err(|error| Failed::usage(error.to_string()))?;
        let stay =
            runtime.block_on(Mainstay::open_as_it_is(config)).map_err(|error| match error {
                OpenError::Start(StartError::Damaged(_)) => Failed::integrity(error.to_string()),
                OpenError::Start(StartError::Sealed(_)) => Failed::usage(error.to_string()),
                _ => {
                    let way = "while a server runs on it, ask that one with --server";
                    Failed::refused(format!("{error}; {way}"))
                },
            })?;
        let access = Access::new(stay.vault().clone(), false);
        Ok(Self { runtime, stay: Some(stay), access })
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
        let stay = self.stay()?;
        let meta = Meta::of(&Arc::from("local"));
        let answered: Answered<Key> =
            self.runtime.block_on(stay.host().ask::<Key>(stream, command, meta));
        let receipt = answered.map_err(|failure| match failure {
            Failure::Rejected { reason, .. } => Failed::work(reason.to_string()),
            other => Failed::refused(other.to_string()),
        })?;
        let now = stay.host().now().unwrap_or_default();
        Ok(receipt.reply.0.map_or(Value::Null, |key| json!(view(name, &key, now))))
    }

    fn list(&self) -> Value {
        let host = self.stay.as_ref().map(Mainstay::host);
        let now = host.and_then(Host::now).unwrap_or_default();
        let all = host.and_then(Host::keys).map(Keys::all).unwrap_or_default();
        let views =
            all.iter().filter_map(|(name, state)| Some(view(name, state.key.as_ref()?, now)));
        json!({ "keys": views.collect::<Vec<_>>() })
    }

    fn stay(&self) -> Result<&Mainstay, Failed> {
        self.stay.as_ref().ok_or_else(|| Failed::work("the data directory is closed"))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(stay) = self.stay.take() {
            self.runtime.block_on(stay.close());
        }
    }
}
