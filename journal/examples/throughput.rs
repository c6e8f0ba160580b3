//! How fast the writer is: `cargo run --release -p mainstay-journal --example throughput -- DIR`
//!
//! Prints appends a second, beside a raw file with the same groups, and the disk's sync time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mainstay_journal::{
    Append, Draft, Envelope, EventLog as _, LocalLog, Options, Outcome, ReadLog as _, StreamId,
};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, rounds and may fail"
)]
fn main() {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap_or_else(|| "throughput.journal".into());
    let total: u64 = args.next().map_or(2_000_000, |text| text.parse().unwrap());
    let in_flight: u64 = args.next().map_or(1024, |text| text.parse().unwrap());
    let streams: u64 = args.next().map_or(10_000, |text| text.parse().unwrap());
    let store = args.next().is_none_or(|text| text != "no-store");
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let options = Options { store, ..Options::default() };
    let log = LocalLog::open(&root, &options, move |_, outcomes: Vec<Outcome>| {
        let fine = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed { .. }));
        assert!(fine, "{:?}", outcomes.first());
        counter.fetch_add(outcomes.len() as u64, Ordering::Release);
    })
    .unwrap();
    let base = log.head().position;
    let start = now();
    let principal: Arc<str> = "bench".into();
    for n in 0..total {
        while n - done.load(Ordering::Acquire) >= in_flight {
            std::thread::yield_now();
        }
        let stream = StreamId::new("lock", &format!("{base}-{}", n % streams)).unwrap();
        let append = Append {
            activation: 1,
            stream,
            expected_version: n / streams,
            seen: None,
            envelope: Envelope {
                at_us: 1_795_305_600_000_000 + n,
                principal: Arc::clone(&principal),
                request: None,
                correlation: None,
                causation: None,
            },
            drafts: vec![Draft {
                type_id: 1,
                schema: 1,
                tags: mainstay_journal::Tags::new(),
                payload: vec![7; 120],
            }],
        };
        log.submit(append).unwrap();
    }
    while done.load(Ordering::Acquire) < total {
        std::thread::yield_now();
    }
    let took = start.elapsed().as_secs_f64();
    let status = log.status();
    println!("{:.0} appends/s, {in_flight} in flight, {streams} streams", total as f64 / took);
    println!("sync p50 {} us, p99 {} us", status.sync_p50_us, status.sync_p99_us);
    println!("{} segments, {} bytes, store {:?}", status.segments, status.size_bytes, status.store);
    let start = now();
    let mut count = 0_u64;
    log.scan(1, u64::MAX, &mut |_| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    println!("scan {:.0} records/s", count as f64 / start.elapsed().as_secs_f64());
}
