//! What is told of a drill: a document for programs, one for a repository, a page for people.
//!
//! ```text
//!   Report ─┬─ report.json    everything
//!           ├─ report.md      tables
//!           └─ report.html    the same with a timeline; one file, nothing from elsewhere
//! ```

mod html;
mod markdown;

use std::io;
use std::path::{Path, PathBuf};

use mainstay_actors::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use super::outcome::Outcome;
use crate::config::Span;

/// The layout of the document.
const FORMAT: u32 = 1;

/// A drill.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The layout of this document: 1.
    pub format: u32,
    /// The version that was practised with.
    pub version: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
    /// Every scenario was good.
    pub good: bool,
    /// How long recovery may take.
    pub rto_target_ms: u64,
    /// How much may be lost, where something may.
    pub rpo_target_ms: u64,
    /// What it began with; `None` if there was no scenario.
    pub baseline: Option<Baseline>,
    /// What came of each scenario.
    pub scenarios: Vec<Outcome>,
    /// Where the copies lie, if they were to be kept.
    pub kept: Option<PathBuf>,
}

impl Report {
    pub(super) fn of(
        at: Timestamp,
        took_ms: u64,
        baseline: Option<Baseline>,
        (rto, rpo): (Span, Span),
        scenarios: Vec<Outcome>,
        kept: Option<PathBuf>,
    ) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at,
            took_ms,
            good: scenarios.iter().all(|it| it.good) && !scenarios.is_empty(),
            rto_target_ms: rto.as_ms(),
            rpo_target_ms: rpo.as_ms(),
            baseline,
            scenarios,
            kept,
        }
    }

    /// Everything, as JSON.
    ///
    /// # Errors
    /// A path in it is no text.
    pub fn json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| error.to_string())
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::page(self)
    }

    /// As a page of its own.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Writes all three into a directory, which is made if it is missing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let json = self.json().map_err(io::Error::other)? + "\n";
        std::fs::write(directory.join("report.json"), json)?;
        std::fs::write(directory.join("report.md"), self.markdown())?;
        std::fs::write(directory.join("report.html"), self.html())
    }
}

/// `1s 20ms`, as a person reads it.
fn span(ms: u64) -> String {
    Span::from_ms(ms).to_string()
}

/// `4,711`
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// One word.
fn verdict(good: bool) -> &'static str {
    if good { "good" } else { "not good" }
}

/// What was found of the comparisons, in one cell.
fn compared(outcome: &Outcome) -> String {
    match &outcome.comparison {
        Some(it) if it.is_same() => {
            format!("{} entities equal at position {}", count(it.compared), count(it.position))
        },
        Some(it) => format!("{} of {} entities differ", count(it.different), count(it.compared)),
        None => "not compared".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::compare::Comparison;
    use crate::drill::measure::Phase;
    use crate::drill::scenario::Scenario;

    fn report(finding: &str) -> Report {
        let phase = |name: &'static str, from_ms, took_ms, in_rto| Phase {
            name: name.into(),
            from_ms,
            took_ms,
            in_rto,
        };
        let outcome = Outcome {
            scenario: Scenario::DiskLoss,
            good: finding.is_empty(),
            at: Timestamp::from_micros(0),
            took_ms: 1_000,
            rto_ms: 250,
            rto_target_ms: 600_000,
            rpo_ms: 12,
            rpo_target_ms: 900_000,
            acknowledged: 4_711,
            lost_events: 3,
            unwanted: 0,
            how: "restored from what was shipped".to_owned(),
            level: Some("OPTIMAL".to_owned()),
            baseline: None,
            comparison: Some(Comparison { compared: 7, same_root: true, ..Comparison::default() }),
            phases: vec![phase("kill", 500, 10, true), phase("restore", 510, 240, true)],
            findings: [finding.to_owned()].into_iter().filter(|it| !it.is_empty()).collect(),
        };
        let (zero, target) = (Timestamp::from_micros(0), Span::from_ms(600_000));
        Report::of(zero, 1_000, None, (target, target), vec![outcome], None)
    }

    #[test]
    fn what_was_found_is_text_on_the_page_and_never_markup() {
        let page = report("lock/<script>alert(1)</script> & \"more\"").html();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("lock/&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;"));
        let told = report("a | b\n# c").markdown();
        assert!(told.contains("- a \\| b # c\n"), "{told}");
    }

    #[test]
    fn a_page_has_the_figures_and_needs_nothing_from_elsewhere() {
        let good = report("");
        let page = good.html();
        for wanted in
            ["disk-loss", "250ms", "4,711", "7 entities equal", "<svg", "<title>kill: 10ms"]
        {
            assert!(page.contains(wanted), "no {wanted:?} in {page}");
        }
        for foreign in ["http://", "https://", "<script", "<link", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign:?} in {page}");
        }
        assert!(good.good && !report("x").good);
        assert!(good.markdown().contains("| disk-loss | good | 250ms |"));
    }

    #[test]
    fn a_drill_without_a_scenario_is_not_good() {
        let (zero, target) = (Timestamp::from_micros(0), Span::from_ms(1));
        assert!(!Report::of(zero, 0, None, (target, target), vec![], None).good);
    }
}
