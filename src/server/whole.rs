//! Whole numbers of a body. `30000.0` is one, too: JSON knows a single kind of number, and some
//! languages write it so.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// One more than the largest: 2^64.
const END: f64 = 18_446_744_073_709_551_616.0;

/// A whole number from 0 on.
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `_u64`: what serde has read ahead for a tagged enum shows no other kind then.
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Whole;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number from 0 on")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
        u64::try_from(value)
            .map(Whole)
            .map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
        if value.fract() != 0.0 || !(0.0..END).contains(&value) {
            return Err(E::invalid_value(Unexpected::Float(value), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        Ok(Whole(value as u64))
    }
}

/// For `#[serde(deserialize_with)]`: a number of any unsigned type.
pub(super) fn number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let Whole(value) = Whole::deserialize(deserializer)?;
    T::try_from(value).map_err(|_| D::Error::custom(format!("{value} is too large")))
}

/// The same for a field that may be absent or null; it needs `default`.
pub(super) fn optional<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let Some(Whole(value)) = Option::deserialize(deserializer)? else { return Ok(None) };
    let too_large = |_| D::Error::custom(format!("{value} is too large"));
    T::try_from(value).map(Some).map_err(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Body {
        #[serde(deserialize_with = "number")]
        a: u32,
        #[serde(default, deserialize_with = "optional")]
        b: Option<u64>,
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<Body>(text);
        assert_eq!(read(r#"{"a": 5}"#).unwrap(), Body { a: 5, b: None });
        assert_eq!(read(r#"{"a": 5.0, "b": 3e4}"#).unwrap(), Body { a: 5, b: Some(30_000) });
        assert_eq!(read(r#"{"a": 0, "b": null}"#).unwrap(), Body { a: 0, b: None });
        let most = u64::MAX;
        assert_eq!(read(&format!(r#"{{"a": 0, "b": {most}}}"#)).unwrap().b, Some(most));
        for wrong in ["5.5", "-1", "-1.0", "1e300", "4294967296", "\"5\"", "null", "true"] {
            assert!(read(&format!(r#"{{"a": {wrong}}}"#)).is_err(), "{wrong}");
        }
        assert!(read(r#"{"a": 1, "b": 18446744073709551616.0}"#).is_err());
    }
}
