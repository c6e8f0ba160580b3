//! What does a journal weigh, and how fast is it verified? (P9)
//!
//! ```text
//!   records, as encoded ─┬─ segments: how much more?
//!                        ├─ store: the second copy and all indexes
//!                        └─ verify: both copies, every record
//! ```
//!
//! See `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

#[expect(dead_code, reason = "this one has no number")]
#[path = "support/flags.rs"]
mod flags;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mainstay::journal::{ReadLog as _, Reader, VerifyOptions, verify};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Both copies and all indexes, of the encoded records.
const WEIGHT: f64 = 3.5;
/// Records verified in a second.
const VERIFIED: f64 = 1e6;

fn main() {
    let data: PathBuf = flags::text("--data")
        .unwrap_or_else(|| {
            panic!("--data DIR: a journal as `cargo bench --bench grow -- --generate DIR` makes it")
        })
        .into();
    let (records, encoded) = encoded(&data);
    let segments = weigh(&data.join("segments"));
    let store = weigh(&data.join("store"));
    let kept = weigh(&data.join("kept"));
    let share = |bytes: u64| bytes as f64 / encoded as f64;
    println!("| {records} events | bytes | an event | of the encoded records |");
    println!("|---|---|---|---|");
    for (what, bytes) in [
        ("records, as encoded", encoded),
        ("segments", segments),
        ("store", store),
        ("checkpoint", kept),
        ("all", segments + store + kept),
    ] {
        let each = bytes as f64 / records as f64;
        println!("| {what} | {bytes} | {each:.0} | {:.2} |", share(bytes));
    }
    println!("ratio: {:.2} (goal at most {WEIGHT})", share(segments + store + kept));
    for segments_only in [true, false] {
        let options = VerifyOptions { segments_only, ..VerifyOptions::default() };
        let started = Instant::now();
        let report = verify(&data, &options, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
        let per_second = report.records as f64 / started.elapsed().as_secs_f64();
        assert!(report.is_good(), "{:?}", report.findings);
        let what = if report.store_checked { "both copies" } else { "segments" };
        println!("verify, {what}: {per_second:.0} records/s (goal {VERIFIED:.0})");
    }
}

/// How many records, and their bytes.
fn encoded(data: &Path) -> (u64, u64) {
    let (mut records, mut bytes) = (0, 0);
    let reader = Reader::open(data).unwrap();
    reader
        .scan(1, u64::MAX, &mut |record| {
            records += 1;
            // Without epoch and position, which a record does not hold.
            bytes += record.leaf().len() as u64 - 12;
            ControlFlow::Continue(())
        })
        .unwrap();
    (records, bytes)
}

/// Bytes of the files in a folder, as the disk holds them.
fn weigh(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let weight = |path: PathBuf| match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => weigh(&path),
        // Blocks of 512 bytes, whatever the file system's own are.
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(|entry| weight(entry.unwrap().path())).sum()
}
