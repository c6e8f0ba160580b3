//! Do a million sessions fit, come back after a crash in their midst, and end on time?
//!
//! ```text
//!   clients ─► POST /batch ─► server ── half of them ──► kill -9 ─► start: ready after?
//!                               │                                      │ the other half
//!                               └── memory, at every tenth ◄───────────┴─► all of them run out
//!   journal, read afterwards ─► each end: how long after its moment was it journaled?
//! ```
//!
//! See `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

#[expect(dead_code, reason = "this one has no flag without a value")]
#[path = "support/flags.rs"]
mod flags;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/serving.rs"]
mod serving;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mainstay::actors::codec::Payload;
use mainstay::actors::session::SessionEvent;
use mainstay::journal::{ReadLog, Reader};
use serde_json::{Value, json};

use crate::serving::Serving;

/// Connections that create.
const CONNECTIONS: u64 = 4;

fn main() {
    let sessions = flags::number("--sessions", 1_000_000);
    let batch = flags::number("--batch", 500);
    let ttl_s = flags::number("--ttl-s", 300);
    let scratch = match flags::text("--dir") {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")),
    };
    let scratch = scratch.unwrap();
    let data = scratch.path().join("data");

    let server = Serving::start(&data);
    println!("empty: {}", server.told());
    let half = sessions / 2;
    create(&server, half, batch, ttl_s, 0);
    println!("{half} live: {}", server.told());
    server.kill();
    let server = Serving::start(&data);
    println!("ready {:.2} s after a crash in their midst: {}", server.ready_after, server.told());
    let last = create(&server, sessions - half, batch, ttl_s, half);
    println!("{sessions} live: {}", server.told());
    wait_for_the_end(&server, last, ttl_s);
    println!("all over: {}", server.told());
    server.kill();
    lateness(&data, sessions);
}

/// Creates sessions over a few connections; returns when the last one was made.
fn create(server: &Serving, count: u64, batch: u64, ttl_s: u64, from: u64) -> Instant {
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    let tenth = (count / 5).max(batch);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let agent = Serving::agent();
                loop {
                    let first = next.fetch_add(batch, Ordering::Relaxed);
                    if first >= count {
                        return;
                    }
                    let size = batch.min(count - first);
                    create_some(&agent, server, from + first, size, ttl_s);
                    if first / tenth != (first + size) / tenth {
                        println!("  {}: {}", from + first + size, server.told());
                    }
                }
            });
        }
    });
    let per_second = count as f64 / started.elapsed().as_secs_f64();
    println!("created {per_second:.0}/s in batches of {batch} over {CONNECTIONS} connections");
    Instant::now()
}

fn create_some(agent: &ureq::Agent, server: &Serving, first: u64, size: u64, ttl_s: u64) {
    let command = |number: u64| {
        json!({ "op": "sessions.create", "body": {
            "subject": format!("customer-{number}"), "ttl_ms": ttl_s * 1_000,
            "attributes": { "basket": [number, 2, 3], "locale": "en" },
        }})
    };
    let commands: Vec<Value> = (first..first + size).map(command).collect();
    let url = format!("{}/api/v1/batch", server.url);
    let mut answer = agent.post(url).send_json(json!({ "commands": commands })).unwrap();
    let answer: Value = answer.body_mut().read_json().unwrap();
    let answers = answer["answers"].as_array().unwrap();
    assert!(answers.iter().all(|it| it["status"] == 201), "{answer}");
}

/// Waits until no session has a deadline any more.
fn wait_for_the_end(server: &Serving, last: Instant, ttl_s: u64) {
    let agent = Serving::agent();
    let patience = Duration::from_secs(ttl_s + 120);
    loop {
        let url = format!("{}/readyz?verbose", server.url);
        let ready: Value = agent.get(url).call().unwrap().body_mut().read_json().unwrap();
        // The last ends may still be on their way.
        let all = ["timers", "sessions", "in_flight"];
        if all.iter().all(|what| ready["occupancy"][what] == 0) {
            return;
        }
        assert!(last.elapsed() < patience, "{}", ready["occupancy"]);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// How long after its moment each end was journaled.
fn lateness(data: &Path, sessions: u64) {
    let reader = Reader::open(data).unwrap();
    let mut late = Histogram::<u64>::new(3).unwrap();
    reader
        .scan(1, u64::MAX, &mut |record| {
            if record.stream.starts_with("session/") {
                let event = SessionEvent::decode(record.type_id, record.schema, record.payload);
                if let SessionEvent::SessionEnded(ended) = event.unwrap() {
                    late.record((record.at_us - ended.at.as_micros()) / 1_000).unwrap();
                }
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(late.len(), sessions, "a session has not ended");
    let at = |quantile| late.value_at_quantile(quantile);
    println!(
        "ended after their moment, ms: p50 {}, p99 {}, at most {}",
        at(0.5),
        at(0.99),
        late.max()
    );
}
