//! Attribute values as bytes: raw in payloads, a length in JSON.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// An attribute's value: opaque bytes, the first of which names the scheme (0 = plain).
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
        let mut bytes = SmallVec::with_capacity(value.len() + 1);
        bytes.push(0);
        bytes.extend_from_slice(value);
        Self(bytes)
    }

    /// The bytes behind scheme 0; `None` under any other scheme.
    #[must_use]
    pub fn as_plain(&self) -> Option<&[u8]> {
        match self.0.split_first() {
            Some((0, value)) => Some(value),
            _ => None,
        }
    }

    /// Length of the stored bytes, the scheme byte included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
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
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            #[derive(Serialize)]
            struct Length {
                size_bytes: usize,
            }
            Length { size_bytes: self.0.len() }.serialize(serializer)
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
