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
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

#[path = "support/flags.rs"]
mod flags;
#[path = "support/pairs.rs"]
mod pairs;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/questions.rs"]
mod questions;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mainstay::journal::{LocalLog, Options, Query, ReadLog, StreamId};

use crate::pairs::TOGETHER;
use crate::plot::Plot;
use crate::questions::{ALONE, Question, Sample, samples};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a page.
const ROWS: usize = 100;
/// A page of one filter takes at most so long, for 99 of 100, in milliseconds.
const LIMIT_MS: f64 = 5.0;
/// No kind of question is asked for longer than this in all.
const PATIENCE: Duration = Duration::from_secs(3);

fn main() {
    let Some(data) = flags::text("--data") else {
        return println!("say which: --data DIR, a journal of `grow --generate`");
    };
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
    println!("one filter: p99 at most {LIMIT_MS} ms\n");
    println!("| question | rows | p50 ms | p99 ms | newest first: p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|");
    let mut bars = Vec::new();
    for question in ALONE.iter().filter(|it| it.0.contains(&only)) {
        let p99 = ask(&log, &samples, question);
        bars.push((question.0.to_owned(), p99.to_vec()));
    }
    for question in TOGETHER.iter().filter(|it| it.0.contains(&only)) {
        ask(&log, &samples, question);
    }
    println!();
    if flags::given("--plot") {
        let plot = Plot {
            title: format!("A page of 100 rows, {} events (P6)", log.head().position),
            unit: "ms",
            limit: Some((LIMIT_MS, format!("limit {LIMIT_MS} ms"))),
            rows: bars,
            series: vec!["p99, oldest first".to_owned(), "p99, newest first".to_owned()],
        };
        plot.write("query");
    }
    println!("| stream | p50 us | p99 us | max us |");
    println!("|---|---|---|---|");
    streams(&log, &samples);
}

/// Touches every index once, so that what is measured is what a server answers all day. The files
/// are in the page cache then, too, if there is room for them.
fn warm(log: &LocalLog, samples: &[Sample]) {
    for sample in samples {
        log.stream_head(&sample.stream, u64::MAX).unwrap();
    }
    let query = Query { correlation: Some("nothing".to_owned()), ..Query::default() };
    log.find(&query, &mut |_| ControlFlow::Continue(())).unwrap();
}

/// Asks in both directions; the 99th percentiles in milliseconds.
fn ask(log: &LocalLog, samples: &[Sample], (name, query): &Question) -> [f64; 2] {
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
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let [p99, back_p99] = [ms(forth.p99), ms(back.p99)];
    let over = if ALONE.iter().any(|it| it.0 == *name) && p99.max(back_p99) > LIMIT_MS {
        " **over**"
    } else {
        ""
    };
    println!(
        "| {name} | {median} | {:.2} | {p99:.2} | {:.2} | {back_p99:.2}{over} |",
        ms(forth.p50),
        ms(back.p50)
    );
    [p99, back_p99]
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
        let [p50, p99, max] = [p50, p99, max].map(|time| time.as_secs_f64() * 1e6);
        println!("| {name} | {p50:.1} | {p99:.1} | {max:.1} |");
    }
}

/// Where most of a set of durations lie.
struct Times {
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        let count = times.len();
        Self { p50: at(count / 2), p99: at(count * 99 / 100), max: at(count.saturating_sub(1)) }
    }
}
