//! The committed counts, and what a new count is beside them.
//!
//! | count | verdict |
//! |---|---|
//! | over 1.1 × the baseline | rose: fails |
//! | under 0.9 × the baseline | fell: the baseline is to be lowered, or the next rise hides in it |
//! | no baseline | fails |

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::process::Command;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");

/// How far a count may be from the baseline, in percent.
const TOLERANCE: u64 = 10;

/// Counts by case, and the compiler that they are of.
pub(crate) struct Baseline {
    counts: BTreeMap<String, u64>,
    compiler: String,
}

/// What a count is beside its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    Rose,
    Lower,
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "is as it was",
            Self::Rose => "rose by over 10 %",
            Self::Lower => "fell by over 10 %",
            Self::Unknown => "has no baseline",
        })
    }
}

impl Baseline {
    /// Reads the committed file: one `name = count` a line, under the compiler's version.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(PATH).unwrap_or_default();
        let mut counts = BTreeMap::new();
        let mut compiler = String::new();
        for (key, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
            match value.parse() {
                Ok(count) => drop(counts.insert(key.to_owned(), count)),
                Err(_) => value.trim_matches('"').clone_into(&mut compiler),
            }
        }
        Self { counts, compiler }
    }

    /// Writes the file.
    pub(crate) fn bless(counts: &[(&str, u64)]) {
        let mut text = String::from(
            "# Instructions an operation, by callgrind; see benches/README.md.\n\
             # Written by `just instructions --bless`.\n",
        );
        writeln!(text, "compiler = \"{}\"", compiler()).unwrap();
        for (name, count) in counts {
            writeln!(text, "{name} = {count}").unwrap();
        }
        std::fs::write(PATH, text).unwrap();
    }

    /// The baseline and the change as they are shown, and the verdict.
    pub(crate) fn compare(&self, name: &str, count: u64) -> (String, String, Verdict) {
        let Some(&baseline) = self.counts.get(name) else {
            return (String::new(), String::new(), Verdict::Unknown);
        };
        let verdict = if count * 100 > baseline * (100 + TOLERANCE) {
            Verdict::Rose
        } else if count * 100 < baseline * (100 - TOLERANCE) {
            Verdict::Lower
        } else {
            Verdict::Fine
        };
        let sign = if count < baseline { '-' } else { '+' };
        let per_mille = count.abs_diff(baseline) * 1_000 / baseline.max(1);
        let change = format!("{sign}{}.{} %", per_mille / 10, per_mille % 10);
        (baseline.to_string(), change, verdict)
    }

    /// Of which compiler the baseline is, for whoever looks for the cause of a rise.
    pub(crate) fn origin(&self) -> String {
        format!("the baseline is of {}; this is {}", self.compiler, compiler())
    }
}

fn compiler() -> String {
    let asked = Command::new("rustc").arg("--version").output();
    let version = asked.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    version.unwrap_or_else(|_| "an unknown compiler".to_owned())
}
