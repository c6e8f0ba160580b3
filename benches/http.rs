//! How many durable operations a second over HTTP, beside other servers? (P2, P12)
//!
//! ```text
//!   connections, each waits for its answer ─► mainstay: acquire, release
//!                                           ─► the same server over memory
//!                                           ─► etcd: put · Redis: SET      (--etcd, --redis)
//! ```
//!
//! One client for all, in this process, on one thread: what it costs is the same for each. See
//! `benches/README.md`; `just bench-peers` starts the others.

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
#[path = "support/load.rs"]
mod load;
#[path = "support/median.rs"]
mod median;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/sync.rs"]
mod sync;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay::Config;
use mainstay::actors::host::{Host, HostOptions, OpenLog};
use mainstay::journal::{EventLog, LocalLog, MemoryLog, Options};
use mainstay::proofs::Notary;
use mainstay::server::{Beside, Named, Server};
use mainstay::vault::Vault;

use crate::load::{Figures, Target, drive};
use crate::median::median;
use crate::plot::Plot;

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of the same server over memory.
const OF_MEMORY: f64 = 0.8;
/// Of etcd.
const OF_ETCD: f64 = 2.0;
/// A batch over one connection, of single requests over it.
const OF_SINGLE: f64 = 10.0;
/// Connections that send batches beside each other.
const CROWD: usize = 8;
/// Commands in a batch.
const BATCH: usize = 50;

fn main() {
    let seconds = Duration::from_secs(flags::number("--seconds", 5));
    let rounds = flags::number("--rounds", 5);
    let scratch = match flags::text("--dir") {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")),
    };
    let scratch = scratch.unwrap();
    let peers = [("etcd", flags::text("--etcd")), ("Redis", flags::text("--redis"))];
    let peers: Vec<(&str, SocketAddr)> = peers
        .into_iter()
        .filter_map(|(name, address)| Some((name, address?.parse().unwrap())))
        .collect();
    println!("disk: fdatasync p50 {} us (16 KiB appends)", sync::p50_us(scratch.path()));
    println!("{rounds} rounds of {} s each\n", seconds.as_secs());
    let mut plot = Plot {
        title: "Durable operations a second over keep-alive connections".to_owned(),
        unit: "k/s",
        limit: None,
        rows: Vec::new(),
        series: vec!["64 connections".to_owned(), "256 connections".to_owned()],
    };
    for connections in [64, 256] {
        let measured = measure(scratch.path(), &peers, rounds, connections, seconds);
        report(&measured, connections, &mut plot);
    }
    batches(scratch.path(), rounds, seconds);
    if flags::given("--plot") {
        plot.write("http");
    }
    println!("disk: fdatasync p50 {} us (16 KiB appends)", sync::p50_us(scratch.path()));
}

/// Everybody in turn, so that a slow minute is slow for all.
fn measure(
    scratch: &Path,
    peers: &[(&str, SocketAddr)],
    rounds: u64,
    connections: usize,
    seconds: Duration,
) -> Vec<(String, Figures)> {
    let mut all: Vec<(String, Vec<Figures>)> = Vec::new();
    let mut keep = |name: &str, figures: Figures| match all.iter_mut().find(|it| it.0 == name) {
        Some((_, rounds)) => rounds.push(figures),
        None => all.push((name.to_owned(), vec![figures])),
    };
    for round in 0..rounds {
        for journal in [OURS, MEMORY] {
            let path = scratch.join(format!("{connections}-{round}"));
            let served = Served::start(journal, &path);
            keep(journal, drive(Target::Locks(served.address), connections, seconds));
            served.stop();
        }
        for (name, address) in peers {
            let target =
                if *name == "etcd" { Target::Etcd(*address) } else { Target::Redis(*address) };
            keep(name, drive(target, connections, seconds));
        }
    }
    all.into_iter().map(|(name, rounds)| (name, middle(&rounds))).collect()
}

fn middle(rounds: &[Figures]) -> Figures {
    let of = |part: fn(&Figures) -> f64| median(rounds.iter().map(part).collect());
    Figures {
        per_second: of(|it| it.per_second),
        p50_ms: of(|it| it.p50_ms),
        p99_ms: of(|it| it.p99_ms),
    }
}

fn report(measured: &[(String, Figures)], connections: usize, plot: &mut Plot) {
    println!("| {connections} connections | operations/s | p50 ms | p99 ms |");
    println!("|---|---|---|---|");
    for (name, Figures { per_second, p50_ms, p99_ms }) in measured {
        println!("| {name} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} |");
        match plot.rows.iter_mut().find(|row| row.0 == *name) {
            Some(row) => row.1.push(per_second / 1e3),
            None => plot.rows.push((name.clone(), vec![per_second / 1e3])),
        }
    }
    let of = |name: &str| measured.iter().find(|it| it.0 == name).map(|it| it.1.per_second);
    let ours = of(OURS).unwrap();
    for (name, goal) in [(MEMORY, Some(OF_MEMORY)), ("etcd", Some(OF_ETCD)), ("Redis", None)] {
        let Some(theirs) = of(name) else { continue };
        let goal = goal.map_or_else(|| "beside it".to_owned(), |goal| format!("goal {goal}"));
        println!("ratio to {name}: {:.2} ({goal})", ours / theirs);
    }
    println!();
}

/// Single requests and batches over one connection.
fn batches(scratch: &Path, rounds: u64, seconds: Duration) {
    let (mut single, mut batched, mut crowd) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let served = Served::start(OURS, &scratch.join(format!("batch-{round}")));
        single.push(drive(Target::Locks(served.address), 1, seconds).per_second);
        batched.push(drive(Target::Batches(served.address, BATCH), 1, seconds).per_second);
        crowd.push(drive(Target::Batches(served.address, BATCH), CROWD, seconds).per_second);
        served.stop();
    }
    let (single, batched) = (median(single), median(batched));
    println!(
        "one connection: {single:.0} single requests/s, {batched:.0} commands/s in batches of {BATCH}"
    );
    println!("ratio: {:.1} (goal {OF_SINGLE})", batched / single);
    println!("{CROWD} connections: {:.0} commands/s in batches\n", median(crowd));
}

const OURS: &str = "mainstay";
const MEMORY: &str = "mainstay over memory";

/// A server in this process.
struct Served {
    runtime: tokio::runtime::Runtime,
    host: Host,
    server: Server,
    address: SocketAddr,
}

impl Served {
    fn start(journal: &str, path: &Path) -> Self {
        let path = path.to_owned();
        let notary = Notary::at(&path);
        let open: OpenLog = if journal == OURS {
            Box::new(move |mut sink| {
                let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
                Ok(Arc::new(LocalLog::open(&path, &Options::default(), sink)?) as Arc<dyn EventLog>)
            })
        } else {
            Box::new(move |mut sink| {
                let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
                Ok(Arc::new(MemoryLog::immediate(sink)) as Arc<dyn EventLog>)
            })
        };
        let host = Host::open(open, HostOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut config = Config::default();
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (vault, backups) = (Vault::in_memory(), Arc::default());
        let beside = Beside::new(vault, notary, backups);
        let server = runtime.block_on(async {
            host.ready().await.unwrap();
            Server::start(&host, &beside, &config, Named::default()).await.unwrap()
        });
        let address = server.address();
        Self { runtime, host, server, address }
    }

    fn stop(self) {
        let Self { runtime, host, server, .. } = self;
        runtime.block_on(async {
            server.stop().await;
            host.close().await;
        });
    }
}
