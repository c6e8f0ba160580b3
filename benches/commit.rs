//! How fast is a durable command, beside the limit of the disk?
//!
//! ```text
//!   clients (256 in flight) ─► host ─► journal        P1: acquire + release on distinct locks
//!                                └──► raw file        P3: patches of one session
//! ```
//!
//! The limit is the same actor path over a CRC-framed append file with one `fdatasync` a group: no
//! blocks, no chain, no index, no second copy. Both run in turn, in the same minutes, on the same
//! disk; quote the ratio. See `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

#[path = "support/raw.rs"]
mod raw;
#[path = "support/run.rs"]
mod run;
#[path = "support/sync.rs"]
mod sync;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay::actors::host::{Host, HostOptions, Limits, OpenLog};
use mainstay::journal::{EventLog, Keyring, LocalLog, MemoryLog, Options};

use crate::raw::RawLog;
use crate::run::{Figures, Load, drive};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of the raw file's commands/s.
const RATIO: f64 = 0.85;
/// By the raw file's 99th percentile.
const P99_RATIO: f64 = 2.0;
/// The store at the end of a run.
const BEHIND_SECONDS: f64 = 1.0;
/// Durable patches of one session in a second.
const ONE_SESSION: f64 = 120_000.0;

fn main() {
    let flag = |name: &str, default: u64| {
        let mut arguments = std::env::args().skip_while(|it| it != name);
        arguments.nth(1).and_then(|it| it.parse().ok()).unwrap_or(default)
    };
    let seconds = Duration::from_secs(flag("--seconds", 5));
    let rounds = flag("--rounds", 5);
    let locks = flag("--locks", 10_000);
    // All of them in memory, unless it is asked otherwise.
    let residents = usize::try_from(flag("--residents", locks.saturating_add(1_000))).unwrap();
    let in_flight = usize::try_from(flag("--in-flight", 256)).unwrap();
    let text = |name: &str| std::env::args().skip_while(|it| it != name).nth(1);
    let only = text("--only").unwrap_or_default();
    let dir = text("--dir");
    let scratch = match dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")),
    };
    let scratch = scratch.unwrap();

    let sealed = std::env::args().any(|it| it == "--sealed");
    let keyring = if sealed { a_key(scratch.path()) } else { Keyring::default() };

    println!("disk: fdatasync p50 {} us (16 KiB appends)", sync::p50_us(scratch.path()));
    println!("{rounds} rounds of {} s each, {in_flight} in flight\n", seconds.as_secs());
    for (title, load) in [
        (format!("P1  acquire + release, {locks} locks"), Load::Locks { locks }),
        ("P3  patches of one session".to_owned(), Load::OneSession),
    ] {
        if !title.starts_with(&only) {
            continue;
        }
        println!("{title}");
        println!("| journal | commands/s | p50 ms | p99 ms | store behind | sync p50, p99 us |");
        println!("|---|---|---|---|---|---|");
        let mut figures: [Vec<Figures>; 3] = Default::default();
        for round in 0..rounds {
            for (index, journal) in JOURNALS.iter().enumerate() {
                let path = scratch.path().join(format!("{round}-{index}"));
                std::fs::create_dir_all(&path).unwrap();
                let host = host(journal, &path, residents, &keyring);
                figures[index].push(drive(&host, load, in_flight, seconds));
                run::close(host);
                std::fs::remove_dir_all(&path).unwrap();
            }
        }
        let medians = figures.map(|rounds| run::median(&rounds));
        for (journal, it) in JOURNALS.iter().zip(&medians) {
            let Figures { per_second, p50_ms, p99_ms, lag, sync_us: (p50, p99) } = it;
            println!(
                "| {journal} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {lag} | {p50}, {p99} |"
            );
        }
        let [ours, limit, _] = medians;
        println!(
            "\nratio to the raw file: {:.2} of its commands/s (goal {RATIO}), {:.2} × its p99 (goal \
             {P99_RATIO})",
            ours.per_second / limit.per_second,
            ours.p99_ms / limit.p99_ms
        );
        let behind = ours.lag as f64 / ours.per_second;
        println!("store behind at the end: {behind:.2} s (goal {BEHIND_SECONDS})");
        match load {
            Load::Locks { .. } => println!(),
            Load::OneSession => {
                println!("one session: {:.0} commands/s (goal {ONE_SESSION})\n", ours.per_second);
            },
        }
    }
    println!("disk: fdatasync p50 {} us (16 KiB appends)", sync::p50_us(scratch.path()));
}

const JOURNALS: [&str; 3] = ["segments + sled", "raw file", "no disk"];

/// A new key in a file of its own.
fn a_key(folder: &Path) -> Keyring {
    let path = folder.join("journal.key");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.unwrap().write_all(Keyring::new_line().unwrap().as_bytes()).unwrap();
    Keyring::read(&path).unwrap()
}

fn host(journal: &str, path: &Path, residents: usize, keyring: &Keyring) -> Host {
    let path = path.to_owned();
    let options = Options { keyring: keyring.clone(), ..Options::default() };
    let open: OpenLog = match journal {
        "segments + sled" => Box::new(move |mut sink| {
            let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
            let log = LocalLog::open(&path, &options, sink)?;
            Ok(Arc::new(log) as Arc<dyn EventLog>)
        }),
        "raw file" => Box::new(move |sink| {
            let log = RawLog::open(&path.join("raw"), sink).map_err(|e| e.to_string())?;
            Ok(Arc::new(log) as Arc<dyn EventLog>)
        }),
        _ => Box::new(move |mut sink| {
            let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
            Ok(Arc::new(MemoryLog::immediate(sink)) as Arc<dyn EventLog>)
        }),
    };
    let limits = Limits { residents, ..Limits::default() };
    Host::open(open, HostOptions { limits, ..HostOptions::default() }).unwrap()
}
