//! Attribute values as bytes: raw in payloads, a length in JSON.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An attribute's value: opaque bytes, the first of which names the scheme (0 = plain).
///
/// In JSON only its length appears: events and feeds never show a value.
#[derive(PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Plain bytes, scheme 0.
    #[must_use]
    pub fn plain(value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
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
        Self(self.0.clone())
    }

    /// Keeps the allocation: a patch of a hot session replaces values of the same size.
    fn clone_from(&mut self, source: &Self) {
        self.0.clone_from(&source.0);
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
        deserializer.deserialize_byte_buf(Bytes("a sealed value")).map(Self)
    }
}

/// Takes bytes whole, not one by one.
pub(crate) struct Bytes(pub(crate) &'static str);

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}
