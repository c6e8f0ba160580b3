//! Which target, and with which key it is opened.

use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::backup::{self, BackupError, Identities, Place, Recipients, Target};
use crate::cli::exit::Failed;
use crate::config::BackupConfig;

/// Where the backups lie.
#[derive(Debug, Args)]
pub(in crate::cli) struct TargetArgs {
    /// Directory or `s3://bucket/prefix?region=…&endpoint=…`
    #[arg(long, value_name = "TARGET", env = "MAINSTAY__BACKUP__TO", global = true)]
    to: Option<String>,
    /// File with the bucket's credentials: the access key's id and its secret, a line each
    #[arg(long, value_name = "FILE", env = "MAINSTAY__BACKUP__SECRET_FILE", global = true)]
    secret_file: Option<PathBuf>,
}

impl TargetArgs {
    pub(super) fn place(&self, config: &BackupConfig) -> Result<Place, Failed> {
        let none = || Failed::usage("name the target with --to, or as backup.to in --config");
        let to = self.to.as_deref().or(config.to.as_deref()).ok_or_else(none)?;
        place(to, self.secret_file.as_deref().or(config.secret_file.as_deref()))
    }
}

/// A target by its name.
pub(in crate::cli) fn place(to: &str, secret_file: Option<&Path>) -> Result<Place, Failed> {
    Place::parse(to, secret_file).map_err(|reason| Failed::usage(format!("{to}: {reason}")))
}

/// What opens backups.
#[derive(Debug, Args)]
pub(in crate::cli) struct Opening {
    /// File with the key, as `mainstay backup-key create` or age-keygen writes it
    #[arg(long, value_name = "FILE", env = "MAINSTAY_BACKUP_IDENTITY_FILE")]
    identity: Option<PathBuf>,
    /// File with the passphrase, where backups were made with one
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
}

impl Opening {
    /// The keys, if any are named.
    pub(in crate::cli) fn identities(&self, target: &Target) -> Result<Option<Identities>, Failed> {
        match (&self.identity, &self.passphrase_file) {
            (Some(file), _) => Identities::read(file).map(Some).map_err(Failed::usage),
            (None, Some(file)) => by_passphrase(target, file).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The keys, which must be named.
    pub(in crate::cli) fn needed(&self, target: &Target) -> Result<Identities, Failed> {
        let text = "name the file with the key with --identity, or a passphrase with \
                    --passphrase-file";
        self.identities(target)?.ok_or_else(|| Failed::usage(text))
    }
}

/// The key that lies in a target, sealed under a passphrase.
const LOCKED: &str = "identity.age";

fn passphrase(file: &Path) -> Result<Zeroizing<String>, Failed> {
    let say = |reason: &str| Failed::usage(format!("{}: {reason}", file.display()));
    let text = crate::secret::read(file).map_err(|reason| say(&reason))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(say("its first line is the passphrase, and it is empty"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn by_passphrase(target: &Target, file: &Path) -> Result<Identities, Failed> {
    let passphrase = passphrase(file)?;
    let locked = target.get(LOCKED)?.ok_or_else(|| {
        let target = target.shown();
        Failed::usage(format!("{target}: no backup was made with a passphrase; use --identity"))
    })?;
    let opened = backup::unlock(&passphrase, &locked).map_err(|error| match error {
        backup::UnsealError::OtherKey => BackupError::OtherPassphrase,
        backup::UnsealError::Damaged(reason) => {
            BackupError::Damaged { object: LOCKED.to_owned(), reason }
        },
    })?;
    Identities::parse(&opened).map_err(Failed::usage)
}

/// Those who can open what is made with a passphrase: its key is made with the first backup.
pub(super) fn recipients_by_passphrase(target: &Target, file: &Path) -> Result<Recipients, Failed> {
    if target.get(LOCKED)?.is_none() {
        let (identity, _) = Identities::generate();
        let locked = backup::lock(&passphrase(file)?, &identity);
        let locked = locked.map_err(|error| Failed::work(format!("make a key: {error}")))?;
        target.create(LOCKED, locked)?;
    }
    // Opened again: another process may have made it first.
    Ok(by_passphrase(target, file)?.recipients())
}
