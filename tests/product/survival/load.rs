//! Clients that load a server until it dies, and what it acknowledged to them.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::JoinHandle;

use serde_json::json;

use crate::support::{Answer, Client, Server};

const CLIENTS: u64 = 4;
/// Many: a holder that was killed keeps its lock for a while after the restart.
const LOCKS: u64 = 40;

/// Multiplies counters to numbers that look drawn: 2^64 by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What was acknowledged: each position with its stream, and the tokens of each lock.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Position → stream.
    pub(super) events: BTreeMap<u64, String>,
    /// Lock → tokens.
    pub(super) tokens: BTreeMap<String, BTreeSet<u64>>,
    /// Sessions in the order of their creation.
    sessions: Vec<String>,
    /// Requests without an answer: lock and key. The next round asks again.
    unanswered: Vec<(String, String)>,
}

impl Ledger {
    pub(super) fn add(&mut self, other: Self) {
        for (position, stream) in other.events {
            let known = self.events.insert(position, stream.clone());
            assert!(known.is_none_or(|known| known == stream), "{position} was given twice");
        }
        for (lock, tokens) in other.tokens {
            self.tokens.entry(lock).or_default().extend(tokens);
        }
        self.sessions.extend(other.sessions);
        self.unanswered.extend(other.unanswered);
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.events.len() as u64
    }

    pub(super) fn locks(&self) -> impl Iterator<Item = &String> {
        self.tokens.keys()
    }

    pub(super) fn newest_sessions(&self) -> impl Iterator<Item = &String> {
        self.sessions.iter().rev().take(50)
    }

    pub(super) fn unanswered(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.unanswered)
    }

    fn acknowledge(&mut self, answer: &Answer, stream: &str) {
        self.events.insert(answer.number("position"), stream.to_owned());
    }
}

/// Starts the clients; each ends when the server does.
pub(super) fn load_until_it_dies(
    server: &Server,
    round: u64,
    mut unanswered: Vec<(String, String)>,
) -> Vec<JoinHandle<Ledger>> {
    (0..CLIENTS)
        .map(|number| {
            let client = server.client();
            // The first client asks again what was not answered before the kill.
            let again = std::mem::take(&mut unanswered);
            std::thread::spawn(move || {
                let mut ledger = Ledger::default();
                for (lock, key) in again {
                    let _answered = acquire(&client, &mut ledger, &lock, &key);
                }
                for step in 0.. {
                    let seed = (round * 1_000 + number * 100 + step).wrapping_mul(SPREAD) >> 32;
                    if work(&client, &mut ledger, seed, &format!("{round}-{number}-{step}"))
                        .is_none()
                    {
                        break;
                    }
                }
                ledger
            })
        })
        .collect()
}

/// One customer: a session, a reservation, a change, and all given back. `None`: it has died.
fn work(client: &Client, ledger: &mut Ledger, seed: u64, name: &str) -> Option<()> {
    let lock = format!("room-{}", seed % LOCKS);
    let granted = match acquire(client, ledger, &lock, &format!("key-{name}")) {
        Asked::Granted(token) => Some(token),
        Asked::Held => None,
        Asked::Gone => return None,
    };
    let body = json!({ "subject": format!("subject-{name}"), "ttl_ms": 600_000 });
    let created = client.try_json("POST", "/api/v1/sessions", &[], &body)?.expect(201);
    let id = created.text("id");
    ledger.acknowledge(&created, &format!("session/default/{id}"));
    ledger.sessions.push(id.clone());
    let patch = json!({ "attributes": { "step": seed } });
    let path = format!("/api/v1/sessions/{id}");
    let patched = client.try_json("PATCH", &path, &[], &patch)?.expect(200);
    ledger.acknowledge(&patched, &format!("session/default/{id}"));
    if let Some(token) = granted {
        let held = json!({ "token": token, "owner": "customer" });
        let path = format!("/api/v1/locks/{lock}/release");
        let released = client.try_json("POST", &path, &[], &held)?;
        if released.status == 200 {
            ledger.acknowledge(&released, &format!("lock/{lock}"));
        } else {
            // Its lease ran out, or its grant was not claimed in time.
            released.problem(409, "/problems/lock-not-held");
        }
    }
    if seed.is_multiple_of(3) {
        let ended = client.try_send("DELETE", &path, &[], None)?.expect(200);
        ledger.acknowledge(&ended, &format!("session/default/{id}"));
    }
    Some(())
}

/// What came of asking for a lock.
enum Asked {
    Granted(u64),
    /// Others were faster.
    Held,
    /// The server has died.
    Gone,
}

/// Acquires, waiting a little.
fn acquire(client: &Client, ledger: &mut Ledger, lock: &str, key: &str) -> Asked {
    let body = json!({ "owner": "customer", "ttl_ms": 300, "wait_ms": 50 });
    let path = format!("/api/v1/locks/{lock}/acquire");
    let Some(answer) = client.try_json("POST", &path, &[("idempotency-key", key)], &body) else {
        ledger.unanswered.push((lock.to_owned(), key.to_owned()));
        return Asked::Gone;
    };
    if answer.status == 200 {
        ledger.acknowledge(&answer, &format!("lock/{lock}"));
        ledger.tokens.entry(lock.to_owned()).or_default().insert(answer.number("token"));
        return Asked::Granted(answer.number("token"));
    }
    assert_eq!(answer.status, 409, "{}", answer.body);
    Asked::Held
}
