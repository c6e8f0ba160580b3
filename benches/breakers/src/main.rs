//! What does a guarded call cost, beside other Rust breakers? P4
//!
//! Every contender runs the same empty call in the same run, in turns; medians over the rounds.
//!
//! | load | |
//! |---|---|
//! | closed | the call is made, and succeeds |
//! | rejecting | the breaker is open |
//! | 10,000 | closed, one of ten thousand breakers at random |
//!
//! mainstay counts over 60 s and tells slow calls apart; the others have what they offer.

mod contenders;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use contenders::{Contender, all};

/// Few enough that most rounds are over before the system gives the core to somebody else.
const CALLS: u32 = 200_000;
/// Enough that all of ten thousand breakers are in the cache, as they are where they are in use.
const WARM: u32 = 100_000;
const ROUNDS: usize = 61;

/// Nanoseconds of one call, as each thread sees it.
fn measure(contender: &Contender, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let took: Vec<f64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut call = (contender.prepare)();
                    call(WARM);
                    barrier.wait();
                    let began = Instant::now();
                    call(CALLS);
                    began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    took.iter().sum::<f64>() / took.len() as f64
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() {
    let only = std::env::args().nth(1).filter(|name| !name.starts_with("--"));
    let contenders: Vec<Contender> = all();
    let chosen: Vec<&Contender> =
        contenders.iter().filter(|it| only.as_ref().is_none_or(|only| it.name.contains(only))).collect();
    let mut figures = vec![[Vec::new(), Vec::new()]; chosen.len()];
    for _ in 0..ROUNDS {
        for (contender, figures) in chosen.iter().zip(&mut figures) {
            for (threads, figures) in (1..).zip(figures.iter_mut()) {
                figures.push(black_box(measure(contender, threads)));
            }
        }
    }
    println!("| ns a call, median of {ROUNDS} | 1 thread | 2 threads |\n|---|---|---|");
    for (contender, [one, two]) in chosen.iter().zip(figures) {
        println!("| {} | {:.1} | {:.1} |", contender.name, median(one), median(two));
    }
}
