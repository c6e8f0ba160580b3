//! What an item is: data.

use mainstay_actors::system::MAX_EVIDENCE_BYTES;
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
        /// Why it means nothing here, if it does.
        unless: fn(&Facts) -> Option<&'static str>,
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
    let decided = Decided::Attested { holds_ms, unless: |_| None };
    Item { id, severity, title, fix, decided }
}

/// The same item, which means nothing where this says why.
pub(super) const fn unless(item: Item, unless: fn(&Facts) -> Option<&'static str>) -> Item {
    match item.decided {
        Decided::Attested { holds_ms, .. } => {
            Item { decided: Decided::Attested { holds_ms, unless }, ..item }
        },
        // What a machine decides says so itself.
        Decided::Machine(_) => item,
    }
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

/// Whether somebody may vouch for an item with this evidence, and for how long, in milliseconds: as
/// long as the item says if `for_ms` is nothing.
///
/// # Errors
/// What is wrong with which field; an unknown item names the nearest known one.
pub fn may_attest(
    id: &str,
    evidence: &str,
    for_ms: Option<u64>,
) -> Result<u64, (&'static str, String)> {
    let holds_ms = attestable(id)?;
    check_evidence(evidence).map_err(|rule| ("evidence", format!("evidence must be {rule}")))?;
    match for_ms {
        Some(ms) if ms == 0 || ms > holds_ms => {
            let most = super::words::span(holds_ms);
            Err(("for_ms", format!("an attestation of {id} holds for at most {most}")))
        },
        ms => Ok(ms.unwrap_or(holds_ms)),
    }
}

/// How long an attestation of an item holds at most, in milliseconds.
///
/// # Errors
/// There is no such item, or a machine decides it.
pub fn attestable(id: &str) -> Result<u64, (&'static str, String)> {
    match super::find(id).map(|item| item.decided) {
        Some(Decided::Attested { holds_ms, .. }) => Ok(holds_ms),
        Some(Decided::Machine(_)) => {
            Err(("item", format!("{id} is decided by the machine: nobody can vouch for it")))
        },
        None => {
            let nearest = super::nearest(id);
            Err(("item", format!("unknown item {id:?}; the nearest known one is {nearest:?}")))
        },
    }
}

/// A URL without credentials.
fn check_evidence(evidence: &str) -> Result<(), &'static str> {
    let rule = "a URL without credentials, at most 500 visible ASCII characters";
    let (scheme, rest) = evidence.split_once("://").ok_or(rule)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let named = !scheme.is_empty() && scheme.bytes().all(|it| it.is_ascii_alphanumeric());
    let visible = evidence.bytes().all(|byte| byte.is_ascii_graphic());
    let good = named && !rest.is_empty() && !authority.contains('@') && visible;
    if good && evidence.len() <= MAX_EVIDENCE_BYTES { Ok(()) } else { Err(rule) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_a_url_without_credentials() {
        for good in ["https://wiki.example/1", "http://a", "file:///srv/report.html"] {
            assert_eq!(check_evidence(good), Ok(()), "{good}");
        }
        let long = format!("https://{}", "e".repeat(493));
        for bad in
            ["", "wiki", "https://", "://a", "https://ann:pw@wiki.example/1", "https://a b", &long]
        {
            assert!(check_evidence(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_no_machine_decides_can_be_attested_and_for_no_longer_than_it_says() {
        let day = 24 * 3_600 * 1_000;
        let url = "https://wiki.example/1";
        assert_eq!(may_attest("documents.on-call", url, None), Ok(14 * day));
        assert_eq!(may_attest("documents.on-call", url, Some(day)), Ok(day));
        for (id, for_ms, field, told) in [
            ("documents.on-call", Some(14 * day + 1), "for_ms", "at most 14 days"),
            ("documents.on-call", Some(0), "for_ms", "at most 14 days"),
            ("journal.whole", None, "item", "decided by the machine"),
            ("documents.oncall", None, "item", "the nearest known one is \"documents.on-call\""),
        ] {
            let (named, text) = may_attest(id, url, for_ms).unwrap_err();
            assert_eq!(named, field);
            assert!(text.contains(told), "{text}");
        }
        assert_eq!(may_attest("documents.on-call", "wiki", None).unwrap_err().0, "evidence");
    }
}
