//! What does sealing cost: a key, a value sealed, a value opened?
//!
//! ```text
//!   cargo bench --bench seal             100,000 subjects
//!   cargo bench --bench seal -- --check  a hundred: does it run?
//! ```
//!
//! Each row is the median of five rounds. Keys are asked for by so many tasks at once, as requests
//! over HTTP ask for them; an opening includes reading the key from its file.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark measures, prints, and stops at the first surprise"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay::actors::session::Sealed;
use mainstay::vault::Vault;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Tasks that ask for a key at the same moment.
const AT_ONCE: usize = 256;
const ROUNDS: usize = 5;

fn main() {
    let check = std::env::args().any(|argument| argument == "--check" || argument == "--test");
    let subjects = if check { 100 } else { 100_000 };
    let scratch = tempfile::tempdir().expect("a folder");
    let vault = Vault::at(scratch.path());
    vault.open().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let started = Instant::now();
    make(&runtime, &vault, subjects);
    let seconds = started.elapsed().as_secs_f64();
    println!("keys       {subjects} made by {AT_ONCE} at once: {:.0}/s", subjects as f64 / seconds);
    vault.close();
    let started = Instant::now();
    vault.open().unwrap();
    println!("start      {:.1} ms for {subjects} keys", started.elapsed().as_secs_f64() * 1e3);
    for size in [8, 32, 1_024, 16_384] {
        values(&vault, subjects, size);
    }
}

fn make(runtime: &Runtime, vault: &Arc<Vault>, subjects: usize) {
    runtime.block_on(async {
        let mut asked = JoinSet::new();
        for subject in 0..subjects {
            if asked.len() >= AT_ONCE {
                asked.join_next().await.unwrap().unwrap();
            }
            let (vault, name) = (vault.clone(), vault.name("t", &subject.to_string()).unwrap());
            asked.spawn(async move { drop(vault.key_to_seal(name).await.unwrap()) });
        }
        asked.join_all().await;
    });
}

/// One value of each of many subjects, sealed and opened.
fn values(vault: &Vault, subjects: usize, size: usize) {
    let count = subjects.min(20_000.min(16_000_000 / size));
    let plain = vec![7; size];
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let names: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        let started = Instant::now();
        let keys: Vec<_> =
            names.iter().map(|name| vault.key(vault.name("t", name).unwrap()).unwrap()).collect();
        rounds[0].push(started.elapsed());
        let started = Instant::now();
        let sealed: Vec<Sealed> =
            keys.iter().map(|key| key.seal("t/1", "a", black_box(&plain)).unwrap()).collect();
        rounds[1].push(started.elapsed());
        let started = Instant::now();
        for (key, sealed) in keys.iter().zip(&sealed) {
            black_box(key.open("t/1", "a", sealed).unwrap());
        }
        rounds[2].push(started.elapsed());
    }
    let [key, seal, open] = rounds.map(|mut rounds| {
        rounds.sort_unstable();
        rounds.get(ROUNDS / 2).map_or(0.0, Duration::as_secs_f64) * 1e6 / count as f64
    });
    println!("{size:>6} B   key read {key:.2} µs, sealed {seal:.2} µs, opened {open:.2} µs");
}
