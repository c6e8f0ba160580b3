//! `mainstay journal-key`: the file with the keys of blocks at rest.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mainstay_journal::Keyring;
use serde_json::json;
use zeroize::Zeroizing;

use super::exit::Failed;
use super::paper::Paper;

/// Make and rotate the keys of a sealed journal
#[derive(Debug, Args)]
pub(super) struct JournalKey {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a new file with one key, which only its owner can read
    Create(At),
    /// Add a key: what is written from the next start on is sealed under it
    Rotate(Rotate),
    /// List the ids of a file's keys, oldest first
    List(At),
}

#[derive(Debug, Args)]
struct At {
    /// The file; keep a copy of it elsewhere: without it the journal opens no more
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Rotate {
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: At,
}

impl JournalKey {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.verb {
            Verb::Create(at) => {
                let mut paper = Paper::new("file", at.file.clone())?;
                paper.write(&format!("{}\n", *line()?))?;
                at.tell("journal.key_file names it to the server; keep a copy elsewhere")
            },
            Verb::Rotate(Rotate { dry_run, at }) => {
                // Only what is a list of keys grows by one.
                let before = keyring(&at.file)?;
                if dry_run {
                    let count = before.ids().len();
                    writeln!(io::stderr(), "one key would follow {count}; nothing was changed")?;
                } else {
                    append(&at.file)?;
                }
                at.tell("the next start of the server seals under the last one; keep them all")
            },
            Verb::List(at) => at.tell("the last one seals; each opens what it sealed"),
        }
    }
}

impl At {
    fn tell(&self, then: &str) -> Result<ExitCode, Failed> {
        let ids = keyring(&self.file)?.ids();
        let ids: Vec<String> = ids.iter().map(|id| format!("{id:08x}")).collect();
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", json!({ "file": self.file, "ids": ids }))?;
        } else {
            writeln!(stdout, "{}", ids.join("\n"))?;
            writeln!(io::stderr(), "{then}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn keyring(file: &Path) -> Result<Keyring, Failed> {
    Keyring::read(file).map_err(|error| Failed::usage(error.to_string()))
}

fn line() -> Result<impl std::ops::Deref<Target = String>, Failed> {
    Keyring::new_line().map_err(|error| Failed::work(format!("make a key: {error}")))
}

/// One line more, on the disk before anybody uses it.
fn append(file: &Path) -> Result<(), Failed> {
    let failed = |error: io::Error| Failed::work(format!("write {}: {error}", file.display()));
    let before = Zeroizing::new(fs::read(file).map_err(failed)?);
    let mut open = OpenOptions::new().append(true).open(file).map_err(failed)?;
    let gap = if before.ends_with(b"\n") { "" } else { "\n" };
    let line = Zeroizing::new(format!("{gap}{}\n", *line()?));
    let written = open.write_all(line.as_bytes()).and_then(|()| open.sync_all());
    if written.is_err() {
        // Half a line would be no list of keys any more.
        open.set_len(before.len() as u64).map_err(failed)?;
    }
    written.map_err(failed)
}
