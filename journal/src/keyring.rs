//! The keys of blocks at rest: XChaCha20-Poly1305, one file, one key a line.
//!
//! ```text
//!   mainstay_journal_… ─┐ read with
//!   mainstay_journal_… ─┤
//!   mainstay_journal_… ─┘ read and written with: the last one
//!
//!   sealed:  nonce (24) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! A key's id follows from the key, so that a wrong key is told from damage. A new line at the end
//! rotates: what is written from the next start on is sealed under it, nothing is written again.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::block::Bad;

/// What a key's line begins with.
const PREFIX: &str = "mainstay_journal_";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// What sealing adds to bytes: nonce and tag.
pub(crate) const SEAL_BYTES: usize = NONCE_BYTES + 16;

/// The keys at hand; without any, blocks are written and read in the plain. Clones are the same.
#[derive(Clone, Default)]
pub struct Keyring(Option<Arc<Ring>>);

struct Ring {
    keys: Vec<(u32, XChaCha20Poly1305)>,
}

/// Why a file gives no keys. Each text says what to do, and none shows a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It cannot be read or written.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{path} can be used by others (mode {mode:03o}); run: chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is no key.
    #[error(
        "{path}, line {line}: this is no journal key; a line is {PREFIX} and 64 hexadecimal \
         digits, as `mainstay journal-key` makes it"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("{path} holds no key; make one with `mainstay journal-key create {path}`")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Keyring {
    /// Reads a file of keys: one a line, the newest last; empty lines and those that begin with
    /// `#` are passed over.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyringError> {
        let path = path.as_ref();
        let io = |source| KeyringError::Io { doing: "read", path: path.into(), source };
        let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyringError::Open { path: path.into(), mode });
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || KeyringError::Line { path: path.into(), line: number };
            let key = line.strip_prefix(PREFIX).and_then(parse).ok_or_else(bad)?;
            let cipher = XChaCha20Poly1305::new_from_slice(&key[..]).map_err(|_| bad())?;
            keys.push((id_of(&key), cipher));
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty { path: path.into() });
        }
        // It must outlive what is sealed under it, whoever wrote it. What cannot be synced cannot have
        // been written a moment ago either.
        match fs::File::open(path).and_then(|file| file.sync_all()) {
            Err(error) if !cannot_sync(&error) => return Err(io(error)),
            _ => {},
        }
        Ok(Self(Some(Arc::new(Ring { keys }))))
    }

    /// A line with a new key of 256 random bits.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn new_line() -> io::Result<Zeroizing<String>> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut key[..]).map_err(|error| io::Error::other(error.to_string()))?;
        let digits = key.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        Ok(Zeroizing::new(PREFIX.chars().chain(digits).collect()))
    }

    /// The ids of its keys, oldest first: what blocks name.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.0.iter().flat_map(|ring| ring.keys.iter().map(|(id, _)| *id)).collect()
    }

    /// The id of the key that is written with; `None` if blocks are written in the plain.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.0.as_ref()?.keys.last().map(|(id, _)| *id)
    }

    pub(crate) fn holds(&self, id: u32) -> bool {
        id == 0 || self.find(id).is_some()
    }

    fn find(&self, id: u32) -> Option<&XChaCha20Poly1305> {
        self.0.as_ref()?.keys.iter().rev().find(|(known, _)| *known == id).map(|(_, cipher)| cipher)
    }

    /// Seals bytes under the newest key, bound to others; `None` if there is no key.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(crate) fn seal(&self, bound_to: &[u8], plain: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.seal_under(self.newest().unwrap_or_default(), bound_to, plain)
    }

    /// As [`Keyring::seal`], under one of its keys; `None` if the key is 0.
    ///
    /// # Errors
    /// The key is not at hand, or the operating system gives no random bytes.
    pub(crate) fn seal_under(
        &self,
        id: u32,
        bound_to: &[u8],
        plain: &[u8],
    ) -> io::Result<Option<Vec<u8>>> {
        if id == 0 {
            return Ok(None);
        }
        let cipher = self.find(id).ok_or_else(|| io::Error::other(Bad::Key(id).to_string()))?;
        // Random each time: a machine that is resumed twice from one image repeats no counter.
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
        // It fails beyond 256 GiB only.
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound_to });
        let sealed = sealed.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Some([&nonce[..], &sealed].concat()))
    }

    /// Opens what a key sealed, bound to the same bytes.
    pub(crate) fn open(&self, id: u32, bound_to: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Bad> {
        let cipher = self.find(id).ok_or(Bad::Key(id))?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Bad::Sealed(id))?;
        let payload = Payload { msg: sealed, aad: bound_to };
        cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Bad::Sealed(id))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.ids().into_iter().map(|id| format!("{id:08x}"));
        f.debug_tuple("Keyring").field(&ids.collect::<Vec<_>>()).finish()
    }
}

/// Whether a file is on something that has no sync: read-only, or no disk at all.
fn cannot_sync(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), InvalidInput | ReadOnlyFilesystem | Unsupported)
}

fn parse(digits: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let whole = digits.len() == 2 * KEY_BYTES && digits.bytes().all(|it| it.is_ascii_hexdigit());
    let pairs = whole.then(|| digits.as_bytes().chunks_exact(2))?;
    for (byte, pair) in key.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// 0 means "not sealed", so no key has it.
fn id_of(key: &[u8; KEY_BYTES]) -> u32 {
    let digest = Sha256::new().chain_update("mainstay journal key").chain_update(key).finalize();
    digest.first_chunk().map_or(1, |bytes| u32::from_le_bytes(*bytes).max(1))
}
