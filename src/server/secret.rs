//! The secret of a data directory: keys the ids of sessions that are created under a key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads the secret, or makes it: 32 random bytes, readable by their owner only, synced.
pub(super) fn secret(data: &Path) -> io::Result<[u8; 32]> {
    let path = data.join("secret");
    match File::open(&path) {
        Ok(mut file) => {
            let mut secret = [0; 32];
            file.read_exact(&mut secret)?;
            Ok(secret)
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(data, &path),
        Err(error) => Err(error),
    }
}

/// Whole or not at all: a crash in between leaves a file under another name.
fn make(data: &Path, path: &Path) -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let draft = data.join(format!("secret.{}", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(data)?.sync_all()?;
    Ok(secret)
}
