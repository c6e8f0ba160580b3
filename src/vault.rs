//! The vault: values are sealed before they reach an entity and opened on their way out, under a
//! key for each subject of each tenant.
//!
//! ```text
//!   plain ──► seal ──► entity ──► journal        what lies there cannot be read without the key
//!              ▲                     │
//!        key of the subject          ▼
//!              │           plain ◄─ open
//!   {data}/keys/subjects: a slot for each key, overwritten in place when the subject is erased
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `secret` | what keys the names of slots, ids and fingerprints |
//! | `slot`, `slots` | a key in 64 bytes, and the file of them |
//! | `keeper` | the thread that makes and destroys keys, many with one sync |
//! | `seal` | a value under a key |
//! | `owners` | which subject a session is about |
//! | `error` | why there is no key, and the way out |
//!
//! A key is on the disk before anything sealed under it is sent to the journal. It is the only
//! copy: without the file every sealed value is lost, and that is how a subject is forgotten.

mod error;
mod keeper;
mod owners;
mod seal;
mod secret;
mod slot;
mod slots;

pub use error::VaultError;
pub use seal::SubjectKey;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hmac::{Hmac, Mac};
use mainstay_actors::session::{Attributes, Live, Sealed};
use sha2::Sha256;

use self::keeper::Keeper;
use self::owners::Owners;
use self::slot::{Key, random_key};
use self::slots::{Found, Slots};

/// A subject of a tenant as the vault knows it: a keyed hash, which tells nobody who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name([u8; 16]);

/// The vault of a data directory.
pub struct Vault {
    place: Place,
    opened: RwLock<Option<Arc<Opened>>>,
    owners: Owners,
}

/// Where the keys are.
#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Memory,
}

struct Opened {
    mac: Hmac<Sha256>,
    keys: Keys,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("place", &self.place).finish_non_exhaustive()
    }
}

enum Keys {
    File(Keeper),
    /// `None` was destroyed.
    Memory(Mutex<HashMap<Name, Option<Key>>>),
}

impl Vault {
    /// Of a data directory; opened by [`Vault::open`].
    #[must_use]
    pub fn at(data: &Path) -> Arc<Self> {
        Self::new(Place::Directory(data.to_owned()))
    }

