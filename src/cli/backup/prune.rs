//! `mainstay backups prune`: those that are too many go.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::list::{At, size};
use crate::backup::{self, Keep, Pruning};
use crate::cli::exit::Failed;
use crate::cli::source::{now, progress, telling};
use crate::config::Span;

/// Remove backups that retention does not keep, and what only they needed
#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Keep the newest backup of each of so many days [default: 7]
    #[arg(long, value_name = "DAYS")]
    keep_daily: Option<usize>,
    /// And of each of so many weeks [default: 4]
    #[arg(long, value_name = "WEEKS")]
    keep_weekly: Option<usize>,
    /// And of each of so many months [default: 12]
    #[arg(long, value_name = "MONTHS")]
    keep_monthly: Option<usize>,
    /// And every one of so long back [default: 48h]
    #[arg(long, value_name = "DURATION")]
    keep_within: Option<Span>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(super) fn run(self, at: &At) -> Result<ExitCode, Failed> {
        let (target, config) = at.open()?;
        let configured = Keep::from(config.keep);
        let keep = Keep {
            daily: self.keep_daily.unwrap_or(configured.daily),
            weekly: self.keep_weekly.unwrap_or(configured.weekly),
            monthly: self.keep_monthly.unwrap_or(configured.monthly),
            within_ms: self.keep_within.map_or(configured.within_ms, Span::as_ms),
        };
        let pruning = if self.dry_run {
            backup::plan(&target, &keep, now())?
        } else {
            let bar = progress("pruning", 0);
            let pruning = backup::prune(&target, &keep, now(), &mut telling(&bar))?;
            bar.finish_and_clear();
            pruning
        };
        self.tell(at, &pruning)
    }

    fn tell(&self, at: &At, pruning: &Pruning) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        if at.json {
            let kept = pruning.kept.iter();
            let kept = kept.map(|(it, why)| json!({ "id": it.manifest.id, "because": why }));
            let dropped = pruning.dropped.iter().map(|it| &it.manifest.id);
            let told = json!({
                "dry_run": self.dry_run,
                "kept": kept.collect::<Vec<_>>(),
                "dropped": dropped.collect::<Vec<_>>(),
                "objects": pruning.objects(),
                "size_bytes": pruning.size_bytes(),
            });
            writeln!(stdout, "{told}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let goes = if self.dry_run { "would go" } else { "is gone" };
        for (backup, why) in &pruning.kept {
            writeln!(stdout, "{} stays: {}", backup.manifest.id, why.join(", "))?;
        }
        for backup in &pruning.dropped {
            writeln!(stdout, "{} {goes}", backup.manifest.id)?;
        }
        let freed = size(pruning.size_bytes());
        let objects = pruning.objects();
        writeln!(
            io::stderr(),
            "{objects} objects of {freed} are needed by none of those that stay"
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
