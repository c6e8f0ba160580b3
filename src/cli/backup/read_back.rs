//! `mainstay backups verify`: a backup is read back.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use mainstay_journal::Keyring;
use serde_json::json;

use super::list::At;
use super::place::Opening;
use crate::backup::{self, Checking};
use crate::cli::exit::Failed;
use crate::cli::source::{now, progress, telling};

/// Read a backup back, the newest if none is named
///
/// Without a key every object's bytes are held against the hash in its name; with one they are
/// opened, and every block, the chain and the tree over all events are checked.
#[derive(Debug, Args)]
pub(super) struct ReadBack {
    /// Which, as `mainstay backups` lists them
    id: Option<String>,
    #[command(flatten)]
    opening: Opening,
    /// File with the keys of a sealed journal
    #[arg(long, value_name = "FILE", env = "MAINSTAY__JOURNAL__KEY_FILE")]
    journal_key: Option<std::path::PathBuf>,
    /// Only so many objects in a hundred, the newest among them
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100), default_value_t = 100)]
    verify_sample: u8,
}

impl ReadBack {
    pub(super) fn run(self, at: &At) -> Result<ExitCode, Failed> {
        let (target, _) = at.open()?;
        let manifest = if let Some(id) = &self.id {
            backup::find(&target, id)?
        } else {
            let none = || Failed::usage("there is no backup yet; `mainstay backup` makes one");
            backup::list(&target)?.backups.into_iter().next().ok_or_else(none)?.manifest
        };
        let identities = self.opening.identities(&target)?;
        let keyring =
            self.journal_key.as_ref().map_or_else(|| Ok(Keyring::default()), Keyring::read);
        let checking = Checking {
            identities: identities.as_ref(),
            keyring: keyring.map_err(|error| Failed::usage(error.to_string()))?,
            sample: self.verify_sample,
            seed: now().as_micros(),
            now: now(),
        };
        let bar = progress("reading back", 0);
        let verified = backup::check(&target, &manifest, &checking, &mut telling(&bar))?;
        bar.finish_and_clear();
        let mut stdout = io::stdout().lock();
        if at.json {
            writeln!(stdout, "{}", json!({ "id": manifest.id, "verified": verified }))?;
        } else {
            let how = match (verified.opened, verified.objects == verified.of) {
                (true, true) => "opened, and their chain checked",
                (true, false) => "opened",
                (false, _) => "read back",
            };
            let (objects, of) = (verified.objects, verified.of);
            writeln!(stdout, "{}: {objects} of {of} objects {how}", manifest.id)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
