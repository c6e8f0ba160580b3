//! What does a command or a query cost as the journal grows?
//!
//! ```text
//!   --generate DIR ─► a journal of so many events and entities, for this and other benchmarks
//!   --dir DIR      ─► journals of 10 k to 10 M events, made when missing ─► P10: costs, ratios
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

#[path = "support/commands.rs"]
mod commands;
#[path = "support/flags.rs"]
mod flags;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/growth.rs"]
mod growth;
#[path = "support/host.rs"]
mod host;
#[path = "support/median.rs"]
mod median;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/questions.rs"]
mod questions;

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::generate::{Plan, generate};
use crate::growth::Row;
use crate::plot::Plot;

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that the largest journal may cost, by the smallest.
const LIMIT: f64 = 1.2;

fn main() {
    if let Some(directory) = flags::text("--generate") {
        let events = flags::number("--events", 10_000_000);
        return make(Path::new(&directory), events, flags::number("--entities", 1_000_000));
    }
    let Some(directory) = flags::text("--dir") else {
        return println!("say where: --generate DIR, or --dir DIR for the journals of P10");
    };
    let most = flags::number("--events", 10_000_000);
    let sizes = [10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|it| *it <= most);
    let journals: Vec<(u64, PathBuf)> = sizes.map(|events| made(&directory, events)).collect();
    let rows = growth::measure(&journals, Path::new(&directory), flags::number("--rounds", 7));
    report(&journals, &rows);
}

/// The journal of so many events, and a tenth as many entities.
fn made(directory: &str, events: u64) -> (u64, PathBuf) {
    let path = Path::new(directory).join(format!("{events}"));
    if !path.join("JOURNAL").exists() {
        std::fs::create_dir_all(&path).unwrap();
        make(&path, events, events / 10);
    }
    (events, path)
}

fn report(journals: &[(u64, PathBuf)], rows: &[Row]) {
    let heads = journals.iter().map(|(events, _)| format!(" {} |", short(*events)));
    println!("\n| cost in us, by events |{} ratio |", heads.collect::<String>());
    println!("|---|{}---|", "---|".repeat(journals.len()));
    for row in rows {
        let costs = row.costs_us.iter().map(|cost| format!(" {cost:.1} |"));
        let verdict = if row.ratio() > LIMIT { " **over**" } else { "" };
        println!("| {} |{} {:.2}{verdict} |", row.name, costs.collect::<String>(), row.ratio());
    }
    if flags::given("--plot") {
        let bars = rows.iter().map(|row| (row.name.to_owned(), vec![row.ratio()]));
        let largest = journals.last().map_or(0, |it| it.0);
        let plot = Plot {
            title: "Growth: cost on the largest journal by the smallest (P10)".to_owned(),
            unit: "×",
            limit: Some((LIMIT, format!("limit {LIMIT} ×"))),
            rows: bars.collect(),
            series: vec![format!("{} by 10 k events", short(largest))],
        };
        plot.write("growth");
    }
}

/// 10 k, 10 M.
fn short(events: u64) -> String {
    if events < 1_000_000 {
        format!("{} k", events / 1_000)
    } else {
        format!("{} M", events / 1_000_000)
    }
}

/// Makes a journal and says what it cost.
fn make(directory: &Path, events: u64, entities: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let plan = Plan {
        events,
        entities,
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
