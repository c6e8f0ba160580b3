//! The secret of a data directory: it keys the names of subjects in the file of keys, the ids of
//! sessions that are created under an `Idempotency-Key`, and the fingerprints of such requests.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use uuid::Uuid;

/// Its length, in bytes.
const LENGTH: usize = 32;

/// Reads the secret, or makes it: random bytes, readable by their owner only, synced. Whoever
/// asks, and however many at once, gets the bytes that lie on the disk.
pub(super) fn secret(data: &Path) -> io::Result<[u8; LENGTH]> {
    let path = data.join("secret");
    let secret = match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(data, &path)?;
            read(&path)
        },
        read => read,
    }?;
    // Another thread's link may not be durable yet, and ids are about to rest on it.
    File::open(data)?.sync_all()?;
    Ok(secret)
}

fn read(path: &Path) -> io::Result<[u8; LENGTH]> {
    let bytes = fs::read(path)?;
    let found = bytes.len();
    <[u8; LENGTH]>::try_from(bytes).map_err(|_| {
        let path = path.display();
        io::Error::other(format!(
            "{path} has {found} bytes and not {LENGTH}; put it back from a copy: without it no key of \
             a subject is found"
        ))
    })
}

/// Whole or not at all, and the first wins: a crash leaves a file under a name of its own, and a
/// link never replaces what is there.
fn make(data: &Path, path: &Path) -> io::Result<()> {
    let draft = data.join(format!("secret.{}", Uuid::now_v7()));
    let linked = write(&draft).and_then(|()| fs::hard_link(&draft, path));
    // A draft that stays is only litter.
    drop(fs::remove_file(&draft));
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn write(draft: &Path) -> io::Result<()> {
    let mut secret = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(&secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn threads_that_ask_first_at_the_same_time_get_the_same_secret() {
        // They shared one draft: two workers could key ids with different secrets.
        for _ in 0..20 {
            let data = tempdir().unwrap();
            let start = Barrier::new(8);
            let secrets: Vec<_> = std::thread::scope(|scope| {
                let ask = || {
                    start.wait();
                    secret(data.path()).unwrap()
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let on_disk = fs::read(data.path().join("secret")).unwrap();
            assert!(secrets.iter().all(|it| it[..] == on_disk[..]));
            assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "a draft was left");
        }
    }

    #[test]
    fn a_cut_secret_is_an_error_that_says_so() {
        let data = tempdir().unwrap();
        for length in [0, 31, 33] {
            fs::write(data.path().join("secret"), vec![7; length]).unwrap();
            let error = secret(data.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("has {length} bytes and not 32")), "{error}");
        }
    }
}
