//! The files of signing keys in a data directory.
//!
//! ```text
//! signing/key       the private line of the key that signs; for its owner only
//! signing/keyring   the public lines of every key that ever signed, the newest last
//! ```
//!
//! A public line is on the disk before its key signs anything.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::key::SigningKey;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
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
    /// The file is not what it should be.
    #[error(
        "{path} is no signing key of this journal: {reason}; put it back from a copy, or remove it: a new key \
         is made then, and the keyring keeps the old one's public half"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Others may read the private key.
    #[error(
        "{path} has mode {mode:03o}: others may read the key that signs; `chmod 600 {path}`, and rotate it"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its lowest bits.
        mode: u32,
    },
}

/// The keys of a journal.
#[derive(Debug)]
pub(super) struct Keyring {
    directory: PathBuf,
    pub(super) key: SigningKey,
    /// Public lines, the newest last.
    pub(super) public: Vec<String>,
}

impl Keyring {
    /// Reads the keys, or makes the first. The data directory must be this process's own.
    pub(super) fn open(data: &Path, origin: &str) -> Result<Self, KeyringError> {
        let directory = data.join("signing");
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error("create", &directory, error));
            },
            _ => {},
        }
        sync(data)?;
        let mut public = read_public(&directory)?;
        let path = directory.join("key");
        let key = match fs::read_to_string(&path) {
            Ok(text) => {
                check_private(&path)?;
                parse(&path, &text, origin)?
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return make(directory, public, origin);
            },
            Err(error) => return Err(io_error("read", &path, error)),
        };
        let line = key.public();
        if public.last() != Some(&line) {
            public.retain(|known| *known != line);
            public.push(line);
            write_public(&directory, &public)?;
        }
        Ok(Self { directory, key, public })
    }

    /// From now on another key signs.
    pub(super) fn rotate(&mut self) -> Result<(), KeyringError> {
        *self = make(self.directory.clone(), self.public.clone(), self.key.name())?;
        Ok(())
    }
}

/// The public lines of a data directory, the newest last; none if nothing was ever signed there.
pub(super) fn read_public(directory: &Path) -> Result<Vec<String>, KeyringError> {
    let path = directory.join("keyring");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error("read", &path, error)),
    }
}

fn make(
    directory: PathBuf,
    mut public: Vec<String>,
    origin: &str,
) -> Result<Keyring, KeyringError> {
    let path = directory.join("key");
    let failed = |reason: String| io_error("make", &path, io::Error::other(reason));
    let (key, line) = SigningKey::generate(origin).map_err(failed)?;
    public.push(key.public());
    write_public(&directory, &public)?;
    replace(&path, 0o600, format_args!("{}\n", *line))?;
    Ok(Keyring { directory, key, public })
}

fn parse(path: &Path, text: &str, origin: &str) -> Result<SigningKey, KeyringError> {
    let damaged = |reason: String| KeyringError::Damaged { path: path.to_owned(), reason };
    let key = SigningKey::parse(text.trim_end()).map_err(|reason| damaged(reason.to_owned()))?;
    if key.name() == origin {
        return Ok(key);
    }
    Err(damaged(format!("it is of {}", key.name())))
}

fn check_private(path: &Path) -> Result<(), KeyringError> {
    let metadata = fs::metadata(path).map_err(|error| io_error("read", path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::Open { path: path.to_owned(), mode });
    }
    Ok(())
}

fn write_public(directory: &Path, public: &[String]) -> Result<(), KeyringError> {
    replace(&directory.join("keyring"), 0o644, format_args!("{}\n", public.join("\n")))
}

/// Writes a file whole or not at all; it is on the disk then.
fn replace(path: &Path, mode: u32, text: std::fmt::Arguments<'_>) -> Result<(), KeyringError> {
    let young = path.with_extension("new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&young) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {},
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&young)?;
        file.write_fmt(text)?;
        file.sync_all()?;
        fs::rename(&young, path)
    };
    write().map_err(|error| io_error("write", path, error))?;
    sync(path.parent().unwrap_or(path))
}

fn sync(directory: &Path) -> Result<(), KeyringError> {
    let synced = File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(|error| io_error("sync", directory, error))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> KeyringError {
    KeyringError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    const ORIGIN: &str = "mainstay/00";

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let data = tempdir().unwrap();
        let first = Keyring::open(data.path(), ORIGIN).unwrap();
        let again = Keyring::open(data.path(), ORIGIN).unwrap();
        assert_eq!(first.public, [first.key.public()]);
        assert_eq!(first.public, again.public);
        let mode = |name: &str| {
            fs::metadata(data.path().join("signing").join(name)).unwrap().permissions().mode()
        };
        assert_eq!((mode("key") & 0o777, mode("") & 0o777), (0o600, 0o700));
    }

    #[test]
    fn rotation_keeps_every_public_line() {
        let data = tempdir().unwrap();
        let mut second = Keyring::open(data.path(), ORIGIN).unwrap();
        let first = second.key.public();
        second.rotate().unwrap();
        assert_ne!(second.key.public(), first);
        assert_eq!(second.public, [first, second.key.public()]);
        let again = Keyring::open(data.path(), ORIGIN).unwrap();
        assert_eq!((again.key.public(), &again.public), (second.key.public(), &second.public));
        // A lost keyring costs the old lines, not the key.
        fs::remove_file(data.path().join("signing/keyring")).unwrap();
        assert_eq!(Keyring::open(data.path(), ORIGIN).unwrap().public, [second.key.public()]);
        // A lost key costs no line.
        fs::remove_file(data.path().join("signing/key")).unwrap();
        let third = Keyring::open(data.path(), ORIGIN).unwrap();
        assert_eq!(third.public, [second.key.public(), third.key.public()]);
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_of_another_journal_signs_nothing() {
        let data = tempdir().unwrap();
        drop(Keyring::open(data.path(), ORIGIN).unwrap());
        let other = Keyring::open(data.path(), "mainstay/01").unwrap_err().to_string();
        assert!(other.contains("it is of mainstay/00"), "{other}");
        let path = data.path().join("signing/key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let open = Keyring::open(data.path(), ORIGIN).unwrap_err().to_string();
        assert!(open.contains("has mode 640"), "{open}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "PRIVATE+KEY+mainstay/00+").unwrap();
        let cut = Keyring::open(data.path(), ORIGIN).unwrap_err().to_string();
        assert!(cut.contains("cut short"), "{cut}");
    }
}
