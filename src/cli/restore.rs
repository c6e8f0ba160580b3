//! `mainstay restore`: a journal from its backups, in a directory of its own.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mainstay_journal::plant::Until;
use serde_json::json;

use super::EXIT_CODES;
use super::backup::{Opening, place};
use super::exit::Failed;
use super::source::{moment, now, progress, telling};
use crate::backup::{self, Restored, Restoring, Target};
use crate::config::JournalConfig;
use crate::travel::Moment;

/// Restore a journal from its backups into a new directory
///
/// To the end of what was shipped, or up to a moment. What follows there belongs to a new epoch:
/// leases and sessions from before are over, tokens go on rising, and the target refuses whoever
/// still writes in an older one. Erasures that came after the backup are carried out again.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Restore {
    /// The target: a directory or `s3://bucket/prefix?region=…&endpoint=…`
    #[arg(value_name = "TARGET")]
    from: String,
    /// The new data directory: empty or missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Up to a time (2026-11-22T03:12:00Z), a position or {epoch}-{position} [default: all]
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// A backup by its name, as `mainstay backups` lists them [default: all that was shipped]
    #[arg(long, value_name = "BACKUP")]
    backup: Option<String>,
    #[command(flatten)]
    opening: Opening,
    /// File with the bucket's credentials: the access key's id and its secret, a line each
    #[arg(long, value_name = "FILE", env = "MAINSTAY__BACKUP__SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// File with the keys of a sealed journal
    #[arg(long, value_name = "FILE", env = "MAINSTAY__JOURNAL__KEY_FILE")]
    journal_key: Option<PathBuf>,
    #[command(flatten)]
    way: Way,
    /// Fetch, open and check everything, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is left out of a restore.
#[derive(Debug, Args)]
struct Way {
    /// Go on although this machine's clock is behind the newest time in the target
    #[arg(long)]
    accept_clock: bool,
    /// Leave the target as it is: whoever still writes to it is not refused; for a copy to look at
    #[arg(long)]
    copy: bool,
}

impl Restore {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let (until, of_epoch) = self.until()?;
        let target = Target::open(&place(&self.from, self.secret_file.as_deref())?, false)?;
        let identities = self.opening.needed(&target)?;
        let journal =
            JournalConfig { key_file: self.journal_key.clone(), ..JournalConfig::default() };
        let reading = journal.reading().map_err(|error| Failed::usage(error.to_string()))?;
        let restoring = Restoring {
            identities: &identities,
            keyring: reading.keyring,
            backup: self.backup.as_deref(),
            until,
            of_epoch,
            now: now(),
            claim: !self.way.copy,
            accept_clock: self.way.accept_clock,
        };
        let bar = progress(if self.dry_run { "checking" } else { "restoring" }, 0);
        let restored = if self.dry_run {
            backup::rehearse(&target, &self.to, &restoring, &mut telling(&bar))?
        } else {
            let restored = backup::restore(&target, &self.to, &restoring, &mut telling(&bar))?;
            backup::settle(&self.to, &restored, &journal, target.shown())?;
            restored
        };
        bar.finish_and_clear();
        self.tell(&restored)
    }

    fn until(&self) -> Result<(Until, Option<u32>), Failed> {
        let Some(text) = &self.until else { return Ok((Until::End, None)) };
        Ok(match moment("--until", text)? {
            Moment::Time(at) => (Until::Time(at.as_micros()), None),
            Moment::Position(position) => (Until::Position(position), None),
            Moment::Cursor(cursor) => (Until::Position(cursor.position), Some(cursor.epoch)),
        })
    }

    fn tell(&self, restored: &Restored) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        let Restored { fork, recorded_at, epoch, size_bytes, pieces, left_out, erased, .. } =
            restored;
        if self.json {
            let told = json!({
                "dry_run": self.dry_run,
                "to": self.to,
                "position": fork.position,
                "of_epoch": fork.epoch,
                "recorded_at": recorded_at,
                "epoch": epoch,
                "objects": pieces,
                "size_bytes": size_bytes,
                "left_out": left_out,
                "erased": erased.len(),
            });
            writeln!(stdout, "{told}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let done = if self.dry_run { "would be restored" } else { "restored" };
        writeln!(
            stdout,
            "events to {fork} ({recorded_at}) {done} into {}; what follows is epoch {epoch}",
            self.to.display()
        )?;
        if *left_out > 0 {
            writeln!(stdout, "{left_out} later events are left out")?;
        }
        if !self.dry_run {
            writeln!(io::stderr(), "start it with `mainstay serve --data {}`", self.to.display())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
