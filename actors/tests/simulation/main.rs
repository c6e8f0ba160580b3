//! Hosts over a simulated disk live, crash and start again, as a seed says; what clients were told is
//! held against what the journal has.
//!
//! ```text
//!   seed ─► plan of a life ─► clients, faults, commits ─► crash ─► … ─► a last, quiet life ─► checks
//! ```
//!
//! `cargo test` runs a number of seeds; more of them: `just simulate 2000`. A seed that fails is
//! printed; `MAINSTAY_SEED=17 cargo test --test simulation seeds` runs it again.
//! Seeds that have failed once lie in `seeds.txt` and are run each time.
#![cfg(test)]
#![cfg(feature = "host")]

mod chance;
mod checks;
mod clients;
mod history;
mod life;
mod orderly;
mod plan;
#[cfg(feature = "planted")]
mod planted;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chance::Chance;
use checks::{answers, breakers, journal, locks};
use life::World;
use plan::Plan;

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 200;
/// Seeds that run beside each other.
const THREADS: usize = 2;
/// Runs one seed, named before it.
const AGAIN: &str = "cargo test --test simulation seeds";

/// What a seed came to.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    /// Answers, by yes or no.
    answers: usize,
    /// Events in the journal.
    events: usize,
    /// What was asked and answered, in order, without times and tokens.
    trace: Vec<String>,
}

/// Runs a seed; an error says what did not hold.
fn run(seed: u64) -> Result<Ran, String> {
    let mut chance = Chance::of(seed, 0, 0);
    let mut world = World::new(seed);
    let lives = chance.within(2, 5);
    for number in 1..=lives {
        let plan = Plan::draw(&mut chance);
        world.live(number, plan)?;
    }
    world.live(lives + 1, Plan::last(&mut chance))?;
    let (scene, entries) = (world.scene.borrow(), &world.seen);
    let history = &scene.history;
    journal::has_all_that_was_acknowledged(history, entries)?;
    journal::refusals_left_nothing(history, entries)?;
    answers::are_not_stale(history)?;
    answers::follow_from_the_journal(history, entries)?;
    locks::one_at_a_time(entries)?;
    locks::holders_never_meet(history, entries)?;
    locks::tokens_rise_in_real_time(history)?;
    breakers::admit_within_permits(history, entries)?;
    breakers::verdicts_count_their_own(history, entries)?;
    let trace = history.acts.iter().map(|act| {
        let (stream, key, position) = (&act.stream, &act.key, act.position());
        format!("{stream} {key:?} after {} at {position:?}", act.asked.head)
    });
    Ok(Ran { answers: history.answered(), events: entries.len(), trace: trace.collect() })
}

/// As [`run`]; a panic is an error too.
fn attempt(seed: u64) -> Result<Ran, String> {
    catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "it panicked".to_owned()))
    })
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.trim().parse().unwrap())
}

/// The seed named in the environment, else those that failed once and as many as are asked for.
fn seeds() -> Vec<u64> {
    if let Some(seed) = number("MAINSTAY_SEED") {
        return vec![seed];
    }
    let known = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let known = known.filter_map(|line| line.split_whitespace().next()?.parse().ok());
    known.chain(1..=number("MAINSTAY_SEEDS").unwrap_or(SEEDS)).collect()
}

#[test]
fn seeds_lose_nothing_and_break_no_promise() {
    let seeds = seeds();
    let next = AtomicUsize::new(0);
    let ran = Mutex::new((0, 0));
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let of_seed = attempt(*seed).map_err(|reason| (*seed, reason))?;
            let mut ran = ran.lock().unwrap();
            ran.0 += of_seed.answers;
            ran.1 += of_seed.events;
        }
        Ok(())
    };
    let failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().err()).collect()
    });
    let (answers, events) = ran.into_inner().unwrap();
    println!("campaign: {} seeds, {answers} answers, {events} events", seeds.len());
    for (seed, reason) in &failed {
        eprintln!("seed {seed}: {reason}\nrun it again: MAINSTAY_SEED={seed} {AGAIN}");
    }
    assert!(failed.is_empty(), "{} seeds failed, see above", failed.len());
    assert!(answers > 100 * seeds.len(), "hardly anything was answered: {answers}");
}

#[test]
fn a_seed_says_everything() {
    for seed in [3, 5, 8] {
        assert_eq!(run(seed).unwrap(), run(seed).unwrap(), "seed {seed}");
    }
}
