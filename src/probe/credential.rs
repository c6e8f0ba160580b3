//! Who a probe says it is: a user, and a password that lies in a file.

use std::path::PathBuf;

use zeroize::Zeroizing;

/// The file is read for every probe: a password that was changed holds without a restart.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) user: Option<String>,
    pub(super) secret_file: Option<PathBuf>,
}

impl Credential {
    /// The first line of the file.
    pub(super) fn password(&self) -> Result<Option<Zeroizing<String>>, String> {
        let Some(path) = &self.secret_file else { return Ok(None) };
        let at = |reason: String| format!("probe_secret_file {}: {reason}", path.display());
        let text = crate::secret::read(path).map_err(at)?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Some(Zeroizing::new(line.to_owned()))),
            _ => Err(at("its first line holds no password".to_owned())),
        }
    }
}
