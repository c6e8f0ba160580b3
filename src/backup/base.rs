//! What a journal has dropped into an archive, for a target that never saw it: every stream's state where
//! the journal begins.
//!
//! ```text
//!   BASE, base/…4711.states ─► base/…4711/BASE.age, base/…4711/states.age
//! ```
//!
//! The archive itself is not copied: it lies elsewhere already.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::keys::unsealed;
use super::seal::{Identities, Recipients};
use super::target::Target;

/// The folder of all of them.
pub(super) const FOLDER: &str = "base";

/// The objects of one.
pub(super) fn objects(position: u64) -> [String; 2] {
    ["BASE", "states"].map(|name| format!("{FOLDER}/{position:020}/{name}.age"))
}

/// The position in the name of an object.
pub(super) fn position_of(name: &str) -> Option<u64> {
    name.split('/').nth(1)?.parse().ok()
}

/// Its files in a data directory.
fn files(data: &Path, position: u64) -> [PathBuf; 2] {
    [data.join("BASE"), data.join("base").join(format!("{position:020}.states"))]
}

/// Ships one, unless it is there. What tells where it begins goes last.
pub(super) fn ship(
    data: &Path,
    position: u64,
    target: &Target,
    recipients: &Recipients,
) -> Result<(), BackupError> {
    let pairs = files(data, position).into_iter().zip(objects(position));
    for (file, object) in pairs.rev() {
        if target.get(&object)?.is_some() {
            continue;
        }
        let bytes = fs::read(&file);
        let bytes =
            bytes.map_err(|error| BackupError::Here(format!("{}: {error}", file.display())))?;
        let sealed =
            recipients.seal(&bytes).map_err(|error| BackupError::Here(error.to_string()))?;
        target.put(&object, sealed)?;
    }
    Ok(())
}

/// Writes one into a data directory.
pub(super) fn fetch(
    target: &Target,
    position: u64,
    identities: &Identities,
    data: &Path,
) -> Result<(), BackupError> {
    for (file, object) in files(data, position).into_iter().zip(objects(position)) {
        let sealed = target.read(&object)?;
        let bytes = identities.open(&sealed).map_err(|error| unsealed(&object, error))?;
        let folder = file.parent().unwrap_or(data);
        fs::create_dir_all(folder)?;
        fs::write(&file, bytes)?;
        fs::File::open(&file)?.sync_all()?;
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
