//! What an item is: data.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::ruling::Ruling;

/// One thing that has to be true.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// `journal.whole`: its category, and a name in it.
    pub id: &'static str,
    /// How bad it is when it is not.
    pub severity: Severity,
    /// A sentence that is true when it passes.
    pub title: &'static str,
    /// The command, or the thing to do, that makes it true.
    pub fix: &'static str,
    /// How it is decided.
    pub decided: Decided,
}

/// How an item is decided.
#[derive(Debug, Clone, Copy)]
pub enum Decided {
    /// By a pure function over the facts.
    Machine(fn(&Facts) -> Ruling),
    /// By somebody who vouches for it.
    Attested {
        /// How long that holds at most, in milliseconds; this long if nothing shorter is said.
        holds_ms: u64,
    },
}

/// How bad it is when an item does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(utoipa::ToSchema)]
pub enum Severity {
    /// No launch without it.
    Critical,
    /// A launch is worse without it.
    Major,
    /// It would be better.
    Minor,
}

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(utoipa::ToSchema)]
pub enum Category {
    /// What the program was told.
    Configuration,
    /// The one sequence of events.
    Journal,
    /// Backups and drills.
    Backups,
    /// What the service calls.
    Dependencies,
    /// How much failure there was.
    Budgets,
    /// Secrets and their files, encryption, reviews.
    Security,
    /// Room for what is to come.
    Capacity,
    /// The clocks of the machine and the journal.
    Clocks,
    /// TLS.
    Certificates,
    /// Who would see trouble.
    Observability,
    /// Who may come in.
    Access,
    /// What people wrote and signed.
    Documents,
}

impl Category {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 12] = [
        Self::Configuration,
        Self::Journal,
        Self::Backups,
        Self::Dependencies,
        Self::Budgets,
        Self::Security,
        Self::Capacity,
        Self::Clocks,
        Self::Certificates,
        Self::Observability,
        Self::Access,
        Self::Documents,
    ];

    /// As ids begin with it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Journal => "journal",
            Self::Backups => "backups",
            Self::Dependencies => "dependencies",
            Self::Budgets => "budgets",
            Self::Security => "security",
            Self::Capacity => "capacity",
            Self::Clocks => "clocks",
            Self::Certificates => "certificates",
            Self::Observability => "observability",
            Self::Access => "access",
            Self::Documents => "documents",
        }
    }

    /// As people read it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Backups => "backups and drills",
            other => other.name(),
        }
    }
}

impl Severity {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
        }
    }
}

/// An item that the facts decide.
pub(super) const fn machine(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    decide: fn(&Facts) -> Ruling,
) -> Item {
    Item { id, severity, title, fix, decided: Decided::Machine(decide) }
}

/// An item that somebody vouches for, for at most so many days; `fix` is what to do before that.
pub(super) const fn attested(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    days: u64,
) -> Item {
    let holds_ms = days * 24 * 3_600 * 1_000;
    Item { id, severity, title, fix, decided: Decided::Attested { holds_ms } }
}

impl Item {
    /// How the item is made true: what is to be done, and for an attestation the command behind it.
    #[must_use]
    pub fn way_out(&self) -> String {
        match self.decided {
            Decided::Machine(_) => self.fix.to_owned(),
            Decided::Attested { .. } => {
                format!("{}, then `mainstay attest {} --evidence URL`", self.fix, self.id)
            },
        }
    }
}
