//! `mainstay backup`: one backup of a data directory, also beside its running server.

mod key;
mod list;
mod place;
mod prune;
mod read_back;

pub(super) use self::key::BackupKey;
pub(super) use self::list::Backups;
pub(super) use self::place::{Opening, TargetArgs, place};

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::EXIT_CODES;
use super::exit::Failed;
use super::source::{now, open, progress, refusal, telling};
use crate::backup::{self, BackupError, Checking, Manifest, Recipients, Taken, Verified};

/// Back the journal up to a directory or a bucket
///
/// Everything that is durable now goes there, as far as it is not there yet, compressed and encrypted
/// to the recipients; also beside the running server. A backup is made by name, so that it can be
/// listed, verified and restored. A server with [backup] in its configuration does this by itself.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Backup {
    /// Data directory [default: as configured, or ./mainstay-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// File with the keys of a sealed journal
    #[arg(long, value_name = "FILE")]
    journal_key: Option<PathBuf>,
    /// Configuration file: what it says of data, journal and backups is the default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// Who can open it (age1…); as often as needed
    #[arg(
        long,
        value_name = "RECIPIENT",
        value_delimiter = ',',
        env = "MAINSTAY__BACKUP__RECIPIENTS"
    )]
    recipient: Vec<String>,
    /// File with a passphrase that opens it instead: the first backup makes a key under it
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
    /// Read it back when it is made: every object's bytes
    #[arg(long)]
    verify: bool,
    /// Read back only so many objects in a hundred, the newest among them
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    verify_sample: Option<u8>,
    /// Say what would be shipped, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let whole = super::configuration(self.config.as_ref())?;
        let (mut journal, config) = (whole.journal, whole.backup);
        let data = self.data.as_ref().unwrap_or(&whole.server.data);
        journal.key_file = self.journal_key.clone().or(journal.key_file);
        let reading = journal.reading().map_err(|error| Failed::usage(error.to_string()))?;
        let place = self.target.place(&config)?;
        let reader = open(data, &reading)?;
        if self.dry_run {
            let would = backup::would_ship(&reader, &place)?;
            return self.tell_would(&place.to_string(), would);
        }
        let target = backup::Target::open(&place, true)?;
        let recipients = match &self.passphrase_file {
            Some(file) => place::recipients_by_passphrase(&target, file)?,
            None => self.recipients(&config.recipients)?,
        };
        let bar = progress("backing up", 0);
        let taken = backup::take(data, &reader, &target, &recipients, now(), &mut telling(&bar))?;
        bar.finish_and_clear();
        let mut verified = None;
        if self.verify || self.verify_sample.is_some() {
            let bar = progress("reading back", 0);
            let checking = Checking {
                identities: None,
                keyring: mainstay_journal::Keyring::default(),
                sample: self.verify_sample.unwrap_or(100),
                seed: now().as_micros(),
                now: now(),
            };
            let manifest = &taken.manifest;
            verified = Some(backup::check(&target, manifest, &checking, &mut telling(&bar))?);
            bar.finish_and_clear();
        }
        self.tell(&taken, verified)
    }

    fn recipients(&self, configured: &crate::config::List) -> Result<Recipients, Failed> {
        let named = self.recipient.iter().map(String::as_str);
        let all: Vec<&str> =
            if self.recipient.is_empty() { configured.iter().collect() } else { named.collect() };
        if all.is_empty() {
            let text = "name who can open it with --recipient, as `mainstay backup-key create FILE` \
                        prints it, or a passphrase with --passphrase-file";
            return Err(Failed::usage(text));
        }
        Recipients::parse(all).map_err(Failed::usage)
    }

    fn tell(&self, taken: &Taken, verified: Option<Verified>) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        let Taken { manifest, shipped } = taken;
        if self.json {
            let mut told = list::document(manifest);
            if let Value::Object(members) = &mut told {
                members.insert("shipped".to_owned(), json!(shipped));
                members.insert("verified".to_owned(), json!(verified));
            }
            writeln!(stdout, "{told}")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(stdout, "{}", manifest.id)?;
        let Manifest { position, .. } = manifest;
        let size = list::size(manifest.size_bytes());
        let pieces = manifest.pieces.len();
        writeln!(
            io::stderr(),
            "events to {position} in {pieces} objects of {size} in all; {shipped} events were new"
        )?;
        if let Some(Verified { objects, of, .. }) = verified {
            writeln!(io::stderr(), "{objects} of {of} objects were read back")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tell_would(&self, target: &str, (from, upto): (u64, u64)) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        if self.json {
            let told = json!({ "dry_run": true, "to": target, "after": from, "position": upto });
            writeln!(stdout, "{told}")?;
        } else if from >= upto {
            writeln!(stdout, "{target} holds all {upto} events; a backup would name this moment")?;
        } else {
            writeln!(stdout, "events {} to {upto} would be shipped to {target}", from + 1)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl From<BackupError> for Failed {
    fn from(error: BackupError) -> Self {
        use BackupError as E;
        use backup::TargetError;
        let text = error.to_string();
        match error {
            E::Target(TargetError::NotThere { .. }) | E::NotATarget { .. } | E::NoBackup { .. } => {
                Self::usage(text)
            },
            E::Target(TargetError::NoRoom { .. }) | E::Here(_) => Self::work(text),
            E::Target(TargetError::Failed { .. }) => Self::unreachable(text),
            E::Open(error) => refusal(&error),
            E::Read(error) => error.into(),
            E::Foreign { .. }
            | E::Fenced(_)
            | E::Busy { .. }
            | E::Diverged { .. }
            | E::Newer { .. }
            | E::NotEmpty { .. }
            | E::Clock { .. } => Self::refused(text),
            E::Gap { .. } | E::Damaged { .. } => Self::integrity(text),
            E::OtherKey { .. } | E::OtherPassphrase | E::Usage(_) => Self::usage(text),
            E::Plant(error) => match error {
                mainstay_journal::plant::PlantError::Damaged { .. } => Self::integrity(text),
                mainstay_journal::plant::PlantError::Sealed(_) => Self::usage(text),
                mainstay_journal::plant::PlantError::Io { .. } => Self::work(text),
            },
        }
    }
}

impl From<backup::TargetError> for Failed {
    fn from(error: backup::TargetError) -> Self {
        BackupError::from(error).into()
    }
}
