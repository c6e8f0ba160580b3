//! How long does a page of an audit take on a large journal?
//!
//! ```text
//!   journal of --data ─► records at random ─► questions ─► find · find_back, 100 rows ─► p50, p99
//!                                        └──► stream_head · read_stream
//! ```
//!
//! The journal comes from `cargo bench --bench grow -- --generate DIR`. See `benches/README.md`.

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
#[path = "support/questions.rs"]
mod questions;
#[path = "support/times.rs"]
mod times;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mainstay::journal::{LocalLog, Options, Query, ReadLog, StreamId};

use crate::questions::{ALONE, Question, Sample, TOGETHER, samples};
use crate::times::{Times, ms, us};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a page.
const ROWS: usize = 100;
/// No kind of question is asked for longer than this in all.
const PATIENCE: Duration = Duration::from_secs(3);

fn main() {
    let data = flags::text("--data").expect("--data DIR: a journal of `grow --generate`");
    let runs = flags::number("--runs", 300);
    let only = flags::text("--only").unwrap_or_default();
    let started = Instant::now();
    let log = LocalLog::open(&data, &Options { create: false, ..Options::default() }, |_, _| {});
    let log = log.unwrap();
    println!("{} events, opened in {:?}", log.head().position, started.elapsed());
    let started = Instant::now();
    let samples = samples(&log, runs);
    warm(&log, &samples);
    println!("warm after {:?}\n", started.elapsed());
    println!("| question | rows | p50 ms | p99 ms | newest first: p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|");
    for question in ALONE.iter().chain(&TOGETHER).filter(|it| it.0.contains(&only)) {
        ask(&log, &samples, question);
    }
    println!();
    println!("| stream | p50 us | p99 us | max us |");
    println!("|---|---|---|---|");
    streams(&log, &samples);
}

/// Touches every index once, so that what is measured is what a server answers all day.
fn warm(log: &LocalLog, samples: &[Sample]) {
    for sample in samples {
        log.stream_head(&sample.stream, u64::MAX).unwrap();
    }
    let query = Query { correlation: Some("nothing".to_owned()), ..Query::default() };
    log.find(&query, &mut |_| ControlFlow::Continue(())).unwrap();
}

fn ask(log: &LocalLog, samples: &[Sample], (name, query): &Question) {
    let mut rows = Vec::new();
    let [forth, back] = [false, true].map(|back| {
        let (mut times, started) = (Vec::new(), Instant::now());
        for query in samples.iter().filter_map(query) {
            let mut seen = 0;
            let asked = Instant::now();
            let mut visit = |_: mainstay::journal::RecordRef<'_>| {
                seen += 1;
                if seen < ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            if back {
                log.find_back(&query, &mut visit).unwrap();
            } else {
                log.find(&query, &mut visit).unwrap();
            }
            times.push(asked.elapsed());
            rows.push(seen);
            if started.elapsed() > PATIENCE {
                break;
            }
        }
        Times::of(times)
    });
    rows.sort_unstable();
    let median = rows.get(rows.len() / 2).copied().unwrap_or_default();
    println!(
        "| {name} | {median} | {:.2} | {:.2} | {:.2} | {:.2} |",
        ms(forth.p50),
        ms(forth.p99),
        ms(back.p50),
        ms(back.p99)
    );
}

/// What the host does when a command meets an entity that is not in memory.
fn streams(log: &LocalLog, samples: &[Sample]) {
    type Read<'r> = (&'r str, &'r dyn Fn(&Sample));
    let nobody = |it: &Sample| StreamId::new("lock", &format!("nobody-{}", it.position)).unwrap();
    let short = |it: &Sample| it.stream.kind() != "dependency" && it.stream.kind() != "system";
    let reads: [Read<'_>; 4] = [
        ("head, known", &|it| assert!(log.stream_head(&it.stream, u64::MAX).is_ok())),
        ("head, unknown", &|it| assert!(log.stream_head(&nobody(it), u64::MAX).is_ok())),
        ("all records, known", &|it| {
            log.read_stream(&it.stream, u64::MAX, &mut |_| ControlFlow::Continue(())).unwrap();
        }),
        ("all records, unknown", &|it| {
            log.read_stream(&nobody(it), u64::MAX, &mut |_| ControlFlow::Continue(())).unwrap();
        }),
    ];
    for (name, read) in reads {
        let timed = samples.iter().filter(|it| short(it)).map(|sample| {
            let asked = Instant::now();
            read(sample);
            asked.elapsed()
        });
        let Times { p50, p99, max } = Times::of(timed.collect());
        let [p50, p99, max] = [p50, p99, max].map(us);
        println!("| {name} | {p50:.1} | {p99:.1} | {max:.1} |");
    }
}
