//! A data directory opened to sign: as its only process, for a checkpoint covers what is on the disk,
//! and that is known only to who writes there.

use std::path::Path;
use std::sync::Arc;

use mainstay_journal::merkle::TreeError;
use mainstay_journal::{LocalLog, OpenError, Options, Outcome, ReadLog, Reading};

use super::exit::Failed;
use super::source::{open, refusal};
use crate::proofs::{KeyringError, Notary, ProofError};

/// The journal and who signs for it; closed when it is dropped.
pub(super) struct Signing {
    pub(super) log: LocalLog,
    pub(super) notary: Arc<Notary>,
}

impl Signing {
    /// `upto` events must be there: if they are not, nothing is opened to be written.
    pub(super) fn open(data: &Path, reading: &Reading, upto: u64) -> Result<Self, Failed> {
        let durable = open(data, reading)?.head().position;
        if upto > durable {
            return Err(ProofError::Tree(TreeError::Beyond { asked: upto, durable }).into());
        }
        let Reading { keyring, archive, .. } = reading.clone();
        let options = Options {
            create: false,
            store: false,
            spares: 0,
            keyring,
            archive,
            ..Options::default()
        };
        let log = LocalLog::open(data, &options, |_: u32, _: Vec<Outcome>| {});
        let log = log.map_err(|error| match error {
            OpenError::InUse { path } => Failed::refused(format!(
                "open {}: another process has this journal open; ask that server with --server, or stop it",
                path.display()
            )),
            _ => refusal(&error),
        })?;
        let notary = Notary::at(data);
        notary.open(&log.identity().journal)?;
        Ok(Self { log, notary })
    }
}

impl From<KeyringError> for Failed {
    fn from(error: KeyringError) -> Self {
        let text = error.to_string();
        match error {
            KeyringError::Io { .. } => Self::work(text),
            KeyringError::Damaged { .. } | KeyringError::Open { .. } => Self::refused(text),
        }
    }
}

impl From<ProofError> for Failed {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Tree(TreeError::Read(error)) => error.into(),
            ProofError::Tree(error) => Self::usage(error.to_string()),
            ProofError::Keyring(error) => error.into(),
            ProofError::Closed => Self::work(error.to_string()),
        }
    }
}
