//! `mainstay backups`: which there are, whether they were read back, which go.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::place::TargetArgs;
use super::prune::Prune;
use super::read_back::ReadBack;
use crate::backup::{self, Held, Listed, Manifest, Target};
use crate::cli::EXIT_CODES;
use crate::cli::exit::Failed;
use crate::cli::source::now;
use crate::cli::table::table;

/// List backups, read them back, prune them
///
/// Without a verb they are listed, the newest first, with age, size and when each was read back.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::cli) struct Backups {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Verify(ReadBack),
    Prune(Prune),
}

/// Which target, and how it is told.
#[derive(Debug, Args)]
pub(super) struct At {
    /// Configuration file: what [backup] says is the default
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl At {
    pub(super) fn open(&self) -> Result<(Target, crate::config::BackupConfig), Failed> {
        let config = crate::cli::configuration(self.config.as_ref())?.backup;
        Ok((Target::open(&self.target.place(&config)?, false)?, config))
    }
}

impl Backups {
    pub(in crate::cli) fn run(self) -> Result<ExitCode, Failed> {
        match self.verb {
            Some(Verb::Verify(verb)) => verb.run(&self.at),
            Some(Verb::Prune(verb)) => verb.run(&self.at),
            None => list(&self.at),
        }
    }
}

fn list(at: &At) -> Result<ExitCode, Failed> {
    let (target, _) = at.open()?;
    let held = backup::list(&target)?;
    let mut stdout = io::stdout().lock();
    if at.json {
        writeln!(stdout, "{}", held_document(&held))?;
    } else {
        let mut rows = table(&["BACKUP", "AGE", "EVENTS TO", "OBJECTS", "SIZE", "READ BACK"]);
        for listed in &held.backups {
            let Listed { manifest, verified, .. } = listed;
            let read = verified.map_or_else(
                || "never".to_owned(),
                |it| {
                    let how = if it.opened { "opened" } else { "bytes" };
                    format!("{} ago, {} of {}, {how}", age(it.at), it.objects, it.of)
                },
            );
            rows.add_row([
                manifest.id.clone(),
                age(manifest.made_at),
                manifest.position.to_string(),
                manifest.pieces.len().to_string(),
                size(manifest.size_bytes()),
                read,
            ]);
        }
        writeln!(stdout, "{rows}")?;
        let newest = held.backups.first().map_or(0, |it| it.manifest.position);
        if let Some(shipped) = held.shipped.filter(|shipped| *shipped > newest) {
            writeln!(stdout, "and events to {shipped}, shipped since")?;
        }
    }
    for (object, reason) in &held.bad {
        writeln!(io::stderr(), "{object} is no backup that can be used: {reason}")?;
    }
    Ok(if held.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(4) })
}

fn held_document(held: &Held) -> Value {
    let backups = held.backups.iter().map(|listed| {
        let mut told = document(&listed.manifest);
        if let Value::Object(members) = &mut told {
            members.insert("verified".to_owned(), json!(listed.verified));
        }
        told
    });
    let bad = held.bad.iter().map(|(object, reason)| json!({ "object": object, "reason": reason }));
    json!({
        "backups": backups.collect::<Vec<_>>(),
        "bad": bad.collect::<Vec<_>>(),
        "shipped": held.shipped,
        "size_bytes": held.size_bytes,
    })
}

/// A backup as JSON.
pub(super) fn document(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.id,
        "epoch": manifest.epoch,
        "position": manifest.position,
        "recorded_at": manifest.recorded_at,
        "made_at": manifest.made_at,
        "version": manifest.version,
        "objects": manifest.pieces.len(),
        "size_bytes": manifest.size_bytes(),
    })
}

/// How long ago, in the largest unit that fits.
fn age(at: mainstay_actors::time::Timestamp) -> String {
    let seconds = now().ms_since(at) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Bytes, as people read them.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(in crate::cli) fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}
