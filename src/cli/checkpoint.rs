//! `mainstay checkpoint`: what others can hold the journal against, and the keys that sign it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::Failed;
use super::signing::Signing;
use super::source::{Way, Where, open};
use super::{AtRest, EXIT_CODES};
use crate::proofs::public_lines;

/// Sign a checkpoint of the journal; show or rotate the keys that sign
///
/// A checkpoint says how many events are on the disk, and the hash over all of them. Keep it
/// elsewhere: `mainstay verify --checkpoint FILE` refuses a journal that was rewritten or shortened.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(super) struct Checkpoint {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    way: Way,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the public halves of every key that ever signed, the newest last
    Keys(Keys),
    /// Sign with another key from now on; the server must be stopped
    RotateKey(RotateKey),
}

#[derive(Debug, Args)]
struct Keys {
    #[command(flatten)]
    way: Way,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RotateKey {
    /// Data directory [default: ./mainstay-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    key: AtRest,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Checkpoint {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.verb {
            None => {
                let note = note(&self.way)?;
                let text = if self.json { json!({ "checkpoint": note }).to_string() } else { note };
                print(text.trim_end())
            },
            Some(Verb::Keys(Keys { way, json })) => tell(&keys(&way)?, json),
            Some(Verb::RotateKey(RotateKey { data, key, json })) => {
                let way = Way::to(data, key);
                let signing = Signing::open(&way.data(), &way.reading()?, 0)?;
                signing.notary.rotate()?;
                tell(&signing.notary.keys()?, json)
            },
        }
    }
}

fn note(way: &Way) -> Result<String, Failed> {
    match way.chosen()? {
        Where::Data(data) => {
            let Signing { log, notary } = Signing::open(&data, &way.reading()?, 0)?;
            Ok(notary.checkpoint(&log, None)?.note)
        },
        Where::Server(online) => online.text("/api/v1/checkpoint"),
    }
}

fn keys(way: &Way) -> Result<Vec<String>, Failed> {
    match way.chosen()? {
        Where::Data(data) => {
            open(&data, &way.reading()?)?;
            Ok(public_lines(&data)?)
        },
        Where::Server(online) => {
            let answer = online.get("/api/v1/checkpoint/keys", &[])?;
            let keys = answer.get("keys").cloned().unwrap_or_default();
            serde_json::from_value(keys)
                .map_err(|error| Failed::unreachable(format!("it is no mainstay server: {error}")))
        },
    }
}

fn tell(keys: &[String], json: bool) -> Result<ExitCode, Failed> {
    if json { print(&json!({ "keys": keys }).to_string()) } else { print(&keys.join("\n")) }
}

fn print(text: &str) -> Result<ExitCode, Failed> {
    let mut stdout = io::stdout().lock();
    if !text.is_empty() {
        writeln!(stdout, "{text}")?;
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}
