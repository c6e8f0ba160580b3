//! An Ed25519 key of a signed note, as the two lines of text that the tools of such notes read.
//!
//! ```text
//! PRIVATE+KEY+mainstay/0011…+5b2c8f10+AQ…     its id and, in Base64, 0x01 ‖ seed
//! mainstay/0011…+5b2c8f10+AQ…                 its id and, in Base64, 0x01 ‖ public key
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::hex;

/// The signature's algorithm: Ed25519.
const ED25519: u8 = 1;
const PRIVATE: &str = "PRIVATE+KEY+";

/// A key that signs in a name.
pub(super) struct SigningKey {
    name: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new one, and its private line.
    pub(super) fn generate(name: &str) -> Result<(Self, Zeroizing<String>), String> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| format!("random bits: {error}"))?;
        let key = Self::of_seed(name, &*seed)?;
        let secret = Zeroizing::new([&[ED25519], &seed[..]].concat());
        let coded = Zeroizing::new(STANDARD.encode(&*secret));
        let line = format!("{PRIVATE}{name}+{}+{}", hex(&key.id()), *coded);
        Ok((key, Zeroizing::new(line)))
    }

    /// Reads a private line.
    pub(super) fn parse(line: &str) -> Result<Self, &'static str> {
        let rest = line.strip_prefix(PRIVATE).ok_or("it does not begin with PRIVATE+KEY+")?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(coded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("it is cut short");
        };
        let secret = STANDARD.decode(coded).map(Zeroizing::new).map_err(|_| "it is no Base64")?;
        let Some((&ED25519, seed)) = secret.split_first() else {
            return Err("it is no Ed25519 key");
        };
        let key = Self::of_seed(name, seed).map_err(|_| "it is no Ed25519 key")?;
        if hex(&key.id()) == id { Ok(key) } else { Err("it does not match its id") }
    }

    fn of_seed(name: &str, seed: &[u8]) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), pair })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the SHA-256 of name, newline, algorithm and public key.
    fn id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(&self.name);
        hash.update([b'\n', ED25519]);
        hash.update(self.pair.public_key());
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        [a, b, c, d]
    }

    /// Its public line.
    pub(super) fn public(&self) -> String {
        let key = [&[ED25519], self.pair.public_key().as_ref()].concat();
        format!("{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }

    /// A text with this key's signature behind it. The text ends with a newline.
    pub(super) fn note(&self, text: &str) -> String {
        let signed = self.pair.sign(text.as_bytes());
        let signature = STANDARD.encode([&self.id(), signed.as_ref()].concat());
        format!("{text}\n\u{2014} {} {signature}\n", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_damage_is_told() {
        let (key, line) = SigningKey::generate("mainstay/00").unwrap();
        let again = SigningKey::parse(&line).unwrap();
        assert_eq!((again.name(), again.public()), ("mainstay/00", key.public()));
        assert_eq!(again.note("a\n"), key.note("a\n"));
        for at in 0..line.len() {
            let mut damaged = line.as_bytes().to_vec();
            damaged[at] ^= 1;
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(SigningKey::parse(&damaged).is_err(), "{at}");
        }
        assert!(SigningKey::parse(&line[..line.len() - 4]).is_err());
    }

    #[test]
    fn the_lines_are_those_of_other_tools() {
        // The example of Go's golang.org/x/mod/sumdb/note.
        let private =
            "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let key = SigningKey::parse(private).unwrap();
        assert_eq!(key.public(), public);
        assert_eq!(key.note(text), format!("{text}\n\u{2014} PeterNeumann {signature}\n"));
    }
}
