//! `mainstay archive`: which months a journal has, months into an archive, and out of the journal.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use mainstay_actors::host::Archivist;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{System, SystemCommand};
use mainstay_journal::archive::{
    self, ArchiveError, ArchiveOptions, Archived, Checked, Dropped, Lies, Month,
};
use mainstay_journal::{OpenError, Reader, StreamId};
use serde_json::{Value, json};

use super::exit::Failed;
use super::inside::Inside;
use super::source::{progress, refusal, telling};
use super::table::table;
use super::{AtRest, DataArgs, EXIT_CODES};

/// List a journal's months, archive them, and drop what was archived
///
/// Without --before or --drop the months are listed. --before copies whole months into the archive,
/// also beside a running server; they stay in the journal until --drop removes what was read back
/// from the archive, which needs the server to be stopped. What is asked of a dropped month later is
/// read in the archive.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Archive {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    at_rest: AtRest,
    /// Archive every month before this one (2026-10); the newest month stays
    #[arg(long, value_name = "MONTH", value_parser = month)]
    before: Option<String>,
    /// Then remove from the journal what the archive holds
    #[arg(long)]
    drop: bool,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn month(text: &str) -> Result<String, String> {
    let known = text.split_once('-').is_some_and(|(year, month)| {
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        digits(year, 4) && digits(month, 2) && ("01"..="12").contains(&month)
    });
    if known { Ok(text.to_owned()) } else { Err("write a year and a month: 2026-10".to_owned()) }
}

/// What was done, or would be.
#[derive(Debug, Default)]
struct Done {
    archived: Option<Archived>,
    checked: Option<Checked>,
    dropped: Option<Dropped>,
}

