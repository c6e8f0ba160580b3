//! May it be launched?
//!
//! | decision | critical items | all items | needs |
//! |---|---|---|---|
//! | go | all pass | 95 % pass | all met |
//! | go with caution | all pass | 90 % pass | all met |
//! | no-go | one does not, or | fewer pass, or | one is not met |

use mainstay_actors::health::Level;
use mainstay_actors::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::items::{DRILL_MS, worst};
use super::report::{Checked, Count, Filter, Report, check};
use super::words::{self, DAY_MS};

/// Share of all items from which on it is a go, in hundredths of a percent.
const GO: u64 = 9_500;
/// Share from which on it is one with caution.
const CAUTION: u64 = 9_000;
/// The reports that have to be of the last day, by item.
const REPORTS: [(&str, &str); 2] =
    [("smoke report", "budgets.smoke-report"), ("load report", "budgets.load-report")];

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(utoipa::ToSchema)]
#[schema(as = GateDecision)]
pub enum Decision {
    /// Yes.
    Go,
    /// Yes, and look at what is missing.
    GoWithCaution,
    /// No.
    NoGo,
}

/// What a launch needs beside its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = GateNeed)]
pub struct Need {
    /// What.
    pub what: &'static str,
    /// Whether it is met.
    pub met: bool,
    /// What was read.
    pub evidence: String,
}

/// The decision with its reasons.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Launch {
    /// What the gate says.
    pub decision: Decision,
    /// The version that it is for.
    pub release: String,
    /// When it looked.
    pub at: Timestamp,
    /// Of all items that apply, how many pass, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub score: f64,
    /// All items together.
    pub total: Count,
    /// The critical ones.
    pub critical: Count,
    /// What it needs beside them.
    pub needs: Vec<Need>,
    /// Why it is no go, or why with caution; empty for a go.
    pub reasons: Vec<String>,
    /// Every item that does not pass.
    pub missed: Vec<Checked>,
}

impl Decision {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::GoWithCaution => "go with caution",
            Self::NoGo => "no-go",
        }
    }
}

/// Decides over every item.
#[must_use]
pub fn launch(facts: &Facts) -> Launch {
    decide(check(facts, &Filter::default()), needs(facts))
}

fn decide(report: Report, needs: Vec<Need>) -> Launch {
    let Report { release, at, share, score, total, critical, items } = report;
    let mut reasons = Vec::new();
    if critical.missed() > 0 {
        let (fail, unknown) = (critical.fail, critical.unknown);
        reasons.push(format!("of the critical items {fail} fail and {unknown} are unknown"));
    }
    let unmet = needs.iter().filter(|need| !need.met);
    reasons.extend(unmet.map(|need| format!("{}: {}", need.what, need.evidence)));
    let told = |of: u64| {
        let (whole, rest) = (share / 100, share % 100);
        format!("{whole}.{rest:02} % of the items pass, {} % are needed for a go", of / 100)
    };
    if share < CAUTION {
        reasons.push(told(GO));
    }
    let decision = match (reasons.is_empty(), share >= GO) {
        (true, true) => Decision::Go,
        (true, false) => {
            reasons.push(told(GO));
            Decision::GoWithCaution
        },
        (false, _) => Decision::NoGo,
    };
    let missed = items.into_iter().filter(Checked::is_missed).collect();
    Launch { decision, release, at, score, total, critical, needs, reasons, missed }
}

fn needs(facts: &Facts) -> Vec<Need> {
    let mut needs: Vec<Need> =
        REPORTS.into_iter().map(|(what, item)| report_of_day(facts, what, item)).collect();
    needs.push(drill(facts));
    needs.push(calm(facts));
    needs
}

fn report_of_day(facts: &Facts, what: &'static str, item: &str) -> Need {
    let good =
        facts.attestations.get(item).filter(|it| it.void(&facts.release, facts.now).is_none());
    let (met, evidence) = match good {
        Some(it) => (facts.now.ms_since(it.at) < DAY_MS, words::ago(it.at, facts.now)),
        None => (false, "none of this release is younger than 24 hours".to_owned()),
    };
    Need { what, met, evidence }
}

fn drill(facts: &Facts) -> Need {
    let good_at = facts.drill.as_ref().and_then(|drill| drill.good_at);
    let (met, evidence) = match good_at {
        Some(at) => (facts.now.ms_since(at) < DRILL_MS, words::ago(at, facts.now)),
        None => (false, "there was none".to_owned()),
    };
    Need { what: "good drill of the last 31 days", met, evidence }
}

fn calm(facts: &Facts) -> Need {
    let what = "7 days without P0 and P1";
    let Ok(journal) = &facts.journal else {
        return Need { what, met: false, evidence: "the journal cannot be opened".to_owned() };
    };
    let worst = worst(&journal.levels, facts.now);
    Need { what, met: worst > Level::Minimal, evidence: format!("the worst level was {worst}") }
}
