//! The report as Markdown.

use std::fmt::Write as _;

use super::{Report, compared, count, span, verdict};
use crate::drill::outcome::Outcome;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# Drill of {}: {}\n", report.at, verdict(report.good));
    let (rto, rpo) = (span(report.rto_target_ms), span(report.rpo_target_ms));
    let _ = writeln!(
        out,
        "mainstay {}, {} in all. Targets: RTO {rto}, RPO {rpo}.",
        report.version,
        span(report.took_ms)
    );
    if let Some(it) = &report.baseline {
        let what = if it.is_real { "a real backup" } else { "a backup made for the drill" };
        let (of, position) = (plain(&it.of), count(it.position));
        let _ = writeln!(
            out,
            "It began with {what} of {of}: {position} events, to {}.",
            it.recorded_at
        );
    }
    out.push_str("\n| scenario | | RTO | RPO | acknowledged | lost | compared | recovery |\n");
    out.push_str("|---|---|---:|---:|---:|---:|---|---|\n");
    for it in &report.scenarios {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            it.scenario,
            verdict(it.good),
            span(it.rto_ms),
            span(it.rpo_ms),
            count(it.acknowledged),
            count(it.lost_events),
            compared(it),
            plain(&it.how),
        );
    }
    report.scenarios.iter().for_each(|outcome| scenario(&mut out, outcome));
    out
}

fn scenario(out: &mut String, outcome: &Outcome) {
    let _ = writeln!(out, "\n## {}\n\n{}.\n", outcome.scenario, outcome.scenario.told());
    for finding in &outcome.findings {
        let _ = writeln!(out, "- {}", plain(finding));
    }
    if !outcome.findings.is_empty() {
        out.push('\n');
    }
    out.push_str("| phase | from | took | in the RTO |\n|---|---:|---:|---|\n");
    for phase in &outcome.phases {
        let (from, took) = (span(phase.from_ms), span(phase.took_ms));
        let counts = if phase.in_rto { "yes" } else { "" };
        let _ = writeln!(out, "| {} | {from} | {took} | {counts} |", phase.name);
    }
}

/// One line that ends no cell.
fn plain(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
