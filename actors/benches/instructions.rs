//! How many instructions do decide, append and fold take? A gate: they do not depend on the
//! neighbours, as times do.
//!
//! ```text
//!   just instructions ─► this program ─► valgrind --tool=callgrind ─► this program, one case
//!                             ▲                                          └ counted() only
//!                             └── instructions.toml: a rise of over 10 % fails
//! ```
//!
//! | case | one operation |
//! |---|---|
//! | `decide_lock` | acquire and release a free lock: two decisions and their folds |
//! | `decide_lock_queue` | release a lock that others wait for: the next one is granted |
//! | `decide_session` | patch one of sixteen attributes |
//! | `decide_dependency` | record a window of a hundred outcomes |
//! | `gate_outcome` | count one outcome |
//! | `call_closed`, `call_by_calls`, `call_rejected` | a guarded call: window over seconds, over calls; an open breaker |
//! | `append_alone`, `append_group` | one record on its way to the disk, in a group of 1 and of 128 |
//! | `scan` | one record read and checked |
//! | `fold` | one record decoded and folded |
//! | `recover` | one record found by a cold open |
//!
//! gungraun was looked at: its runner is installed apart in every CI run, and its baselines lie in
//! the target folder and not beside the code.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints figures and stops when it cannot go on"
)]

#[path = "instructions/append.rs"]
mod append;
#[path = "instructions/baseline.rs"]
mod baseline;
#[path = "instructions/call.rs"]
mod call;
#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "instructions/decide.rs"]
mod decide;
#[path = "instructions/fold.rs"]
mod fold;
#[path = "instructions/journal.rs"]
mod journal;

use std::process::ExitCode;

use baseline::{Baseline, Verdict};

/// One thing that is counted: how many operations, and what prepares the work that does them.
struct Case {
    name: &'static str,
    operations: u64,
    prepare: fn() -> Box<dyn FnMut()>,
}

const CASES: [Case; 13] = [
    Case { name: "decide_lock", operations: decide::ROUNDS, prepare: decide::lock },
    Case { name: "decide_lock_queue", operations: decide::WAITERS, prepare: decide::lock_queue },
    Case { name: "decide_session", operations: decide::ROUNDS, prepare: decide::session },
    Case { name: "decide_dependency", operations: decide::WINDOWS, prepare: decide::dependency },
    Case { name: "gate_outcome", operations: decide::OUTCOMES, prepare: decide::outcome },
    Case { name: "call_closed", operations: call::CALLS, prepare: call::closed },
    Case { name: "call_by_calls", operations: call::CALLS, prepare: call::by_calls },
    Case { name: "call_rejected", operations: call::CALLS, prepare: call::rejected },
    Case { name: "append_alone", operations: append::ALONE, prepare: append::alone },
    Case { name: "append_group", operations: append::TOGETHER, prepare: append::group },
    Case { name: "scan", operations: fold::RECORDS, prepare: fold::scan },
    Case { name: "fold", operations: fold::RECORDS, prepare: fold::fold },
    Case { name: "recover", operations: fold::RECORDS, prepare: fold::recover },
];

/// The profile that the baseline is of: see the workspace's `Cargo.toml`.
const PROFILE: &str = "counts";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(name) = arguments.iter().skip_while(|it| *it != "--case").nth(1) {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let mut work = (case.prepare)();
        counted(&mut *work);
        return ExitCode::SUCCESS;
    }
    if !callgrind::is_here() {
        println!("!!! valgrind is not installed: INSTRUCTIONS ARE NOT COUNTED (Debian: valgrind)");
        return ExitCode::SUCCESS;
    }
    let built = std::env::current_exe().unwrap();
    let comparable = built.components().any(|part| part.as_os_str() == PROFILE);
    let counts: Vec<(&str, u64)> = CASES
        .iter()
        .map(|case| (case.name, callgrind::count(case.name) / case.operations))
        .collect();
    if arguments.iter().any(|it| it == "--bless") {
        assert!(comparable, "bless what the profile {PROFILE} gives: just instructions --bless");
        Baseline::bless(&counts);
    }
    told(&counts, comparable)
}

/// The one function whose instructions are counted, with all that it calls.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(());
}

/// Prints the table; fails if one case is not as it should be.
fn told(counts: &[(&str, u64)], comparable: bool) -> ExitCode {
    let baseline = Baseline::read();
    println!("| case | instructions an operation | baseline | change |");
    println!("|---|---|---|---|");
    let mut verdicts = Vec::new();
    for (name, count) in counts {
        let (shown, change, verdict) = baseline.compare(name, *count);
        println!("| {name} | {count} | {shown} | {change} |");
        verdicts.push((name, verdict));
    }
    if !comparable {
        println!("not compared: the baseline is of the profile {PROFILE}; run `just instructions`");
        return ExitCode::SUCCESS;
    }
    let mut code = ExitCode::SUCCESS;
    for (name, verdict) in verdicts {
        match verdict {
            Verdict::Fine => {},
            Verdict::Lower => {
                println!("{name} {verdict}: lower the baseline, just instructions --bless");
            },
            Verdict::Unknown | Verdict::Rose => {
                println!("!!! {name} {verdict}");
                code = ExitCode::FAILURE;
            },
        }
    }
    if code == ExitCode::FAILURE {
        println!(
            "make it cheaper, or, if it is so on purpose, commit a new baseline with the change: \
             just instructions --bless"
        );
        println!("{}", baseline.origin());
    }
    code
}
