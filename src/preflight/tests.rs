//! The registry as a whole: how many items, of which kind, and that each can pass and can fail.

mod broken;
mod decisions;
mod healthy;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use self::broken::BREAKS;
use self::healthy::healthy;
use super::words::DAY_MS;
use super::*;

/// Items of each category.
const SIZES: [(Category, usize); 12] = [
    (Category::Configuration, 12),
    (Category::Journal, 16),
    (Category::Backups, 16),
    (Category::Dependencies, 14),
    (Category::Budgets, 8),
    (Category::Security, 15),
    (Category::Capacity, 12),
    (Category::Clocks, 6),
    (Category::Certificates, 7),
    (Category::Observability, 12),
    (Category::Access, 12),
    (Category::Documents, 15),
];

fn whole(facts: &Facts) -> Report {
    check(facts, &Filter::default())
}

/// Ids of the items with this verdict.
fn ids(report: &Report, verdict: Verdict) -> BTreeSet<&'static str> {
    report.items.iter().filter(|it| it.verdict == verdict).map(|it| it.id).collect()
}

#[test]
fn there_are_145_items_in_12_categories_and_87_are_critical() {
    let mut sizes = BTreeMap::new();
    for (category, _) in all() {
        *sizes.entry(category).or_insert(0) += 1;
    }
    assert_eq!(sizes, BTreeMap::from(SIZES));
    assert_eq!(all().count(), 145);
    let critical = all().filter(|(_, item)| item.severity == Severity::Critical).count();
    assert_eq!(critical, 87);
}

#[test]
fn an_id_is_its_category_and_a_name_of_its_own_and_every_item_has_a_way_out() {
    let mut seen = BTreeSet::new();
    for (category, item) in all() {
        assert!(seen.insert(item.id), "{} stands twice", item.id);
        let name = item.id.strip_prefix(category.name()).and_then(|it| it.strip_prefix('.'));
        let name = name.unwrap_or_else(|| panic!("{} is not of {category:?}", item.id));
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!name.is_empty() && name.chars().all(kebab), "{}", item.id);
        let begins = |c: char| c.is_uppercase() || c.is_ascii_digit() || c == '/';
        assert!(item.title.starts_with(begins), "{}", item.title);
        assert!(!item.title.ends_with('.') && item.title.len() > 10, "{}", item.title);
        assert!(!item.fix.is_empty() && item.way_out().len() >= item.fix.len(), "{}", item.id);
        assert_eq!(find(item.id).unwrap().title, item.title);
    }
    assert_eq!(nearest("documents.runbok"), "documents.runbooks");
    assert!(find("documents.runbok").is_none());
}

#[test]
fn every_item_passes_where_everything_is_as_it_should_be() {
    let report = whole(&healthy());
    let missed: Vec<_> = report.items.iter().filter(|it| it.verdict != Verdict::Pass).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert_eq!((report.share, report.total.pass), (10_000, 145));
    assert!(report.items.iter().all(|it| !it.evidence.is_empty()));
}

/// Facts that break one item make that one fail, and no other; what rests on it may be unknown, or
/// mean nothing any more.
#[test]
fn every_item_of_a_machine_fails_on_facts_that_break_it_alone() {
    let broken: BTreeMap<_, _> = BREAKS.iter().copied().collect();
    assert_eq!(broken.len(), BREAKS.len(), "an item is broken twice");
    let machine = all().filter(|(_, item)| matches!(item.decided, Decided::Machine(_)));
    let machine: BTreeSet<&str> = machine.map(|(_, item)| item.id).collect();
    assert_eq!(broken.keys().copied().collect::<BTreeSet<_>>(), machine);
    let failed = |break_it: fn(&mut Facts)| {
        let mut facts = healthy();
        break_it(&mut facts);
        ids(&whole(&facts), Verdict::Fail)
    };
    let found = BREAKS.iter().map(|(id, break_it)| (*id, failed(*break_it)));
    let wrong: Vec<_> = found.filter(|(id, failed)| *failed != BTreeSet::from([*id])).collect();
    assert!(wrong.is_empty(), "broken, and what failed: {wrong:#?}");
}

#[test]
fn every_attestation_fails_where_nobody_vouches() {
    let attested = all().filter(|(_, item)| matches!(item.decided, Decided::Attested { .. }));
    for (_, item) in attested {
        let mut facts = healthy();
        facts.attestations.remove(item.id).unwrap();
        assert_eq!(ids(&whole(&facts), Verdict::Fail), BTreeSet::from([item.id]));
    }
}

#[test]
fn what_nobody_can_know_is_unknown_and_says_why() {
    let mut facts = healthy();
    facts.server = None;
    let report = whole(&facts);
    assert_eq!(ids(&report, Verdict::Fail), BTreeSet::new());
    let unknown = report.items.iter().filter(|it| it.verdict == Verdict::Unknown);
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.len() > 10, "{unknown:?}");
    assert!(unknown.iter().all(|it| it.evidence.contains("--server")), "{unknown:#?}");
    assert_eq!(report.total.missed(), unknown.len() as u64);
}

#[test]
fn a_filter_takes_its_categories_and_ids_only() {
    let facts = healthy();
    let of = |categories: &[Category], only: &[&str]| {
        let only = only.iter().map(|it| (*it).to_owned()).collect();
        let report = check(&facts, &Filter { categories: categories.to_vec(), only });
        report.items.iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(of(&[Category::Clocks], &[]).len(), 6);
    assert_eq!(of(&[Category::Clocks, Category::Budgets], &[]).len(), 14);
    assert_eq!(of(&[], &["clocks.order"]), ["clocks.order"]);
    assert!(of(&[Category::Budgets], &["clocks.order"]).is_empty());
}

/// The page with the tables.
const PAGE: &str = include_str!("../../docs/preflight.md");

#[test]
fn the_page_has_every_item() {
    let mut tables = String::new();
    for category in Category::ALL {
        let _ = write!(tables, "### {}\n\n", category.title());
        tables.push_str("| item | severity | decided | is true when it passes | what to do |\n");
        tables.push_str("|---|---|---|---|---|\n");
        for (_, item) in all().filter(|(of, _)| *of == category) {
            let decided = match item.decided {
                Decided::Machine(_) => "machine".to_owned(),
                Decided::Attested { holds_ms, .. } => format!("people, {} d", holds_ms / DAY_MS),
            };
            let (id, severity) = (item.id, item.severity.name());
            let row = [&format!("`{id}`"), severity, &decided, item.title, item.fix].join(" | ");
            let _ = writeln!(tables, "| {row} |");
        }
        tables.push('\n');
    }
    assert!(PAGE.contains(tables.trim_end()), "docs/preflight.md needs these tables:\n\n{tables}");
}
