//! Events as bytes: one frozen struct per (type, schema) in bincode `standard()`, never a whole
//! enum, so that a new event cannot renumber an old one.

use serde::{Serialize, de::DeserializeOwned};

/// An event enum whose variants each have a type id, a schema version and a name.
///
/// Made by the macro `events!`; see there.
pub trait Payload: Sized + Serialize {
    /// The type id and schema version this event is written with.
    fn type_id(&self) -> (u16, u16);

    /// The event's name: `LeaseGranted`.
    fn name(&self) -> &'static str;

    /// Appends the encoded payload.
    ///
    /// # Errors
    /// A field cannot be represented.
    fn encode(&self, into: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a payload; every byte must be used.
    ///
    /// # Errors
    /// The type is unknown or the bytes are not of it.
    fn decode(type_id: u16, schema: u16, bytes: &[u8]) -> Result<Self, CodecError>;

    /// All names with their type ids, for filters.
    fn catalogue() -> &'static [(&'static str, u16)];
}

/// Why bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a newer mainstay, or for another kind of stream.
    #[error("event type {type_id:#06x} schema {schema} is unknown here")]
    Unknown {
        /// The type id found.
        type_id: u16,
        /// The schema version found.
        schema: u16,
    },
    /// The bytes do not have the layout of their type.
    #[error("event {name}: {reason}")]
    Malformed {
        /// The event's name.
        name: &'static str,
        /// What bincode found.
        reason: String,
    },
}

/// Encodes one payload struct.
pub(crate) fn encode<T: Serialize>(
    name: &'static str,
    value: &T,
    into: &mut Vec<u8>,
) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(value, into, bincode::config::standard())
        .map(|_| ())
        .map_err(|error| CodecError::Malformed { name, reason: error.to_string() })
}

/// No field may claim more memory than this, in bytes: a damaged length must not allocate without
/// bound. A record's 32 KiB of varints and the state of a lock with a thousand waiters stay below.
const MAX_DECODED_BYTES: usize = 8 << 20;

/// Decodes one payload struct; every byte must be used.
pub(crate) fn decode<T: DeserializeOwned>(
    name: &'static str,
    bytes: &[u8],
) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();
    let malformed = |reason: String| CodecError::Malformed { name, reason };
    let (value, used) = bincode::serde::decode_from_slice(bytes, config)
        .map_err(|error| malformed(error.to_string()))?;
    if used != bytes.len() {
        return Err(malformed(format!("{} bytes left over", bytes.len() - used)));
    }
    Ok(value)
}

/// Decodes a value at the front of bytes; what is left over is given back.
#[cfg(feature = "host")]
pub(crate) fn decode_front<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let config = bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config).ok()?;
    Some((value, bytes.get(used..)?))
}

/// Declares the events of a machine: an enum with one frozen struct per variant.
///
/// ```text
/// events! {
///     /// What happens to a lock.
///     LockEvent {
///         0x0301 v 1 LeaseGranted,
///         // Written as 2; what was written as 1 is read by way of `From`, forever.
///         0x030a v 2 RefusalRecorded <- 1 RefusalRecordedV1,
///     }
/// }
/// ```
macro_rules! events {
    ($(#[$doc:meta])* $name:ident {
        $($id:literal v $schema:literal $variant:ident $(<- $old:literal $older:ident)*,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $name {
            $(
                #[doc = concat!("See [`", stringify!($variant), "`].")]
                $variant($variant),
            )+
        }

        $(
            impl From<$variant> for $name {
                fn from(event: $variant) -> Self {
                    Self::$variant(event)
                }
            }
        )+

        impl $crate::codec::Payload for $name {
            fn type_id(&self) -> (u16, u16) {
                match self { $(Self::$variant(_) => ($id, $schema),)+ }
            }

            fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant),)+ }
            }

            fn encode(&self, into: &mut Vec<u8>) -> Result<(), $crate::codec::CodecError> {
                match self {
                    $(Self::$variant(event) => {
                        $crate::codec::encode(stringify!($variant), event, into)
                    },)+
                }
            }

            fn decode(
                type_id: u16,
                schema: u16,
                bytes: &[u8],
            ) -> Result<Self, $crate::codec::CodecError> {
                match (type_id, schema) {
                    $(($id, $schema) => {
                        $crate::codec::decode(stringify!($variant), bytes).map(Self::$variant)
                    },)+
                    $($(($id, $old) => {
                        let older: $older = $crate::codec::decode(stringify!($variant), bytes)?;
                        Ok(Self::$variant(older.into()))
                    },)*)+
                    _ => Err($crate::codec::CodecError::Unknown { type_id, schema }),
                }
            }

            fn catalogue() -> &'static [(&'static str, u16)] {
                &[$((stringify!($variant), $id),)+]
            }
        }
    };
}
pub(crate) use events;
