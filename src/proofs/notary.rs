//! [`Notary`]: signs checkpoints of an open journal and gives proofs under them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_journal::merkle::{self, TreeError, leaf_hash};
use mainstay_journal::{ReadError, ReadLog};

use super::document::{Consistency, Inclusion, hex};
use super::keyring::{Keyring, KeyringError, read_public};
use super::origin;

/// Why there is no checkpoint or proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The journal is not open yet, or no more.
    #[error("the signing key is not open")]
    Closed,
    /// The keys cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// There is no such tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<ReadError> for ProofError {
    fn from(error: ReadError) -> Self {
        Self::Tree(error.into())
    }
}

/// What a journal says of its first `size` events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events it covers; all of them are durable.
    pub size: u64,
    /// The signed text; see `docs/proofs.md`.
    pub note: String,
}

/// The notary of a data directory.
#[derive(Debug)]
pub struct Notary {
    data: PathBuf,
    open: Mutex<Option<Keyring>>,
}

impl Notary {
    /// Of a data directory; opened by [`Notary::open`].
    #[must_use]
    pub fn at(data: &Path) -> Arc<Self> {
        Arc::new(Self { data: data.to_owned(), open: Mutex::default() })
    }

    /// Reads or makes the key that signs. The journal in the directory must be open, so that the
    /// directory is this process's own.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn open(&self, journal: &[u8; 16]) -> Result<(), KeyringError> {
        let keyring = Keyring::open(&self.data, &origin(journal))?;
        *self.held() = Some(keyring);
        Ok(())
    }

    /// From now on another key signs; the old one's public line stays.
    ///
    /// # Errors
    /// [`ProofError::Closed`], [`ProofError::Keyring`].
    pub fn rotate(&self) -> Result<(), ProofError> {
        Ok(self.held().as_mut().ok_or(ProofError::Closed)?.rotate()?)
    }

    /// The public lines of every key that ever signed, the newest last.
    ///
    /// # Errors
    /// [`ProofError::Closed`].
    pub fn keys(&self) -> Result<Vec<String>, ProofError> {
        Ok(self.held().as_ref().ok_or(ProofError::Closed)?.public.clone())
    }

    /// A checkpoint over the first `size` events, or over all that are durable.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub fn checkpoint<L: ReadLog + ?Sized>(
        &self,
        log: &L,
        size: Option<u64>,
    ) -> Result<Checkpoint, ProofError> {
        let head = log.head();
        let size = size.unwrap_or(head.position);
        let root = merkle::root(log, size)?;
        let mut epoch = head.epoch;
        if size > 0 {
            log.scan(size, size, &mut |record| {
                epoch = record.epoch;
                ControlFlow::Break(())
            })?;
        }
        let held = self.held();
        let key = &held.as_ref().ok_or(ProofError::Closed)?.key;
        let root = STANDARD.encode(root);
        let note = key.note(&format!("{}\n{size}\n{root}\nepoch {epoch}\n", key.name()));
        Ok(Checkpoint { size, note })
    }

    /// Shows that an event is among those that are durable now.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub(crate) fn inclusion<L: ReadLog + ?Sized>(
        &self,
        log: &L,
        position: u64,
        with_leaf: bool,
    ) -> Result<Inclusion, ProofError> {
        let checkpoint = self.checkpoint(log, None)?;
        let path = merkle::inclusion(log, position, checkpoint.size)?;
        let mut leaf = None;
        log.scan(position, position, &mut |record| {
            leaf = Some((leaf_hash(&record), with_leaf.then(|| STANDARD.encode(record.leaf()))));
            ControlFlow::Break(())
        })?;
        let outside = TreeError::Outside { position, size: checkpoint.size };
        let (leaf_hash, leaf) = leaf.ok_or(outside)?;
        Ok(Inclusion {
            format: 1,
            proves: "inclusion",
            position,
            leaf_hash: hex(&leaf_hash),
            leaf,
            path: path.iter().map(|hash| hex(hash)).collect(),
            checkpoint: checkpoint.note,
            keys: self.keys()?,
        })
    }

    /// Shows that the first `to` events begin with the first `from`.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub(crate) fn consistency<L: ReadLog + ?Sized>(
        &self,
        log: &L,
        from: u64,
        to: Option<u64>,
    ) -> Result<Consistency, ProofError> {
        let to = to.unwrap_or(log.head().position);
        let path = merkle::consistency(log, from, to)?;
        Ok(Consistency {
            format: 1,
            proves: "consistency",
            from: self.checkpoint(log, Some(from))?.note,
            to: self.checkpoint(log, Some(to))?.note,
            path: path.iter().map(|hash| hex(hash)).collect(),
            keys: self.keys()?,
        })
    }

    fn held(&self) -> MutexGuard<'_, Option<Keyring>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The public lines of a data directory that need not be open.
pub(crate) fn public_lines(data: &Path) -> Result<Vec<String>, KeyringError> {
    read_public(&data.join("signing"))
}
