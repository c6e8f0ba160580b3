//! `mainstay backup-key`: the key that opens backups.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::backup::Identities;
use crate::cli::exit::Failed;
use crate::cli::paper::Paper;

/// Make the key that opens backups
#[derive(Debug, Args)]
pub(in crate::cli) struct BackupKey {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a new file with a key, which only its owner can read, and print its recipient
    Create {
        /// The file; keep it away from the server and its backups: it opens them
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl BackupKey {
    pub(in crate::cli) fn run(self) -> Result<ExitCode, Failed> {
        let Verb::Create { file, json } = self.verb;
        let (identity, recipient) = Identities::generate();
        let mut paper = Paper::new("file", file)?;
        paper.write(&identity)?;
        let mut stdout = io::stdout().lock();
        if json {
            writeln!(stdout, "{}", json!({ "file": paper.path(), "recipient": recipient }))?;
        } else {
            writeln!(stdout, "{recipient}")?;
            writeln!(
                io::stderr(),
                "backup.recipients names it to the server; keep {} elsewhere: without it no backup \
                 opens",
                paper.path().display()
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
