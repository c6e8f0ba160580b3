//! Clients that load a server until it dies, and what it acknowledged to them.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::JoinHandle;

use serde_json::json;

use crate::support::{Answer, Client, Server};

const CLIENTS: u64 = 4;
const LOCKS: u64 = 6;

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
    open: Vec<(String, String)>,
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
        self.open.extend(other.open);
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

    fn acknowledge(&mut self, answer: &Answer, stream: &str) {
        self.events.insert(answer.number("position"), stream.to_owned());
    }
}

/// Starts the clients; each ends when the server does.
pub(super) fn load_until_it_dies(
    server: &Server,
    round: u64,
    before: &Ledger,
) -> Vec<JoinHandle<Ledger>> {
    (0..CLIENTS)
        .map(|number| {
            let client = server.client();
            let open = if number == 0 { before.open.clone() } else { Vec::new() };
            std::thread::spawn(move || {
                let mut ledger = Ledger::default();
                for (lock, key) in open {
                    let _answered = acquire(&client, &mut ledger, &lock, &key);
                }
                for step in 0.. {
                    let seed = round * 7_919 + number * 104_729 + step * 31;
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
    let granted = acquire(client, ledger, &lock, &format!("key-{name}"))?;
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

/// Acquires, waiting a little; `Some(None)` when others were faster.
fn acquire(client: &Client, ledger: &mut Ledger, lock: &str, key: &str) -> Option<Option<u64>> {
    let body = json!({ "owner": "customer", "ttl_ms": 300, "wait_ms": 50 });
    let path = format!("/api/v1/locks/{lock}/acquire");
    let Some(answer) = client.try_json("POST", &path, &[("idempotency-key", key)], &body) else {
        ledger.open.push((lock.to_owned(), key.to_owned()));
        return None;
    };
    if answer.status == 200 {
        ledger.acknowledge(&answer, &format!("lock/{lock}"));
        ledger.tokens.entry(lock.to_owned()).or_default().insert(answer.number("token"));
        return Some(Some(answer.number("token")));
    }
    assert_eq!(answer.status, 409, "{}", answer.body);
    Some(None)
}
