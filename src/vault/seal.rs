//! A value under a key: XChaCha20-Poly1305, bound to its session and its name.
//!
//! ```text
//!   scheme 1 ‖ nonce (24, random) ‖ ciphertext and tag
//!   bound to:  length (8) ‖ {tenant}/{id} ‖ attribute's name
//! ```
//!
//! A value that was moved to another session or name in the journal does not open.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use mainstay_actors::session::Sealed;

use super::VaultError;
use super::slot::{Key, fill};

/// A nonce's length, in bytes.
const NONCE_BYTES: usize = 24;

/// A subject's key, ready for use; wiped when it is dropped.
pub struct SubjectKey(XChaCha20Poly1305);

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey")
    }
}

impl SubjectKey {
    pub(super) fn new(key: &Key) -> Result<Self, VaultError> {
        let cipher = XChaCha20Poly1305::new_from_slice(&key[..]);
        cipher.map(Self).map_err(|error| VaultError::Failed(error.to_string()))
    }

    /// Seals the plain value of an attribute of the session `{tenant}/{id}`.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn seal(&self, session: &str, name: &str, plain: &[u8]) -> Result<Sealed, VaultError> {
        let mut nonce = [0; NONCE_BYTES];
        fill(&mut nonce)?;
        let bound = bound_to(session, name);
        let payload = Payload { msg: plain, aad: &bound };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|error| VaultError::Failed(error.to_string()))?;
        Ok(Sealed::under_key(&[&nonce[..], &sealed].concat()))
    }

    /// The plain value; `None` if this key did not seal it, here and under this name.
    #[must_use]
    pub fn open(&self, session: &str, name: &str, sealed: &Sealed) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.as_under_key()?.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let bound = bound_to(session, name);
        self.0.decrypt(&nonce, Payload { msg: sealed, aad: &bound }).ok()
    }
}

fn bound_to(session: &str, name: &str) -> Vec<u8> {
    [&(session.len() as u64).to_le_bytes()[..], session.as_bytes(), name.as_bytes()].concat()
}
