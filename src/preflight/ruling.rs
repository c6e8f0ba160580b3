//! What an item comes to, and on what evidence.

use serde::{Deserialize, Serialize};

use super::facts::{
    BackupFacts, CertificateFacts, ConfigFacts, DrillFacts, Facts, JournalFacts, ServerFacts,
};

/// What an item comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum Verdict {
    /// It is true.
    Pass,
    /// It is not.
    Fail,
    /// Nobody knows; it does not pass.
    Unknown,
    /// It means nothing here, and counts nowhere.
    NotApplicable,
}

/// A verdict with what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What it comes to.
    pub verdict: Verdict,
    /// What was read, with its figure; or why it was not.
    pub evidence: String,
}

impl Verdict {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not applicable",
        }
    }
}

impl Ruling {
    fn new(verdict: Verdict, evidence: impl Into<String>) -> Self {
        Self { verdict, evidence: evidence.into() }
    }

    /// It is true.
    pub(super) fn pass(evidence: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, evidence)
    }

    /// It is not.
    pub(super) fn fail(evidence: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, evidence)
    }

    /// Nobody knows.
    pub(super) fn unknown(evidence: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, evidence)
    }

    /// It means nothing here.
    pub(super) fn not_applicable(why: impl Into<String>) -> Self {
        Self::new(Verdict::NotApplicable, why)
    }
}

/// It passes if `good`, on this evidence.
pub(super) fn rule(good: bool, evidence: impl Into<String>) -> Ruling {
    if good { Ruling::pass(evidence) } else { Ruling::fail(evidence) }
}

/// It passes if nothing is bad; the evidence names the first few that are, else says `fine`.
pub(super) fn none_of(bad: &[String], fine: impl Into<String>) -> Ruling {
    match bad {
        [] => Ruling::pass(fine),
        bad => Ruling::fail(super::words::few(bad)),
    }
}

/// Over the configuration.
pub(super) fn of_config(facts: &Facts, rule: impl FnOnce(&ConfigFacts) -> Ruling) -> Ruling {
    match &facts.config {
        Ok(config) => rule(config),
        Err(_) => Ruling::unknown("the configuration cannot be read"),
    }
}

/// Over the journal.
pub(super) fn of_journal(facts: &Facts, rule: impl FnOnce(&JournalFacts) -> Ruling) -> Ruling {
    match &facts.journal {
        Ok(journal) => rule(journal),
        Err(_) => Ruling::unknown("the journal cannot be opened"),
    }
}

/// Over the running server.
pub(super) fn of_server(facts: &Facts, rule: impl FnOnce(&ServerFacts) -> Ruling) -> Ruling {
    match &facts.server {
        Some(Ok(server)) => rule(server),
        Some(Err(_)) => Ruling::unknown("the server does not answer"),
        None => Ruling::unknown("no server was asked: name it with --server"),
    }
}

/// Over the certificate of TLS.
pub(super) fn of_certificate(
    facts: &Facts,
    rule: impl FnOnce(&CertificateFacts) -> Ruling,
) -> Ruling {
    match &facts.certificate {
        Some(Ok(certificate)) => rule(certificate),
        Some(Err(_)) => Ruling::unknown("the certificate cannot be read"),
        None => Ruling::not_applicable("there is no [server.tls]"),
    }
}

/// Over the configured backup.
pub(super) fn of_backup(facts: &Facts, rule: impl FnOnce(&BackupFacts) -> Ruling) -> Ruling {
    match &facts.backup {
        Some(backup) => rule(backup),
        None => Ruling::unknown("no backup is configured"),
    }
}

/// Over the configured drill.
pub(super) fn of_drill(facts: &Facts, rule: impl FnOnce(&DrillFacts) -> Ruling) -> Ruling {
    match &facts.drill {
        Some(drill) => rule(drill),
        None => Ruling::unknown("no drill is configured"),
    }
}
