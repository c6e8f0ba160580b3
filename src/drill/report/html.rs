//! The report as one page: no script, nothing from elsewhere, light and dark, and on paper.

use std::fmt::Write as _;

use super::{Report, compared, count, span, verdict};
use crate::drill::measure::Phase;
use crate::drill::outcome::Outcome;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#6a737d;--line:#d8dee4;--good:#1a7f37;--bad:#b42318;--before:#8b98a5;--within:#0b63b6}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0f1419;--faint:#9aa5b1;--line:#30363d;--good:#3fb950;--bad:#ff7b72;--before:#5b6672;--within:#58a6ff}}
@media print{:root{--ink:#000;--paper:#fff;--faint:#444;--line:#bbb;--good:#1a7f37;--bad:#b42318;--before:#999;--within:#0b63b6}section{break-inside:avoid}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}.faint{color:var(--faint)}
.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
svg{width:100%;height:auto;display:block;margin:.8rem 0}svg text{fill:var(--ink);font:12px system-ui,sans-serif}
svg .axis{stroke:var(--line)}svg .before{fill:var(--before)}svg .within{fill:var(--within)}svg .faint{fill:var(--faint)}
.wide{overflow-x:auto}
";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut out =
        String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let title = format!("Drill of {}: {}", report.at, verdict(report.good));
    let _ = writeln!(out, "<meta name=\"viewport\" content=\"width=device-width\">");
    let _ = writeln!(out, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>");
    let _ = writeln!(out, "<h1>Drill of {}: {}</h1>", report.at, marked(report.good));
    let _ = writeln!(
        out,
        "<p>mainstay {}, {} in all. Targets: RTO {}, RPO {}.",
        report.version,
        span(report.took_ms),
        span(report.rto_target_ms),
        span(report.rpo_target_ms)
    );
    if let Some(it) = &report.baseline {
        let what = if it.is_real { "a real backup" } else { "a backup made for the drill" };
        let (of, position) = (escaped(&it.of), count(it.position));
        let _ = writeln!(
            out,
            "It began with {what} of {of}: {position} events, to {}.",
            it.recorded_at
        );
    }
    out.push_str(
        "</p>\n<div class=\"wide\"><table>\n<tr><th>scenario</th><th></th><th class=\"n\">RTO</th>",
    );
    out.push_str(
        "<th class=\"n\">RPO</th><th class=\"n\">acknowledged</th><th class=\"n\">lost</th>",
    );
    out.push_str("<th>compared</th></tr>\n");
    for it in &report.scenarios {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            it.scenario,
            marked(it.good),
            span(it.rto_ms),
            span(it.rpo_ms),
            count(it.acknowledged),
            count(it.lost_events),
            escaped(&compared(it)),
        );
    }
    out.push_str("</table></div>\n");
    report.scenarios.iter().for_each(|outcome| scenario(&mut out, outcome));
    out.push_str("</body>\n</html>\n");
    out
}

fn scenario(out: &mut String, outcome: &Outcome) {
    let (name, mark) = (outcome.scenario, marked(outcome.good));
    let _ = writeln!(out, "<section>\n<h2>{name}: {mark}</h2>");
    let (told, how) = (outcome.scenario.told(), escaped(&outcome.how));
    let _ = writeln!(out, "<p>{told}.<br><span class=\"faint\">{how}</span></p>");
    if !outcome.findings.is_empty() {
        out.push_str("<ul>\n");
        for finding in &outcome.findings {
            let _ = writeln!(out, "<li class=\"bad\">{}</li>", escaped(finding));
        }
        out.push_str("</ul>\n");
    }
    timeline(out, outcome);
    out.push_str("</section>\n");
}

/// Widths and heights of the drawing.
const WIDTH: u64 = 900;
const NAMES: u64 = 190;
const TIMES: u64 = 90;
const ROW: u64 = 20;

/// A row a phase, from its beginning to its end.
fn timeline(out: &mut String, outcome: &Outcome) {
    let end = outcome.phases.iter().map(|it| it.from_ms + it.took_ms).max().unwrap_or(0).max(1);
    let height = ROW * (outcome.phases.len() as u64 + 1);
    let room = WIDTH - NAMES - TIMES;
    let at = |ms: u64| NAMES + ms * room / end;
    let name = outcome.scenario;
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Timeline of {name}\">"
    );
    for (row, phase) in (0..).zip(&outcome.phases) {
        let Phase { name, from_ms, took_ms, in_rto } = phase;
        let (y, x) = (row * ROW, at(*from_ms));
        let width = (at(from_ms + took_ms) - x).max(2);
        let class = if *in_rto { "within" } else { "before" };
        let took = span(*took_ms);
        let (text, bar) = (y + 14, y + 4);
        let _ = writeln!(out, "<g><title>{name}: {took}, from {}</title>", span(*from_ms));
        let _ = writeln!(out, "<text x=\"0\" y=\"{text}\">{name}</text>");
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{bar}\" width=\"{width}\" height=\"12\" rx=\"2\"/>"
        );
        let _ = writeln!(
            out,
            "<text class=\"faint\" x=\"{}\" y=\"{text}\">{took}</text></g>",
            x + width + 6
        );
    }
    let (line, text) = (height - ROW + 2, height - 5);
    let right = NAMES + room;
    let _ = writeln!(
        out,
        "<line class=\"axis\" x1=\"{NAMES}\" y1=\"{line}\" x2=\"{right}\" y2=\"{line}\"/>"
    );
    let _ = writeln!(
        out,
        "<text class=\"faint\" x=\"{NAMES}\" y=\"{text}\">0; coloured: from the disaster to the first \
         verified write, {}</text>\n</svg>",
        span(outcome.rto_ms)
    );
}

fn marked(good: bool) -> String {
    let class = if good { "good" } else { "bad" };
    format!("<span class=\"{class}\">{}</span>", verdict(good))
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
