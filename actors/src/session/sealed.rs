//! Attribute values as bytes: raw in payloads, a length in JSON.
//!
//! | scheme | behind it |
//! |---:|---|
//! | 0 | the plain value: of journals from before values were sealed |
//! | 1 | nonce (24) ‖ XChaCha20-Poly1305 of the value, tag included; no machine can open it |

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// The scheme of plain bytes.
const PLAIN: u8 = 0;
/// The scheme of bytes under the key of a subject.
const UNDER_KEY: u8 = 1;
/// What scheme 1 adds to a value: nonce and tag.
const OVERHEAD_BYTES: usize = 24 + 16;

/// An attribute's value: opaque bytes, the first of which names the scheme.
///
/// In JSON only its length appears: events and feeds never show a value.
#[derive(PartialEq, Eq)]
pub struct Sealed(SmallVec<[u8; INLINE_BYTES]>);

/// Longer values have an allocation of their own.
const INLINE_BYTES: usize = 32;

impl Sealed {
    /// Plain bytes, scheme 0.
    #[must_use]
    pub fn plain(value: &[u8]) -> Self {
        Self::of(PLAIN, value)
    }

    /// Nonce and ciphertext with tag, scheme 1.
    #[must_use]
    pub fn under_key(bytes: &[u8]) -> Self {
        Self::of(UNDER_KEY, bytes)
    }

    /// The bytes behind scheme 0; `None` under any other scheme.
    #[must_use]
    pub fn as_plain(&self) -> Option<&[u8]> {
        self.behind(PLAIN)
    }

    /// The bytes behind scheme 1; `None` under any other scheme.
    #[must_use]
    pub fn as_under_key(&self) -> Option<&[u8]> {
        self.behind(UNDER_KEY)
    }

    /// Length of the plain value, whatever the scheme adds to it.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let added = if self.0.first() == Some(&UNDER_KEY) { OVERHEAD_BYTES } else { 0 };
        self.0.len().saturating_sub(1 + added)
    }

    /// Whether there is a scheme, and as much as it needs.
    pub(super) fn is_whole(&self) -> bool {
        match self.0.split_first() {
            Some((&UNDER_KEY, bytes)) => bytes.len() >= OVERHEAD_BYTES,
            first => first.is_some(),
        }
    }

    fn of(scheme: u8, behind: &[u8]) -> Self {
        let mut bytes = SmallVec::with_capacity(behind.len() + 1);
        bytes.push(scheme);
        bytes.extend_from_slice(behind);
        Self(bytes)
    }

    fn behind(&self, scheme: u8) -> Option<&[u8]> {
        match self.0.split_first() {
            Some((first, bytes)) if *first == scheme => Some(bytes),
            _ => None,
        }
    }
}

impl Clone for Sealed {
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }

    /// Keeps the allocation: a patch of a hot session replaces values of the same size.
    fn clone_from(&mut self, source: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&source.0);
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.size_bytes())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            #[derive(Serialize)]
            struct Length {
                size_bytes: usize,
            }
            Length { size_bytes: self.size_bytes() }.serialize(serializer)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(D::Error::custom("a sealed value cannot be read from text"));
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Sealed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sealed value")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Sealed, E> {
        Ok(Sealed(SmallVec::from_slice(bytes)))
    }
}
