//! How soon is a server ready on a large journal, and what does it take?
//!
//! ```text
//!   --data DIR ─► fold: scan + decode + apply, one core ────────────► events/s
//!              ├► server process: page cache dropped, or warm ──────► ready after, memory
//!              └► host in this process: N sessions asked for ───────► bytes an entity
//! ```
//!
//! The server is killed with `SIGKILL` each time, so that each start is one after a crash. See
//! `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

#[path = "support/cache.rs"]
mod cache;
#[path = "support/flags.rs"]
mod flags;
#[path = "support/host.rs"]
mod host;
#[path = "support/median.rs"]
mod median;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/starts.rs"]
mod starts;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use mainstay::actors::session::{Session, SessionCommand};
use mainstay::actors::world::World;
use mainstay::event::fold;
use mainstay::journal::{Query, ReadLog, Reader, StreamId};

use crate::median::median;
use crate::plot::Plot;
use crate::starts::{Start, start};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ready within so many seconds.
const READY_SECONDS: f64 = 2.0;
/// Events folded in a second on one core, with the blocks' hashes checked.
const FOLD_PER_SECOND: f64 = 2_500_000.0;
/// Bytes of memory that a resident entity may take.
const ENTITY_BYTES: f64 = 1_536.0;

fn main() {
    let Some(data) = flags::text("--data") else {
        return println!("say which: --data DIR, a journal of `grow --generate`");
    };
    let data = Path::new(&data);
    let rounds = flags::number("--rounds", 5);
    let only = flags::text("--only").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only == name;
    if wanted("fold") {
        folds(data, rounds);
    }
    if wanted("start") {
        starts(data, rounds);
    }
    if wanted("memory") {
        residents(data, flags::number("--entities", 50_000));
    }
}

/// The fold that a recovery without a snapshot does.
fn folds(data: &Path, rounds: u64) {
    let reader = Reader::open(data).unwrap();
    let count = reader.head().position;
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let started = Instant::now();
        reader.scan(1, count, &mut |_| ControlFlow::Continue(())).unwrap();
        seconds[0].push(started.elapsed().as_secs_f64());
        let (started, mut world) = (Instant::now(), World::default());
        reader
            .scan(1, count, &mut |record| {
                fold(&mut world, &record).unwrap();
                ControlFlow::Continue(())
            })
            .unwrap();
        seconds[1].push(started.elapsed().as_secs_f64());
    }
    println!("| {count} events, one core | events/s | limit |");
    println!("|---|---|---|");
    let [scan, fold] = seconds.map(|seconds| count as f64 / median(seconds));
    println!("| read, every block's hash checked | {scan:.0} | |");
    println!("| read, decode and fold into a world | {fold:.0} | {FOLD_PER_SECOND:.0} |\n");
}

/// From the start of the process until it is ready.
fn starts(data: &Path, rounds: u64) {
    let empty = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at_rest = start(empty.path(), false);
    println!("| start after `kill -9` | ready after s | limit s | memory at ready MB | peak MB |");
    println!("|---|---|---|---|---|");
    println!("| an empty journal | {:.2} | | {:.0} | |", at_rest.seconds, at_rest.rss_mb);
    let mut bars = vec![("an empty journal".to_owned(), vec![at_rest.seconds])];
    for (name, cold) in [("page cache cold", true), ("page cache warm", false)] {
        let all: Vec<Start> = (0..rounds).map(|_| start(data, cold)).collect();
        let of = |figure: fn(&Start) -> f64| median(all.iter().map(figure).collect());
        let seconds = of(|it| it.seconds);
        println!(
            "| {name} | {seconds:.2} | {READY_SECONDS} | {:.0} | {:.0} |",
            of(|it| it.rss_mb),
            of(|it| it.peak_mb)
        );
        bars.push((name.to_owned(), vec![seconds]));
    }
    println!();
    if flags::given("--plot") {
        let plot = Plot {
            title: "Ready after a crash (P5)".to_owned(),
            unit: "s",
            limit: Some((READY_SECONDS, format!("limit {READY_SECONDS} s"))),
            rows: bars,
            series: vec!["from the start of the process to a ready server".to_owned()],
        };
        plot.write("recovery");
    }
}

/// What so many sessions cost that were asked for.
fn residents(data: &Path, entities: u64) {
    let host = host::open(data);
    let sessions = sessions(&*host.log().unwrap(), entities);
    let before = memory::rss_bytes("self");
    let count = sessions.len();
    host::block_on(async {
        for session in sessions {
            // One that has ended says no, and is not resident.
            let meta = host::meta();
            drop(host.ask::<Session>(session, SessionCommand::Show, meta).await);
        }
    });
    let taken = memory::rss_bytes("self").saturating_sub(before) as f64;
    println!("| sessions asked for once | bytes each | limit |");
    println!("|---|---|---|");
    println!("| {count} | {:.0} | {ENTITY_BYTES:.0} |", taken / count as f64);
    host::block_on(host.close());
}

/// The newest sessions, each once.
fn sessions(log: &dyn ReadLog, entities: u64) -> Vec<StreamId> {
    let types = mainstay::event::type_ids("SessionCreated").unwrap();
    let mut found = Vec::new();
    log.find_back(&Query { types, ..Query::default() }, &mut |record| {
        found.push(StreamId::parse(record.stream).unwrap());
        let enough = found.len() as u64 >= entities;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    found
}