impl Archive {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let options = ArchiveOptions {
            keyring: self.at_rest.reading()?.keyring,
            ..ArchiveOptions::default()
        };
        let data = &self.data.data;
        let named = self.at_rest.archive.clone();
        let place = named.map_or_else(|| archive::place(data, &options), |it| Ok(Some(it)));
        if self.before.is_none() && !self.drop {
            // A BASE that cannot be read is told by the list.
            let place = place.ok().flatten();
            return self.list(&archive::months(data, place.as_deref(), &options)?);
        }
        let none = || Failed::usage("name the directory of the archive with --archive");
        // One that cannot be read is written again from the archive that is named.
        let place = place?.ok_or_else(none)?;
        let mut done = Done::default();
        if let Some(before) = &self.before {
            done.archived = Some(self.archive(&place, before, &options)?);
        }
        let nothing = done.archived.as_ref().is_some_and(|it| it.head.position == 0);
        let untouched = self.dry_run && done.archived.as_ref().is_some_and(|it| it.segments > 0);
        // What a dry run does not archive cannot be read back.
        if self.drop && !nothing && !untouched {
            let bar = progress("reading the archive back", 0);
            let checked = archive::check(data, &place, &options, &mut telling(&bar))?;
            bar.finish_and_clear();
            if !self.dry_run {
                done.dropped = Some(self.remove(&place, &checked, &options)?);
            }
            done.checked = Some(checked);
        }
        self.tell(&place, &done)
    }

    fn archive(
        &self,
        place: &Path,
        before: &str,
        options: &ArchiveOptions,
    ) -> Result<Archived, Failed> {
        let data = &self.data.data;
        if self.dry_run {
            return Ok(archive::plan(data, place, before, options)?);
        }
        let bar = progress("archiving", 0);
        let (mut fold, mut tell) = (Archivist::default(), telling(&bar));
        let archived = archive::archive(data, place, before, options, &mut fold, &mut tell)?;
        bar.finish_and_clear();
        Ok(archived)
    }

    fn remove(
        &self,
        place: &Path,
        checked: &Checked,
        options: &ArchiveOptions,
    ) -> Result<Dropped, Failed> {
        let data = &self.data.data;
        let opened = Reader::open_with(data, self.at_rest.reading()?);
        // Without a base that can be read the journal opens once it is written again.
        let is_broken = matches!(opened, Err(OpenError::Base { .. }));
        if !is_broken {
            self.record(checked)?;
        }
        let dropped = archive::drop_months(data, place, checked, options)?;
        if is_broken {
            self.record(checked)?;
        }
        Ok(dropped)
    }

    /// Puts into the journal what is about to be dropped, with the hash of what stays of it.
    fn record(&self, checked: &Checked) -> Result<(), Failed> {
        let instead = "months are dropped while the server is stopped";
        let inside = Inside::open(&self.data.data, self.at_rest.config(), instead)?;
        let stream = StreamId::new(System::KIND, "archive");
        let stream = stream.ok_or_else(|| Failed::work("a stream has no name"))?;
        let (upto, states) = (checked.head().position, checked.states_hash());
        inside.ask::<System>(stream, SystemCommand::Drop { upto, states }).map(drop)
    }

    fn list(&self, months: &[Month]) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        if self.json {
            let months: Vec<Value> = months.iter().map(document).collect();
            writeln!(stdout, "{}", json!({ "months": months }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = table(&["MONTH", "EVENTS", "SEGMENTS", "MIB", "LIES"]);
        for month in months {
            let last = month.last.map_or_else(|| "now".to_owned(), |last| last.to_string());
            rows.add_row([
                month.name.clone(),
                format!("{} to {last}", month.first),
                month.segments.to_string(),
                format!("{:.1}", mib(month.bytes)),
                lies(month.lies).to_owned(),
            ]);
        }
        writeln!(stdout, "{rows}")?;
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, place: &Path, done: &Done) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", done.document(place, self.dry_run))?;
            return Ok(ExitCode::SUCCESS);
        }
        let would = if self.dry_run { "would be " } else { "" };
        if let Some(archived) = &done.archived {
            let what = match archived.months.as_slice() {
                [] => "nothing to archive: every whole month before is there".to_owned(),
                [one] => format!("{one} {would}archived"),
                [first, .., last] => format!("{first} to {last} {would}archived"),
            };
            let to = place.display();
            writeln!(stdout, "{what}: {to} holds events to {}", archived.head.position)?;
        }
        if let Some(checked) = &done.checked {
            let upto = checked.head().position;
            let (segments, bytes) = match &done.dropped {
                Some(dropped) => (dropped.segments, dropped.bytes),
                None => (checked.segments(), checked.bytes()),
            };
            writeln!(
                stdout,
                "events to {upto} {would}dropped: {segments} segments, {:.1} MiB; every byte of the \
                 archive was read back",
                mib(bytes)
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Done {
    fn document(&self, place: &Path, dry_run: bool) -> Value {
        let archived = self.archived.as_ref().map(|it| {
            json!({
                "months": it.months,
                "segments": it.segments,
                "size_bytes": it.bytes,
                "position": it.head.position,
                "states": it.states,
            })
        });
        let dropped = self.checked.as_ref().map(|it| {
            let removed = self.dropped.as_ref().map(|it| (it.segments, it.bytes));
            let (segments, bytes) = removed.unwrap_or((it.segments(), it.bytes()));
            json!({ "position": it.head().position, "segments": segments, "size_bytes": bytes })
        });
        json!({ "archive": place, "dry_run": dry_run, "archived": archived, "dropped": dropped })
    }
}

fn document(month: &Month) -> Value {
    json!({
        "month": month.name,
        "first": month.first,
        "last": month.last,
        "segments": month.segments,
        "size_bytes": month.bytes,
        "lies": lies(month.lies),
    })
}

fn lies(lies: Lies) -> &'static str {
    match lies {
        Lies::Here => "journal",
        Lies::Both => "journal and archive",
        Lies::Archive => "archive",
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl From<ArchiveError> for Failed {
    fn from(error: ArchiveError) -> Self {
        let text = error.to_string();
        match error {
            ArchiveError::Open(error) => refusal(&error),
            ArchiveError::NotThere { .. } | ArchiveError::Inside { .. } => Self::usage(text),
            ArchiveError::Foreign { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::Meaningless { .. } => Self::integrity(text),
            ArchiveError::Newer { .. } | ArchiveError::InUse { .. } => Self::refused(text),
            ArchiveError::Io { .. } => Self::work(text),
        }
    }
}
