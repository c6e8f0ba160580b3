//! `audit --export`: every matching event as JSON Lines or CSV.
//!
//! ```text
//!   events ─► FILE.part-PID ─► sync ─► rename to FILE      whole, or not at all
//!         └─► stdout, for -
//! ```

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mainstay_journal::ReadLog as _;
use serde_json::Value;

use super::filters::Filters;
use crate::cli::exit::Failed;
use crate::cli::source::{Source, progress};

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line
    Jsonl,
    /// A header and a row an event; the event's own fields are JSON
    Csv,
}

/// Where an export goes.
#[derive(Debug)]
pub(super) struct Export {
    /// `None` is stdout.
    file: Option<PathBuf>,
    format: Format,
}

/// The columns of a CSV file: the members of an event.
const COLUMNS: [&str; 11] = [
    "epoch",
    "position",
    "at",
    "stream",
    "version",
    "type",
    "principal",
    "request",
    "correlation",
    "causation",
    "data",
];

impl Export {
    pub(super) fn new(file: &Path, format: Option<Format>, replace: bool) -> Result<Self, Failed> {
        let ending = file.extension().map(|it| it.to_string_lossy().to_lowercase());
        let by_ending = match ending.as_deref() {
            Some("csv") => Some(Format::Csv),
            Some("jsonl" | "ndjson") => Some(Format::Jsonl),
            _ => None,
        };
        let format = format.or(by_ending).ok_or_else(|| {
            Failed::usage("--export: say --format jsonl or csv, or name a file .jsonl or .csv")
        })?;
        if file.as_os_str() == "-" {
            return Ok(Self { file: None, format });
        }
        if file.exists() && !replace {
            let file = file.display();
            return Err(Failed::refused(format!(
                "{file} is there already; name another file, or replace it with --yes"
            )));
        }
        Ok(Self { file: Some(file.to_owned()), format })
    }

    pub(super) fn run(
        &self,
        source: &Source,
        filters: &Filters,
        limit: Option<usize>,
    ) -> Result<(), Failed> {
        let Some(file) = &self.file else {
            self.write(io::stdout().lock(), source, filters, limit)?;
            return Ok(());
        };
        let part = Part::create(file)?;
        let mut out = BufWriter::new(&part.file);
        let count = self.write(&mut out, source, filters, limit)?;
        out.flush()?;
        drop(out);
        part.finish(file)?;
        writeln!(io::stderr(), "{count} events written to {}", file.display())?;
        Ok(())
    }

    /// Writes every event; returns how many.
    fn write(
        &self,
        mut out: impl Write,
        source: &Source,
        filters: &Filters,
        limit: Option<usize>,
    ) -> Result<u64, Failed> {
        let last = match source {
            Source::Data(reader) => reader.head().position,
            Source::Server(online) => online.head()?,
        };
        let bar = progress("exporting", last);
        let mut count = 0;
        let mut tell = |event: &Value| {
            count += 1;
            if count % 1_000 == 0 {
                bar.set_position(event["position"].as_u64().unwrap_or_default());
            }
        };
        if self.format == Format::Jsonl {
            filters.find(source, limit, &mut |event| {
                tell(&event);
                writeln!(out, "{event}")?;
                Ok(ControlFlow::Continue(()))
            })?;
            out.flush()?;
        } else {
            let mut rows = csv::Writer::from_writer(&mut out);
            rows.write_record(COLUMNS).map_err(broken)?;
            filters.find(source, limit, &mut |event| {
                tell(&event);
                rows.write_record(COLUMNS.map(|name| cell(&event[name]))).map_err(broken)?;
                Ok(ControlFlow::Continue(()))
            })?;
            rows.flush()?;
        }
        bar.finish_and_clear();
        Ok(count)
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn broken(error: csv::Error) -> Failed {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failed::work(format!("write output: {other:?}")),
    }
}

/// A file in the making; it goes when it is not finished.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(file: &Path) -> Result<Self, Failed> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let path = file.with_file_name(name);
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let made = made.map_err(|error| {
            Failed::work(format!("create {}: {error}; name a file you can write", path.display()))
        })?;
        Ok(Self { path, file: made })
    }

    fn finish(self, file: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, file)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Renamed, or unfinished.
        drop(fs::remove_file(&self.path));
    }
}
