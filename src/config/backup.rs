//! `[backup]` and `[drill]`: what is copied elsewhere, how often, and how that is practised.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Count, List, Span};

/// `[backup]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// A directory or `s3://bucket/prefix`; none: nothing is backed up.
    pub to: Option<String>,
    /// The file with the bucket's credentials: the access key's id and its secret, a line each.
    pub secret_file: Option<PathBuf>,
    /// Who can open the backups: `age1…`, at least one.
    pub recipients: List,
    /// Ship every event within a second, besides the backups.
    #[serde(deserialize_with = "flag")]
    pub continuous: bool,
    /// How often a backup is made.
    pub every: Span,
    /// When backups are made instead: a cron pattern in UTC, `0 2 * * *`.
    pub at: Option<String>,
    /// Which backups stay.
    pub keep: KeepConfig,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            to: None,
            secret_file: None,
            recipients: List::default(),
            continuous: true,
            every: Span::from_ms(3_600_000),
            at: None,
            keep: KeepConfig::default(),
        }
    }
}

/// `[backup.keep]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct KeepConfig {
    /// The newest backup of each of so many days (UTC).
    pub daily: Count,
    /// The newest of each of so many weeks, which begin on Monday.
    pub weekly: Count,
    /// The newest of each of so many months.
    pub monthly: Count,
    /// Every backup of so long back.
    pub within: Span,
}

impl Default for KeepConfig {
    fn default() -> Self {
        Self {
            daily: Count::of(7),
            weekly: Count::of(4),
            monthly: Count::of(12),
            within: Span::from_ms(48 * 3_600_000),
        }
    }
}

/// `[drill]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DrillConfig {
    /// How often a drill is due.
    pub every: Span,
    /// The recovery time objective: from the disaster to the first durable write.
    pub rto: Span,
    /// The recovery point objective: how much of what was acknowledged may be lost.
    pub rpo: Span,
    /// Whether the server runs drills by itself, on a copy, if it has a target for backups.
    #[serde(deserialize_with = "flag")]
    pub scheduled: bool,
    /// Which scenarios those are, of `mainstay drill --help`; none named: all.
    pub scenarios: List,
    /// Where those leave their reports and work; none: beside the data directory, named like it with
    /// `-drills` behind.
    pub reports: Option<PathBuf>,
}

impl Default for DrillConfig {
    fn default() -> Self {
        Self {
            every: Span::from_ms(30 * 86_400_000),
            rto: Span::from_ms(600_000),
            rpo: Span::from_ms(900_000),
            scheduled: true,
            scenarios: List::default(),
            reports: None,
        }
    }
}

impl DrillConfig {
    pub(super) fn check(&self, data: &Path) -> Result<(), String> {
        if self.reports.as_ref().is_some_and(|reports| reports.starts_with(data)) {
            return Err("drill.reports must lie outside the data directory".to_owned());
        }
        if self.every.as_ms() < 1_000 {
            return Err("drill.every must be at least 1s".to_owned());
        }
        self.check_scenarios().map_err(|reason| format!("drill.scenarios: {reason}"))
    }

    #[cfg(feature = "server")]
    fn check_scenarios(&self) -> Result<(), String> {
        let mut names = self.scenarios.iter();
        names.try_for_each(|name| name.parse::<crate::drill::Scenario>().map(drop))
    }

    #[cfg(not(feature = "server"))]
    fn check_scenarios(&self) -> Result<(), String> {
        match self.scenarios.is_empty() {
            true => Ok(()),
            false => Err("this build has no drills; build it with `server`".to_owned()),
        }
    }

    /// Where the server's own drills leave their reports.
    #[must_use]
    pub fn reports_of(&self, data: &Path) -> PathBuf {
        let beside = || {
            let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
            let mut name = data.file_name().unwrap_or_default().to_owned();
            name.push("-drills");
            data.with_file_name(name)
        };
        self.reports.clone().unwrap_or_else(beside)
    }
}

impl BackupConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, count) in [
            ("backup.keep.daily", self.keep.daily),
            ("backup.keep.weekly", self.keep.weekly),
            ("backup.keep.monthly", self.keep.monthly),
        ] {
            count.check(name, 0, 10_000)?;
        }
        let minute = 60_000;
        if self.every.as_ms() < minute {
            return Err("backup.every must be at least 1m; continuous ships at once".to_owned());
        }
        if self.to.is_some() && self.recipients.is_empty() {
            return Err("backup.recipients names nobody who could open the backups; \
                        `mainstay backup-key create FILE` prints one"
                .to_owned());
        }
        self.check_place()
    }

    #[cfg(feature = "backup")]
    fn check_place(&self) -> Result<(), String> {
        use crate::backup::{Place, Recipients, Schedule};
        if let Some(to) = &self.to {
            Place::parse(to, self.secret_file.as_deref())
                .map_err(|reason| format!("backup.to: {reason}"))?;
        }
        if !self.recipients.is_empty() {
            Recipients::parse(self.recipients.iter())
                .map_err(|reason| format!("backup.recipients: {reason}"))?;
        }
        Schedule::of(self.every, self.at.as_deref())
            .map_err(|reason| format!("backup.at: {reason}"))?;
        Ok(())
    }

    #[cfg(not(feature = "backup"))]
    fn check_place(&self) -> Result<(), String> {
        match &self.to {
            Some(_) => {
                Err("backup.to: this build has no backups; build it with `backup`".to_owned())
            },
            None => Ok(()),
        }
    }
}

/// `true` or `false`, also as the text of a variable.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Flag(bool),
        Text(String),
    }
    let wrong = || de::Error::custom("must be true or false");
    match Written::deserialize(deserializer).map_err(|_| wrong())? {
        Written::Flag(flag) => Ok(flag),
        Written::Text(text) => text.trim().parse().map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn read(text: &str) -> Result<Config, String> {
        Config::from_text(text, "test", []).map_err(|error| error.to_string())
    }

    #[test]
    fn a_backup_needs_somebody_who_can_open_it() {
        let error = read("[backup]\nto = \"/b\"\n").unwrap_err();
        assert!(error.contains("backup.recipients names nobody"), "{error}");
    }

    #[cfg(feature = "backup")]
    #[test]
    fn what_cannot_be_backed_up_is_told_where_it_is_written() {
        for (bad, told) in [
            ("[backup]\nrecipients = [\"age1\"]\n", "backup.recipients"),
            ("[backup]\nevery = \"10s\"\n", "backup.every must be at least 1m"),
            ("[backup]\nat = \"at noon\"\n", "backup.at"),
            ("[backup]\ncontinuous = \"perhaps\"\n", "must be true or false"),
            ("[backup.keep]\ndaily = 10001\n", "backup.keep.daily must be"),
            ("[backup]\nkeeep = 1\n", "keep"),
            (
                "[server]\ndata = \"/d\"\n[drill]\nreports = \"/d/r\"\n",
                "drill.reports must lie outside the data directory",
            ),
            ("[drill]\nevery = \"10ms\"\n", "drill.every must be at least 1s"),
            #[cfg(feature = "server")]
            ("[drill]\nscenarios = [\"flood\"]\n", "drill.scenarios: \"flood\" is no scenario"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(told), "{bad:?}: {error}");
        }
        let variables = [("MAINSTAY__BACKUP__CONTINUOUS".to_owned(), "false".to_owned())];
        assert!(!Config::from_text("", "test", variables).unwrap().backup.continuous);
    }
}
