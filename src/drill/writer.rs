//! Who writes while the disaster comes: clients over HTTP that remember every acknowledgement.
//!
//! ```text
//!   each client, some two hundred times a second, until it is stopped or the server is gone:
//!     lock: acquire, release · session: create, patch, end · dependency: another weight
//! ```

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mainstay_journal::Cursor;
use serde_json::{Value, json};

use super::api::{Api, No, cursor};
use super::error::DrillError;
use super::measure::instant;

/// Clients, each with connections of its own.
const CLIENTS: usize = 2;
/// Between two requests of one.
const PAUSE: Duration = Duration::from_millis(5);
/// Most requests of one client.
const MOST: u64 = 200_000;
/// Locks that a client takes in turn.
const LOCKS: u64 = 50;

/// Something that a client was told is durable.
#[derive(Debug, Clone)]
pub(super) struct Ack {
    /// When the answer was there.
    pub(super) at: Instant,
    /// Where it rests in the journal.
    pub(super) cursor: Cursor,
    /// `kind/id`.
    pub(super) stream: String,
    /// The fencing token, if it was one.
    pub(super) token: Option<u64>,
}

/// The running clients; they end with this value.
#[derive(Debug)]
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    acks: Arc<Mutex<Vec<Ack>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts them against a server. What they make has names that begin with `prefix`.
    pub(super) fn start(server: SocketAddr, prefix: &str) -> Result<Self, DrillError> {
        let mut writer = Self { stop: Arc::default(), acks: Arc::default(), threads: Vec::new() };
        for number in 0..CLIENTS {
            let client = Client {
                api: Api::of(server),
                prefix: format!("{prefix}-{number}"),
                stop: Arc::clone(&writer.stop),
                acks: Arc::clone(&writer.acks),
            };
            let thread = std::thread::Builder::new().name("mainstay-drill".to_owned());
            let thread = thread.spawn(move || client.run());
            writer.threads.push(thread.map_err(DrillError::here("start a client"))?);
        }
        Ok(writer)
    }

    /// How much was acknowledged so far.
    pub(super) fn count(&self) -> usize {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Stops them; everything that was acknowledged, in the order of the journal.
    pub(super) fn stop(mut self) -> Vec<Ack> {
        self.end();
        let mut acks =
            std::mem::take(&mut *self.acks.lock().unwrap_or_else(PoisonError::into_inner));
        acks.sort_by_key(|ack| ack.cursor.position);
        acks
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

struct Client {
    api: Api,
    prefix: String,
    stop: Arc<AtomicBool>,
    acks: Arc<Mutex<Vec<Ack>>>,
}

impl Client {
    fn run(&self) {
        for turn in 0..MOST {
            if self.stop.load(Ordering::Relaxed) || matches!(self.turn(turn), Err(No::Gone)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn turn(&self, turn: u64) -> Result<(), No> {
        match turn % 8 {
            5 => self.session(turn),
            7 => self.dependency(turn),
            _ => self.lock(turn),
        }
    }

    fn lock(&self, turn: u64) -> Result<(), No> {
        let name = format!("{}-{}", self.prefix, turn % LOCKS);
        let (path, stream) = (format!("/api/v1/locks/{name}"), format!("lock/{name}"));
        let wanted = json!({ "owner": "drill", "ttl_ms": 60_000 });
        let lease = self.write("POST", &format!("{path}/acquire"), &wanted, &stream)?;
        // Some stay held: they are over with the restore, or when their time is.
        if turn % 10 != 3 {
            let release = json!({ "owner": "drill", "token": lease["token"] });
            self.write("POST", &format!("{path}/release"), &release, &stream)?;
        }
        Ok(())
    }

    fn session(&self, turn: u64) -> Result<(), No> {
        let attributes = json!({ "turn": turn });
        let wanted = json!({ "subject": self.prefix, "ttl_ms": 600_000, "attributes": attributes });
        let answer = self.api.send("POST", "/api/v1/sessions", &wanted)?;
        let id = answer["id"].as_str().unwrap_or_default();
        let stream = format!("session/default/{id}");
        self.remember(&answer, &stream);
        let path = format!("/api/v1/sessions/{id}");
        let change = json!({ "attributes": { "turn": turn + 1 } });
        self.write("PATCH", &path, &change, &stream)?;
        if turn.is_multiple_of(3) {
            self.write("DELETE", &path, &Value::Null, &stream)?;
        }
        Ok(())
    }

    fn dependency(&self, turn: u64) -> Result<(), No> {
        let path = format!("/api/v1/dependencies/{}", self.prefix);
        let stream = format!("dependency/{}", self.prefix);
        let weight = json!({ "weight": 1 + turn % 100 });
        self.write("PUT", &path, &weight, &stream).map(drop)
    }

    /// Sends a change, and remembers that it was acknowledged.
    fn write(&self, method: &str, path: &str, body: &Value, stream: &str) -> Result<Value, No> {
        let answer = self.api.send(method, path, body)?;
        self.remember(&answer, stream);
        Ok(answer)
    }

    fn remember(&self, answer: &Value, stream: &str) {
        let Some(cursor) = cursor(answer) else { return };
        let (at, token) = (instant(), answer["token"].as_u64());
        let ack = Ack { at, cursor, stream: stream.to_owned(), token };
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
    }
}
