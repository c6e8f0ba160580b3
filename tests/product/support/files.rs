//! What lies in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below a folder.
pub(crate) fn files(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Every file below a folder, and what is in it.
pub(crate) fn tree(under: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(under).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