    /// Without files: for tests and simulations. What is sealed can be read as long as it lives.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        let vault = Self::new(Place::Memory);
        // There is nothing that could fail.
        drop(vault.open());
        vault
    }

    fn new(place: Place) -> Arc<Self> {
        Arc::new(Self { place, opened: RwLock::default(), owners: Owners::default() })
    }

    /// Reads or makes the secret and the file of keys, which is this process's own from then on.
    ///
    /// # Errors
    /// They cannot be read, others may read them, or they do not belong together.
    pub fn open(&self) -> Result<(), VaultError> {
        let mut open = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return Ok(());
        }
        let opened = match &self.place {
            Place::Memory => Opened { mac: keyed(&[7; 32])?, keys: Keys::Memory(Mutex::default()) },
            Place::Directory(data) => {
                let secret = secret::secret(data);
                let mac = keyed(&secret.map_err(|error| VaultError::Failed(error.to_string()))?)?;
                slots::check_private(&data.join("secret"), "600")?;
                let slots = Slots::open(data, &hash(&mac, &["mainstay keys"]))?;
                Opened { mac, keys: Keys::File(Keeper::start(slots)?) }
            },
        };
        *open = Some(Arc::new(opened));
        Ok(())
    }

    /// Lets the files go: another process may have them. Nothing is sealed or opened any more.
    pub fn close(&self) {
        let opened = self.opened.write().unwrap_or_else(PoisonError::into_inner).take();
        // Its thread ends with the last who uses it.
        drop(opened);
    }

    /// What the vault calls a subject of a tenant.
    ///
    /// # Errors
    /// The vault is not open.
    pub fn name(&self, tenant: &str, subject: &str) -> Result<Name, VaultError> {
        Ok(Name(self.hash(&["mainstay subject", tenant, subject])?))
    }

    /// The key that a subject has.
    ///
    /// # Errors
    /// It has none, or never will again.
    pub fn key(&self, name: Name) -> Result<SubjectKey, VaultError> {
        let key = match &self.opened()?.keys {
            Keys::File(keeper) => match keeper.slots().find(name)? {
                Found::Live(key) => key,
                Found::Erased => return Err(VaultError::Erased),
                Found::Damaged => return Err(VaultError::Damaged),
                Found::Nothing => return Err(VaultError::Missing),
            },
            Keys::Memory(keys) => match lock(keys).get(&name) {
                Some(Some(key)) => key.clone(),
                Some(None) => return Err(VaultError::Erased),
                None => return Err(VaultError::Missing),
            },
        };
        SubjectKey::new(&key)
    }

    /// As [`Vault::key`]; makes the key if the subject has none. It is on the disk then.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn key_to_seal(&self, name: Name) -> Result<SubjectKey, VaultError> {
        match self.key(name) {
            Err(VaultError::Missing) => {},
            found => return found,
        }
        match &self.opened()?.keys {
            Keys::File(keeper) => keeper.make(name).await?,
            Keys::Memory(keys) => {
                let key = random_key()?;
                lock(keys).entry(name).or_insert(Some(key));
            },
        }
        self.key(name)
    }

    /// As [`Vault::key`], for what may stay sealed: without a key only plain values open.
    ///
    /// # Errors
    /// [`VaultError::Erased`], or the keys cannot be read.
    #[cfg(feature = "server")]
    pub(crate) fn key_to_open(&self, name: Name) -> Result<Option<SubjectKey>, VaultError> {
        match self.key(name) {
            Ok(key) => Ok(Some(key)),
            Err(VaultError::Missing | VaultError::Damaged) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a subject was erased. One without a key was not.
    ///
    /// # Errors
    /// [`VaultError::Erased`], or the keys cannot be read.
    pub fn check_not_erased(&self, name: Name) -> Result<(), VaultError> {
        match self.key(name) {
            Err(error @ (VaultError::Erased | VaultError::Closed | VaultError::Failed(_))) => {
                Err(error)
            },
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Destroys a subject's key for good: what was sealed under it stays sealed, and it never gets
    /// another. Waits for the disk, so it is not for a thread that runs futures. Of one that is
    /// destroyed already nothing is asked.
    ///
    /// # Errors
    /// The key may still be there: the disk says why.
    pub fn destroy(&self, tenant: &str, subject: &str) -> Result<(), VaultError> {
        let name = self.name(tenant, subject)?;
        match &self.opened()?.keys {
            Keys::File(keeper) => match keeper.slots().find(name)? {
                Found::Erased => Ok(()),
                _ => keeper.destroy(name),
            },
            Keys::Memory(keys) => {
                lock(keys).insert(name, None);
                Ok(())
            },
        }
    }

    /// Plain values as they go to the session `{tenant}/{id}`.
    ///
    /// # Errors
    /// There is no key, or no chance for a nonce.
    pub async fn seal_all(
        &self,
        name: Name,
        session: &str,
        values: BTreeMap<String, Option<Sealed>>,
    ) -> Result<BTreeMap<String, Option<Sealed>>, VaultError> {
        if values.values().all(Option::is_none) {
            // Nothing to seal needs no key.
            self.check_not_erased(name)?;
            return Ok(values);
        }
        let key = self.key_to_seal(name).await?;
        let seal = |(attribute, value): (String, Option<Sealed>)| {
            let sealed = match value.as_ref().and_then(Sealed::as_plain) {
                Some(plain) => Some(key.seal(session, &attribute, plain)?),
                None => value,
            };
            Ok((attribute, sealed))
        };
        values.into_iter().map(seal).collect()
    }

    /// The plain values of the session `{tenant}/{id}`.
    ///
    /// # Errors
    /// [`VaultError::Unopened`] names those that the subject's key does not open.
    pub fn open_all(
        &self,
        name: Name,
        session: &str,
        values: &Attributes,
    ) -> Result<BTreeMap<String, Vec<u8>>, VaultError> {
        let key = match self.key(name) {
            Err(error @ (VaultError::Erased | VaultError::Closed)) => return Err(error),
            key => key,
        };
        let (mut opened, mut unopened) = (BTreeMap::new(), Vec::new());
        for (attribute, value) in values.iter() {
            let plain = match (value.as_plain(), &key) {
                (Some(plain), _) => Some(plain.to_vec()),
                (None, Ok(key)) => key.open(session, attribute, value),
                (None, Err(_)) => None,
            };
            match plain {
                Some(plain) => drop(opened.insert(attribute.to_owned(), plain)),
                None => unopened.push(attribute.to_owned()),
            }
        }
        match (unopened.is_empty(), key) {
            (true, _) => Ok(opened),
            (false, Err(error)) if error != VaultError::Missing => Err(error),
            (false, _) => Err(VaultError::Unopened { names: unopened }),
        }
    }

    /// The plain values of a session as it stands, whose subject is remembered from now on.
    pub(crate) fn open_live(
        &self,
        session: &str,
        live: &Live,
    ) -> Result<BTreeMap<String, Vec<u8>>, VaultError> {
        let name = self.name(&live.tenant, &live.subject)?;
        self.owners.remember(session, name);
        self.open_all(name, session, &live.attributes)
    }

    /// A hash of texts that only this data directory can make.
    ///
    /// # Errors
    /// The vault is not open.
    pub(crate) fn hash(&self, parts: &[&str]) -> Result<[u8; 16], VaultError> {
        Ok(hash(&self.opened()?.mac, parts))
    }

    /// What [`Vault::hash`] is made of, whole, to be compared in constant time.
    #[cfg(feature = "server")]
    pub(crate) fn mac(&self, parts: &[&str]) -> Result<Hmac<Sha256>, VaultError> {
        Ok(mac_of(&self.opened()?.mac, parts))
    }

    fn opened(&self) -> Result<Arc<Opened>, VaultError> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened.clone().ok_or(VaultError::Closed)
    }
}

impl mainstay_actors::host::SubjectKeys for Vault {
    fn destroy(&self, tenant: &str, subject: &str) -> Result<(), String> {
        Self::destroy(self, tenant, subject).map_err(|error| error.to_string())
    }
}

fn keyed(secret: &[u8; 32]) -> Result<Hmac<Sha256>, VaultError> {
    Hmac::new_from_slice(secret).map_err(|error| VaultError::Failed(error.to_string()))
}

/// Each text with its length, so that no two lists of them are the same bytes.
fn mac_of(mac: &Hmac<Sha256>, parts: &[&str]) -> Hmac<Sha256> {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    mac
}

fn hash(mac: &Hmac<Sha256>, parts: &[&str]) -> [u8; 16] {
    let hashed = mac_of(mac, parts).finalize().into_bytes();
    let mut short = [0; 16];
    short.iter_mut().zip(hashed).for_each(|(byte, hashed)| *byte = hashed);
    short
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
