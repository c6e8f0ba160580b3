//! Which call fails, how, when, and on what.

use std::fmt;

/// One injected fault.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) call: &'static str,
    error: &'static str,
    /// Of each thread's calls, from 1.
    nth: u32,
    /// That one and all after it.
    for_good: bool,
    /// On a journal that has events and a store, so that they are opened and recovered.
    pub(super) grown: bool,
}

/// Calls that change something or make it durable, and how many of a thread are of interest. Segments
/// and keys are written with `pwrite64`; sockets and wake-ups use `write`, which is left alone.
const CALLS: [(&str, u32); 7] = [
    ("pwrite64", 48),
    ("fdatasync", 40),
    ("fsync", 14),
    ("rename", 8),
    ("openat", 60),
    ("ftruncate", 3),
    ("mkdir", 6),
];

const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

impl Case {
    /// What strace is told.
    pub(super) fn inject(&self) -> String {
        let Self { call, error, nth, for_good, .. } = self;
        let more = if *for_good { "+" } else { "" };
        format!("inject={call}:error={error}:when={nth}{more}")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let journal = if self.grown { "grown" } else { "young" };
        write!(f, "{} on a {journal} journal", self.inject())
    }
}

/// Every case.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (call, most) in CALLS {
        for nth in 1..=most {
            for error in ERRORS {
                for for_good in [false, true] {
                    for grown in [false, true] {
                        cases.push(Case { call, error, nth, for_good, grown });
                    }
                }
            }
        }
    }
    cases
}

/// A few of each call.
pub(super) fn sample() -> Vec<Case> {
    let all = all();
    let of = |wanted: &str, every: usize| {
        let of_call = all.iter().filter(|case| case.call == wanted);
        of_call.skip(every / 3).step_by(every).cloned().collect::<Vec<_>>()
    };
    // Steps that are odd meet every combination of the other choices.
    [
        of("pwrite64", 53),
        of("fdatasync", 45),
        of("fsync", 37),
        of("rename", 29),
        of("openat", 151),
        of("ftruncate", 13),
        of("mkdir", 23),
    ]
    .concat()
}
