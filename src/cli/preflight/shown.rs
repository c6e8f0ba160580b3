//! A report as people read it.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::table::{bare, lines, table};
use crate::preflight::{Category, Count, Decided, Filter, Report, all};

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// The items that do not pass, by category, and the sums.
pub(super) fn report(report: &Report) -> String {
    let mut out = String::new();
    for category in Category::ALL {
        let items = || report.items.iter().filter(|it| it.category == category);
        if items().next().is_none() {
            continue;
        }
        let _ = writeln!(out, "{}: {}", category.title(), sum(&Count::of(items())));
        let mut rows = bare();
        for item in items().filter(|it| it.is_missed()) {
            let (verdict, severity) = (item.verdict.name(), item.severity.name());
            rows.add_row([verdict, severity, item.id, &item.evidence, &item.fix]);
        }
        if rows.row_count() > 0 {
            out.push_str(&lines(&rows));
        }
    }
    let (total, critical) = (&report.total, &report.critical);
    let (whole, rest) = (report.share / 100, report.share % 100);
    let _ = writeln!(out, "\nall: {}", sum(total));
    let _ = writeln!(out, "critical: {}", sum(critical));
    let _ = writeln!(out, "score: {whole}.{rest:02} of 100, release {}", report.release);
    out
}

/// `12 of 16 pass, 3 fail, 1 unknown`
fn sum(count: &Count) -> String {
    let mut out = format!("{} of {} pass", count.pass, count.applicable());
    for (number, what) in
        [(count.fail, "fail"), (count.unknown, "unknown"), (count.not_applicable, "not applicable")]
    {
        if number > 0 {
            let _ = write!(out, ", {number} {what}");
        }
    }
    out
}

/// Every item that the filter takes.
pub(super) fn list(filter: &Filter, as_json: bool) -> String {
    let items = all().filter(|(category, item)| filter.takes(*category, item));
    if as_json {
        let items = items.map(|(category, item)| {
            let holds_ms = match item.decided {
                Decided::Machine(_) => None,
                Decided::Attested { holds_ms, .. } => Some(holds_ms),
            };
            json!({
                "id": item.id,
                "category": category,
                "severity": item.severity,
                "title": item.title,
                "fix": item.way_out(),
                "attested": holds_ms.is_some(),
                "holds_ms": holds_ms,
            })
        });
        return format!("{}\n", json!({ "items": items.collect::<Vec<_>>() }));
    }
    let mut rows = table(&["item", "severity", "decided", "is true when it passes"]);
    for (_, item) in items {
        let decided = match item.decided {
            Decided::Machine(_) => "by the machine".to_owned(),
            Decided::Attested { holds_ms, .. } => format!("by people, for {} d", holds_ms / DAY_MS),
        };
        rows.add_row([item.id, item.severity.name(), &decided, item.title]);
    }
    lines(&rows)
}
