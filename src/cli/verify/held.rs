//! `mainstay verify --checkpoint`: the journal held against checkpoints that were kept elsewhere. Every
//! record is hashed again, whatever lies in `proofs/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mainstay_journal::merkle::{Frontier, TreeHash, leaf_hash};
use mainstay_journal::{Base, ReadLog as _, Reader, Reading, RecordRef};

use super::proof::keys;
use crate::cli::exit::Failed;
use crate::cli::source::open;
use crate::verifier::Note;
use crate::witness::{WitnessError, check_signed, keyring, read};

/// Checkpoints, and the tree as far as it was read.
pub(super) struct Held {
    notes: Vec<Note>,
    frontier: Frontier,
    /// What was dropped: without its archive the tree begins there.
    base: Option<Arc<Base>>,
    /// The journal's roots of the sizes of the checkpoints.
    roots: BTreeMap<u64, Option<TreeHash>>,
}

/// What became of the checkpoints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpoints {
    /// The journal holds what they cover.
    pub(super) hold: usize,
    /// Nothing is there that they could be held against.
    pub(super) unchecked: usize,
}

impl Held {
    /// Reads the checkpoints of a file; they must be signed by keys of the journal's keyring, or by
    /// those that are given.
    pub(super) fn read(
        path: &Path,
        key: Option<&str>,
        data: &Path,
        reading: &Reading,
    ) -> Result<Self, Failed> {
        let notes = read(path)?;
        if notes.is_empty() {
            let text = format!("{}: it has no checkpoints, or does not exist", path.display());
            return Err(Failed::usage(text));
        }
        let reader: Reader = open(data, reading)?;
        let trusted = key.map_or_else(|| Ok(keyring(data)?), keys)?;
        check_signed(&notes, &reader.identity().journal, &trusted)?;
        let frontier = Frontier::default();
        let empty = frontier.root();
        let mut roots: BTreeMap<_, _> = notes.iter().map(|note| (note.size, None)).collect();
        if let Some(root) = roots.get_mut(&0) {
            *root = Some(empty);
        }
        Ok(Self { notes, frontier, base: reader.base(), roots })
    }

    /// Takes the next record in. After a gap nothing more is known.
    pub(super) fn take(&mut self, record: &RecordRef<'_>) {
        if let Some(base) = self.base.as_ref().filter(|_| self.frontier.size() == 0)
            && record.position == base.head().position + 1
        {
            self.frontier = base.tree();
            if let Some(root) = self.roots.get_mut(&self.frontier.size()) {
                *root = Some(self.frontier.root());
            }
        }
        if record.position != self.frontier.size() + 1 {
            return;
        }
        self.frontier.push(leaf_hash(record));
        if let Some(root) = self.roots.get_mut(&record.position) {
            *root = Some(self.frontier.root());
        }
    }

    /// Asserts that the journal up to `head` holds what the checkpoints cover; returns how many do, and
    /// how many are of dropped months whose archive is away, while a newer one holds.
    pub(super) fn end(&self, head: u64) -> Result<Checkpoints, Failed> {
        let dropped = self.base.as_ref().map_or(0, |base| base.head().position);
        let newest = self.notes.iter().map(|note| note.size).max().unwrap_or_default();
        let mut unchecked = 0;
        for note in &self.notes {
            let size = note.size;
            match self.roots.get(&size).copied().flatten() {
                Some(root) if root == note.root => {},
                Some(_) => return Err(WitnessError::Rewritten { size }.into()),
                None if size > head => return Err(WitnessError::Shortened { head, size }.into()),
                None if size < dropped && newest >= dropped => unchecked += 1,
                None if size < dropped => {
                    let text = "the events below the checkpoint were dropped; name their archive \
                                with --archive";
                    return Err(Failed::usage(text));
                },
                None => {
                    let text = "records are missing below a checkpoint; see the findings";
                    return Err(Failed::integrity(text));
                },
            }
        }
        Ok(Checkpoints { hold: self.notes.len() - unchecked, unchecked })
    }
}

impl From<WitnessError> for Failed {
    fn from(error: WitnessError) -> Self {
        let text = error.to_string();
        match error {
            WitnessError::Io { .. } => Self::work(text),
            WitnessError::Unreadable { .. } => Self::usage(text),
            WitnessError::Keyring(error) => error.into(),
            WitnessError::Open(error) => crate::cli::source::refusal(&error),
            WitnessError::Read(error) => error.into(),
            WitnessError::Gone { .. }
            | WitnessError::Foreign { .. }
            | WitnessError::Unsigned(_)
            | WitnessError::Shortened { .. }
            | WitnessError::Rewritten { .. } => Self::integrity(text),
        }
    }
}
