//! The names of the simulated disk: what a directory's sync makes durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub(super) enum NameOp {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
    MakeDir(PathBuf),
}

pub(super) fn within(path: &Path, directories: &BTreeSet<PathBuf>) -> bool {
    path.parent().is_none_or(|parent| directories.contains(parent))
}

impl NameOp {
    pub(super) fn touches(&self, directory: &Path) -> bool {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::MakeDir(path) => {
                path.parent() == Some(directory)
            },
            Self::Rename(from, to) => {
                from.parent() == Some(directory) || to.parent() == Some(directory)
            },
        }
    }

    pub(super) fn apply(
        &self,
        names: &mut BTreeMap<PathBuf, usize>,
        directories: &mut BTreeSet<PathBuf>,
    ) {
        match self {
            Self::Link(path, id) => {
                names.insert(path.clone(), *id);
            },
            Self::Unlink(path) => {
                names.remove(path);
            },
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            },
            Self::MakeDir(path) => {
                directories.insert(path.clone());
            },
        }
    }
}
