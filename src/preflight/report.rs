//! The items decided over facts, and what that adds up to.

use mainstay_actors::time::Timestamp;
use serde::Serialize;

use super::facts::Facts;
use super::item::{Category, Decided, Item, Severity};
use super::items;
use super::ruling::{Ruling, Verdict};
use super::words;

/// Which items are looked at; an empty list is all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of these categories.
    pub categories: Vec<Category>,
    /// These ids.
    pub only: Vec<String>,
}

/// What a preflight has found.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// The version that it is for.
    pub release: String,
    /// When it looked.
    pub at: Timestamp,
    /// Of all that apply, how many pass, in hundredths of a percent.
    #[serde(skip)]
    pub share: u64,
    /// The same in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub score: f64,
    /// All of them together.
    pub total: Count,
    /// The critical ones.
    pub critical: Count,
    /// Each item, by category.
    pub items: Vec<Checked>,
}

/// One item, decided.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = PreflightItem)]
pub struct Checked {
    /// `journal.whole`
    #[schema(example = "journal.whole")]
    pub id: &'static str,
    /// What it is about.
    pub category: Category,
    /// How bad it is when it does not pass.
    pub severity: Severity,
    /// A sentence that is true when it passes.
    pub title: &'static str,
    /// What it comes to.
    pub verdict: Verdict,
    /// What was read, with its figure; or why it was not.
    pub evidence: String,
    /// What makes it true.
    pub fix: String,
    /// Whether somebody vouches for it, and no machine.
    pub attested: bool,
}

/// How many items come to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
#[schema(as = PreflightCount)]
pub struct Count {
    /// True.
    pub pass: u64,
    /// Not true.
    pub fail: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// They mean nothing here.
    pub not_applicable: u64,
}

impl Count {
    /// Counts items.
    #[must_use]
    pub fn of<'a>(items: impl IntoIterator<Item = &'a Checked>) -> Self {
        let mut count = Self::default();
        for item in items {
            match item.verdict {
                Verdict::Pass => count.pass += 1,
                Verdict::Fail => count.fail += 1,
                Verdict::Unknown => count.unknown += 1,
                Verdict::NotApplicable => count.not_applicable += 1,
            }
        }
        count
    }

    /// Those that count.
    #[must_use]
    pub const fn applicable(&self) -> u64 {
        self.pass + self.fail + self.unknown
    }

    /// Those that count and do not pass.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.fail + self.unknown
    }

    /// Of those that count, how many pass, in hundredths of a percent, rounded down.
    #[must_use]
    pub fn share(&self) -> u64 {
        (self.pass * 10_000).checked_div(self.applicable()).unwrap_or(10_000)
    }
}

impl Checked {
    /// Whether it counts and does not pass.
    #[must_use]
    pub const fn is_missed(&self) -> bool {
        matches!(self.verdict, Verdict::Fail | Verdict::Unknown)
    }
}

impl Filter {
    /// Whether it takes an item.
    #[must_use]
    pub fn takes(&self, category: Category, item: &Item) -> bool {
        let by_category = self.categories.is_empty() || self.categories.contains(&category);
        by_category && (self.only.is_empty() || self.only.iter().any(|it| it == item.id))
    }
}

/// Decides every item that the filter takes.
#[must_use]
pub fn check(facts: &Facts, filter: &Filter) -> Report {
    let taken = items::all().filter(|(category, item)| filter.takes(*category, item));
    let items: Vec<Checked> =
        taken.map(|(category, item)| checked(facts, category, item)).collect();
    let total = Count::of(&items);
    let critical = Count::of(items.iter().filter(|it| it.severity == Severity::Critical));
    let share = total.share();
    #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
    let score = share as f64 / 100.0;
    Report { release: facts.release.clone(), at: facts.now, share, score, total, critical, items }
}

fn checked(facts: &Facts, category: Category, item: &Item) -> Checked {
    let (ruling, attested) = match item.decided {
        Decided::Machine(decide) => (decide(facts), false),
        Decided::Attested { unless, .. } => match unless(facts) {
            Some(why) => (Ruling::not_applicable(why), true),
            None => (vouched(facts, item.id), true),
        },
    };
    Checked {
        id: item.id,
        category,
        severity: item.severity,
        title: item.title,
        verdict: ruling.verdict,
        evidence: ruling.evidence,
        fix: item.way_out(),
        attested,
    }
}

fn vouched(facts: &Facts, id: &str) -> Ruling {
    if facts.journal.is_err() {
        return Ruling::unknown("the journal cannot be opened");
    }
    let Some(voucher) = facts.attestations.get(id) else {
        return Ruling::fail("nobody vouches for it");
    };
    if let Some(why) = voucher.void(&facts.release, facts.now) {
        return Ruling::fail(format!("{why}: {}", voucher.evidence));
    }
    let by = voucher.by.as_deref().unwrap_or("somebody");
    let at = words::ago(voucher.at, facts.now);
    Ruling::pass(format!("{by}, {at}, until {}: {}", voucher.until, voucher.evidence))
}
