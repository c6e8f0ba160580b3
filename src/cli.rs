//! The command line: data on stdout, talk on stderr, `--json` everywhere.
//!
//! | exit code | means |
//! |---|---|
//! | 0 | yes, done |
//! | 1 | the check says no, or the work failed |
//! | 2 | usage: flags, configuration, arguments |
//! | 3 | the server cannot be reached, or is not ready |
//! | 4 | integrity violated |
//! | 5 | refused: in use, read-only, another format |

mod archive;
mod attest;
mod audit;
mod backup;
mod chaos;
mod checkpoint;
mod config;
mod diff;
mod drill;
mod exit;
mod gate;
mod inside;
mod journal_key;
mod keys;
mod online;
mod pages;
mod paper;
mod preflight;
mod proof;
mod replay;
mod restore;
mod serve;
mod signing;
mod source;
mod status;
mod subject;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use mainstay_journal::Reading;

use self::exit::Failed;
use crate::config::{Config, DEFAULT_PORT, JournalConfig};

/// A resilience kernel whose memory cannot be lost.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 yes · 1 the check says no · 2 usage · 3 unreachable · \
                          4 integrity violated · 5 refused";

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Status(status::Status),
    Replay(replay::Replay),
    Diff(diff::Diff),
    Audit(audit::Audit),
    Verify(verify::Verify),
    Archive(archive::Archive),
    Backup(backup::Backup),
    Backups(backup::Backups),
    Restore(restore::Restore),
    BackupKey(backup::BackupKey),
    Drill(drill::Drill),
    Checkpoint(checkpoint::Checkpoint),
    Proof(proof::Proof),
    Keys(keys::Keys),
    JournalKey(journal_key::JournalKey),
    Subject(subject::Subject),
    Preflight(preflight::Preflight),
    Gate(gate::Gate),
    Attest(attest::Attest),
    Chaos(chaos::Chaos),
    Config(config::Config),
    Completions(pages::Completions),
    Man(pages::Man),
}

/// Where offline verbs find the journal.
#[derive(Debug, Args)]
struct DataArgs {
    /// Data directory
    #[arg(long, value_name = "DIR", env = "MAINSTAY__SERVER__DATA", default_value = DEFAULT_DATA)]
    data: PathBuf,
}

/// What a journal needs beside its directory.
#[derive(Debug, Args)]
struct AtRest {
    /// File with the keys of a sealed journal
    #[arg(long, value_name = "FILE", env = "MAINSTAY__JOURNAL__KEY_FILE")]
    journal_key: Option<PathBuf>,
    /// Archive of dropped months [default: where it was when they were dropped]
    #[arg(long, value_name = "DIR", env = "MAINSTAY__JOURNAL__ARCHIVE")]
    archive: Option<PathBuf>,
}

impl AtRest {
    fn config(&self) -> JournalConfig {
        let (key_file, archive) = (self.journal_key.clone(), self.archive.clone());
        JournalConfig { key_file, archive, ..JournalConfig::default() }
    }

    fn reading(&self) -> Result<Reading, Failed> {
        self.config().reading().map_err(|error| Failed::usage(error.to_string()))
    }
}

const DEFAULT_DATA: &str = "./mainstay-data";

/// Runs the program on the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0, the rest to stderr with 2.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        },
    };
    let done = match cli.verb {
        Verb::Serve(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Replay(verb) => verb.run(),
        Verb::Diff(verb) => verb.run(),
        Verb::Audit(verb) => verb.run(),
        Verb::Verify(verb) => verb.run(),
        Verb::Archive(verb) => verb.run(),
        Verb::Backup(verb) => verb.run(),
        Verb::Backups(verb) => verb.run(),
        Verb::Restore(verb) => verb.run(),
        Verb::BackupKey(verb) => verb.run(),
        Verb::Drill(verb) => verb.run(),
        Verb::Checkpoint(verb) => verb.run(),
        Verb::Proof(verb) => verb.run(),
        Verb::Keys(verb) => verb.run(),
        Verb::JournalKey(verb) => verb.run(),
        Verb::Subject(verb) => verb.run(),
        Verb::Preflight(verb) => verb.run(),
        Verb::Gate(verb) => verb.run(),
        Verb::Attest(verb) => verb.run(),
        Verb::Chaos(verb) => verb.run(),
        Verb::Config(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    };
    done.unwrap_or_else(Failed::tell)
}

/// The configuration file if one is named, else the defaults; both under the environment.
fn configuration(file: Option<&PathBuf>) -> Result<Config, Failed> {
    let config = match file {
        Some(path) => Config::from_file(path),
        None => Config::from_environment(),
    };
    config.map_err(|error| Failed::usage(error.to_string()))
}

/// The server's URL when none is given.
fn default_server() -> String {
    format!("http://127.0.0.1:{DEFAULT_PORT}")
}
