//! Objects as they lie in a target: compressed with zstd, then encrypted with age to recipients.
//!
//! ```text
//!   mainstay-backups.key   AGE-SECRET-KEY-1…   opens; kept away from the server
//!   recipients             age1…               seal; all that a server needs
//!
//!   age -d -i mainstay-backups.key OBJECT | zstd -d      with the stock tools
//! ```
//!
//! With a passphrase instead, the key lies in the target, sealed under the passphrase: `identity.age`.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::str::FromStr as _;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

use crate::secret;

/// More than any object holds unpacked: what unpacks to more was not written here.
const MOST_BYTES: u64 = 1 << 30;
/// A good ratio at hundreds of megabytes a second.
const LEVEL: i32 = 3;
/// Of a passphrase: about a second each time it is used.
const WORK_FACTOR: u8 = 18;

/// Who can open what is sealed.
#[derive(Clone)]
pub struct Recipients(Vec<x25519::Recipient>);

/// The keys that open.
pub struct Identities(Vec<x25519::Identity>);

/// Why something does not open.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed for others.
    #[error("it was sealed for another key")]
    OtherKey,
    /// It is cut short, or a byte of it was changed.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|it| it.to_public().to_string())).finish()
    }
}

impl Recipients {
    /// Reads `age1…`, at least one.
    ///
    /// # Errors
    /// Which of them is none.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let parse = |text: &str| {
            x25519::Recipient::from_str(text).map_err(|_| {
                format!(
                    "{text:?} is no recipient; one begins with age1, as `mainstay backup-key \
                     create FILE` prints it"
                )
            })
        };
        let all: Vec<_> = texts.into_iter().map(parse).collect::<Result<_, _>>()?;
        if all.is_empty() { Err("there is no recipient".to_owned()) } else { Ok(Self(all)) }
    }

    /// Compresses and seals.
    ///
    /// # Errors
    /// There are no random bytes to be had.
    pub fn seal(&self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let recipients = self.0.iter().map(|it| it as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut writer = encryptor.wrap_output(Vec::with_capacity(plain.len() / 3 + 512))?;
        zstd::stream::copy_encode(plain, &mut writer, LEVEL)?;
        writer.finish()
    }
}

impl Identities {
    /// A new one, as a file holds it, and its recipient.
    #[must_use]
    pub fn generate() -> (Zeroizing<String>, String) {
        let identity = x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let secret = identity.to_string();
        let secret = secret.expose_secret();
        (Zeroizing::new(format!("# public key: {recipient}\n{secret}\n")), recipient)
    }

    /// Reads a file of identities, as `age-keygen` writes it.
    ///
    /// # Errors
    /// What is wrong with it; no text shows a key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let say = |reason: String| format!("{}: {reason}", path.display());
        Self::parse(&secret::read(path).map_err(say)?).map_err(say)
    }

    /// Reads lines of identities; empty ones and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// Which line is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parse = |(number, line): (usize, &str)| {
            let wrong = |_| format!("line {number} is no identity (AGE-SECRET-KEY-1…)");
            x25519::Identity::from_str(line).map_err(wrong)
        };
        let all: Vec<_> = lines.map(parse).collect::<Result<_, _>>()?;
        if all.is_empty() { Err("there is no identity in it".to_owned()) } else { Ok(Self(all)) }
    }

    /// Those who can open what these can.
    #[must_use]
    pub fn recipients(&self) -> Recipients {
        Recipients(self.0.iter().map(x25519::Identity::to_public).collect())
    }

    /// Opens and unpacks.
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let decryptor = Decryptor::new_buffered(sealed).map_err(|error| damaged(&error))?;
        let identities = self.0.iter().map(|it| it as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).map_err(|error| match error {
            DecryptError::NoMatchingKeys => UnsealError::OtherKey,
            error => damaged(&error),
        })?;
        let unpacked = zstd::stream::Decoder::new(reader);
        let unpacked = unpacked.map_err(|error| damaged(&error))?;
        let mut plain = Vec::with_capacity(sealed.len() * 4);
        let read = unpacked.take(MOST_BYTES + 1).read_to_end(&mut plain);
        read.map_err(|error| damaged(&error))?;
        if plain.len() as u64 > MOST_BYTES {
            return Err(UnsealError::Damaged(format!("it unpacks to over {MOST_BYTES} bytes")));
        }
        Ok(plain)
    }
}

fn damaged(error: &dyn std::fmt::Display) -> UnsealError {
    UnsealError::Damaged(error.to_string())
}

/// Seals a text under a passphrase, as `age -p` does.
///
/// # Errors
/// There are no random bytes to be had.
pub fn lock(passphrase: &str, text: &str) -> io::Result<Vec<u8>> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(WORK_FACTOR);
    let recipients = std::iter::once(&recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
    let mut writer = encryptor.wrap_output(Vec::new())?;
    writer.write_all(text.as_bytes())?;
    writer.finish()
}

/// Opens what [`lock`] sealed.
///
/// # Errors
/// See [`UnsealError`]: `OtherKey` is a wrong passphrase.
pub fn unlock(passphrase: &str, sealed: &[u8]) -> Result<Zeroizing<String>, UnsealError> {
    let mut identity = scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(WORK_FACTOR + 4);
    let decryptor = Decryptor::new_buffered(sealed).map_err(|error| damaged(&error))?;
    let reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity));
    let mut reader = reader.map_err(|error| match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed => UnsealError::OtherKey,
        error => damaged(&error),
    })?;
    let mut text = Zeroizing::new(String::new());
    reader.read_to_string(&mut text).map_err(|error| damaged(&error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_recipients_only_and_whole() {
        let (ann, recipient) = Identities::generate();
        let (ben, _) = Identities::generate();
        let recipients = Recipients::parse([recipient.as_str()]).unwrap();
        let plain: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let sealed = recipients.seal(&plain).unwrap();
        assert_eq!(Identities::parse(&ann).unwrap().open(&sealed).unwrap(), plain);
        let other = Identities::parse(&ben).unwrap().open(&sealed);
        assert!(matches!(other, Err(UnsealError::OtherKey)));
        for at in [0, 100, 300, sealed.len() / 2, sealed.len() - 1] {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(Identities::parse(&ann).unwrap().open(&flipped).is_err(), "byte {at}");
            assert!(Identities::parse(&ann).unwrap().open(&sealed[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn a_passphrase_opens_what_it_locked() {
        let locked = lock("correct horse", "AGE").unwrap();
        assert_eq!(*unlock("correct horse", &locked).unwrap(), "AGE");
        assert!(matches!(unlock("wrong horse", &locked), Err(UnsealError::OtherKey)));
        assert!(matches!(unlock("correct horse", b"age"), Err(UnsealError::Damaged(_))));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let (secret, _) = Identities::generate();
        let half: String = secret.lines().last().unwrap().chars().take(40).collect();
        let error = Identities::parse(&half).unwrap_err();
        assert!(error.contains("line 1") && !error.contains(&half));
        assert!(Identities::parse("# nothing\n").is_err());
        assert!(Recipients::parse(["age1nothing"]).is_err());
        assert!(Recipients::parse([]).is_err());
    }
}
