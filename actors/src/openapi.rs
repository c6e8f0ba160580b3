//! Schemas of what has a JSON of its own; everything else derives its schema from its struct.
//!
//! | type | in JSON |
//! |---|---|
//! | `Timestamp` | RFC 3339, in UTC |
//! | `Rate` | 0 to 1 |
//! | `Score` | whole points, 0 to 100 |
//! | `Range` | `{from, to}`: two integers, two dates or two times |

use std::borrow::Cow;

use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, OneOfBuilder, SchemaFormat, SchemaType,
};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::lock::Range;
use crate::rate::{Rate, Score};
use crate::time::Timestamp;

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        text(KnownFormat::DateTime).description(Some("RFC 3339, in UTC")).into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Timestamp")
    }
}

impl PartialSchema for Rate {
    fn schema() -> RefOr<Schema> {
        let rate = ObjectBuilder::new().schema_type(SchemaType::new(Type::Number));
        rate.minimum(Some(0)).maximum(Some(1)).description(Some("A share")).into()
    }
}

impl ToSchema for Rate {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Rate")
    }
}

impl PartialSchema for Score {
    fn schema() -> RefOr<Schema> {
        let score = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
        let shown = "Points, rounded down";
        score.minimum(Some(0)).maximum(Some(100)).description(Some(shown)).into()
    }
}

impl ToSchema for Score {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Score")
    }
}

impl PartialSchema for Range {
    fn schema() -> RefOr<Schema> {
        let integer = || ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
        let integers = pair(integer, "Integers");
        let dates = pair(|| text(KnownFormat::Date), "Days");
        let times = pair(|| text(KnownFormat::DateTime), "RFC 3339 times");
        let some = OneOfBuilder::new().item(integers).item(dates).item(times);
        some.description(Some("From `from` on, up to but without `to`")).into()
    }
}

impl ToSchema for Range {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Range")
    }
}

fn text(format: KnownFormat) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    text.format(Some(SchemaFormat::KnownFormat(format)))
}

fn pair(bound: impl Fn() -> ObjectBuilder, counts: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .title(Some(counts))
        .property("from", bound())
        .property("to", bound())
        .required("from")
        .required("to")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}
