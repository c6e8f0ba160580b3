//! Bodies are objects. serde would take an array of a struct's fields in their order as well, and
//! such a request would break with the next field. A body that does not come is not waited for.

use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::rt::time::timeout;
use actix_web::web::Json;
use actix_web::{FromRequest, HttpRequest};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

use super::front::BODY_WITHIN;
use super::problem::Problem;

/// The body of a request.
#[derive(Debug)]
pub(super) struct Body<T>(T);

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Body<T> {
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = Json::<Object<T>>::from_request(request, payload);
        Box::pin(async {
            let read = timeout(BODY_WITHIN, read).await.map_err(|_| too_slow())?;
            read.map(|json| Self(json.into_inner().0))
        })
    }
}

fn too_slow() -> Problem {
    let seconds = BODY_WITHIN.as_secs();
    let detail = format!("the body was not here within {seconds} s; nothing happened");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", detail)
}

/// What is read from an object only.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// The same for `#[serde(deserialize_with)]`.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::deserialize(OnlyMaps(deserializer))
}

/// Asks for a map whatever it is asked for.
struct OnlyMaps<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for OnlyMaps<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        a: u64,
        #[serde(deserialize_with = "object")]
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        b: Vec<u64>,
    }

    #[test]
    fn an_array_of_fields_is_no_object_however_deep() {
        let read = |text: &str| serde_json::from_str::<Object<Outer>>(text).map(|it| it.0);
        let good = Outer { a: 1, inner: Inner { b: vec![2, 3] } };
        assert_eq!(read(r#"{"a": 1, "inner": {"b": [2, 3]}}"#).unwrap(), good);
        assert!(read(r#"[1, {"b": [2, 3]}]"#).is_err());
        assert!(read(r#"{"a": 1, "inner": [[2, 3]]}"#).is_err());
        assert!(read("null").is_err());
    }
}
