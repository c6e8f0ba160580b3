//! A witness: a file of checkpoints that lies elsewhere than the journal, so that who changes one does
//! not change the other.
//!
//! ```text
//!   start ─► each checkpoint ─► signed by a key of the keyring? ─► the journal's root of that size?
//!   ready, each minute, stop ─► the newest checkpoint is added, if there is anything new
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use mainstay_journal::merkle::{self, TreeError};
use mainstay_journal::{OpenError, ReadError, ReadLog, Reader, Reading};

use crate::proofs::{self, Checkpoint, KeyringError};
use crate::verifier::{Invalid, Note, PublicKey, notes};

/// Most checkpoints of a file; the oldest go first. The newest says all that they do.
const MOST: usize = 1_024;

/// Why a journal is not taken, or a checkpoint not added.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The operating system said no.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// The file holds no checkpoints.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The keyring cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no journal any more.
    #[error(
        "journal gone: {path} holds none, and a checkpoint covers {size} events of it; restore a backup"
    )]
    Gone {
        /// The data directory.
        path: PathBuf,
        /// Of the checkpoint.
        size: u64,
    },
    /// The checkpoint is of another journal.
    #[error("another journal: the checkpoint is of {theirs}, and this is {ours}")]
    Foreign {
        /// The journal.
        ours: String,
        /// The checkpoint's origin.
        theirs: String,
    },
    /// The checkpoint is not signed by a key of the journal.
    #[error(
        "checkpoint not signed: {0}; name its key with --key, or put signing/keyring back from a copy"
    )]
    Unsigned(String),
    /// The journal has fewer events than it had.
    #[error(
        "journal shortened: it ends at {head}, and a checkpoint covers {size} events; restore a backup"
    )]
    Shortened {
        /// The newest event.
        head: u64,
        /// Of the checkpoint.
        size: u64,
    },
    /// The journal has other events than it had.
    #[error(
        "journal rewritten: its first {size} events are not those of the checkpoint that was signed over them; \
         restore a backup"
    )]
    Rewritten {
        /// Of the checkpoint.
        size: u64,
    },
}

/// Reads the checkpoints of a file, none if it does not exist.
///
/// # Errors
/// [`WitnessError::Io`], [`WitnessError::Unreadable`].
pub fn read(path: &Path) -> Result<Vec<Note>, WitnessError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|source| io_error("read", path, source))?,
    };
    notes(&text).map_err(|error| WitnessError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The keys of a data directory's keyring.
///
/// # Errors
/// [`WitnessError::Keyring`], [`WitnessError::Unsigned`].
pub fn keyring(data: &Path) -> Result<Vec<PublicKey>, WitnessError> {
    let lines = proofs::public_lines(data)?;
    let keys = lines.iter().map(|line| PublicKey::parse(line)).collect::<Result<_, Invalid>>();
    keys.map_err(|error| WitnessError::Unsigned(format!("the keyring is damaged: {error}")))
}

/// Asserts that checkpoints are of a journal and signed by one of the keys.
///
/// # Errors
/// [`WitnessError::Foreign`], [`WitnessError::Unsigned`].
pub fn check_signed(
    notes: &[Note],
    journal: &[u8; 16],
    keys: &[PublicKey],
) -> Result<(), WitnessError> {
    let ours = proofs::origin(journal);
    for note in notes {
        if note.origin != ours {
            return Err(WitnessError::Foreign { ours, theirs: note.origin.clone() });
        }
        note.signer(keys).map_err(|error| WitnessError::Unsigned(error.to_string()))?;
    }
    Ok(())
}

/// Asserts that the journal of a data directory still holds what the checkpoints of a file cover.
/// Nothing is written. Returns how many were not held against anything: their events were dropped into an
/// archive that is away, and a newer one holds.
///
/// # Errors
/// See [`WitnessError`].
pub fn check(path: &Path, data: &Path, reading: &Reading) -> Result<usize, WitnessError> {
    let notes = read(path)?;
    let Some(newest) = notes.iter().map(|note| note.size).max() else { return Ok(0) };
    let log = match Reader::open_with(data, reading.clone()) {
        Err(OpenError::NotAJournal { .. }) => {
            return Err(WitnessError::Gone { path: data.to_owned(), size: newest });
        },
        opened => opened?,
    };
    check_signed(&notes, &log.identity().journal, &keyring(data)?)?;
    let mut unchecked = 0;
    for note in &notes {
        match merkle::root(&log, note.size) {
            Ok(root) if root == note.root => {},
            Ok(_) => return Err(WitnessError::Rewritten { size: note.size }),
            Err(TreeError::Read(ReadError::Archived(_))) if note.size < newest => unchecked += 1,
            Err(TreeError::Read(error)) => return Err(error.into()),
            Err(_) => {
                let head = log.head().position;
                return Err(WitnessError::Shortened { head, size: note.size });
            },
        }
    }
    Ok(unchecked)
}

/// Adds a checkpoint, unless the newest one covers as many events. The file is on the disk then.
///
/// # Errors
/// [`WitnessError::Io`], [`WitnessError::Unreadable`].
pub fn add(path: &Path, checkpoint: &Checkpoint) -> Result<(), WitnessError> {
    let notes = read(path)?;
    if notes.last().is_some_and(|note| note.size == checkpoint.size) {
        return Ok(());
    }
    let mut texts: Vec<String> = notes.iter().map(ToString::to_string).collect();
    texts.drain(..texts.len().saturating_sub(MOST - 1));
    texts.push(checkpoint.note.clone());
    let young = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&young)?;
        file.write_all(texts.join("\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&young, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| io_error("write", path, source))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> WitnessError {
    WitnessError::Io { doing, path: path.to_owned(), source }
}
