//! Files that hold a secret: for their owner only.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// Reads one; whoever else may read it is named.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let mode = std::fs::metadata(path).map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(format!("it can be used by others; run: chmod 600 {path}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(text))
}
