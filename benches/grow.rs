//! What does a command or a query cost as the journal grows?
//!
//! ```text
//!   --generate DIR ─► a journal of so many events and entities, for this and other benchmarks
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

#[path = "support/flags.rs"]
mod flags;
#[path = "support/generate.rs"]
mod generate;

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::generate::{Plan, generate};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let Some(directory) = flags::text("--generate") else {
        return println!("say where: --generate DIR");
    };
    make(Path::new(&directory));
}

/// Makes a journal and says what it cost.
fn make(directory: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let plan = Plan {
        events: flags::number("--events", 10_000_000),
        entities: flags::number("--entities", 1_000_000),
        live_percent: flags::number("--live", 90),
        days: flags::number("--days", 28),
        until_us: flags::number("--until-us", u64::try_from(now.as_micros()).unwrap()),
        seed: flags::number("--seed", 1),
    };
    let started = Instant::now();
    let made = generate(directory, &plan);
    let seconds = started.elapsed().as_secs_f64();
    let per_event = |folder: &str| size_bytes(&directory.join(folder)) as f64 / made.events as f64;
    println!(
        "{} events in {seconds:.1} s: {:.0} events/s",
        made.events,
        made.events as f64 / seconds
    );
    println!("sessions: {} live, {} over", made.sessions_live, made.sessions_over);
    println!("locks: {} held, {} free", made.locks_held, made.locks_free);
    println!(
        "bytes an event: segments {:.0}, store {:.0}",
        per_event("segments"),
        per_event("store")
    );
}

fn size_bytes(folder: &Path) -> u64 {
    let mut size = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        size += if meta.is_dir() { size_bytes(&entry.path()) } else { meta.len() };
    }
    size
}
