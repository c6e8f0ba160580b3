//! The configuration file as a JSON Schema (2020-12), for editors: what a key may hold, and its
//! text from the documentation.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::{Config, Span};

/// The schema of the configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("title".to_owned(), "mainstay.toml".into());
    schema.to_value()
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Text with units: 100ms, 5s, 2m, 1h 30m, 7d; a day has 24 hours.",
            "pattern": "[0-9]",
            "examples": ["100ms", "5s", "1h 30m"],
        })
    }
}

/// A share from 0 to 1.
pub(super) enum Share {}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "description": "A share, kept in ten-thousandths.",
            "minimum": 0,
            "maximum": 1,
        })
    }
}

/// The level of a critical dependency.
pub(super) enum Cap {}

impl JsonSchema for Cap {
    fn schema_name() -> Cow<'static, str> {
        "Cap".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["DEGRADED", "LIMITED", "MINIMAL", "EMERGENCY"] })
    }
}

/// The endpoint of a probe.
pub(super) enum Probe {}

impl JsonSchema for Probe {
    fn schema_name() -> Cow<'static, str> {
        "Probe".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(tcp|https?|rediss?|postgres)://[^@]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented example.
    fn example() -> String {
        let text = include_str!("../../docs/configuration.md");
        let example = text.split("```toml").nth(1).and_then(|it| it.split("```").next());
        example.unwrap().to_owned()
    }

    fn holds(text: &str) -> bool {
        let file: Value = toml::from_str(text).unwrap();
        jsonschema::validator_for(&schema()).unwrap().is_valid(&file)
    }

    #[test]
    fn the_documented_example_keeps_to_the_schema() {
        assert!(holds(&example()));
        assert!(holds(""));
    }

    #[test]
    fn what_the_server_refuses_by_type_or_name_the_schema_refuses_too() {
        for (text, good) in [
            ("[server]\nlisten = \"127.0.0.1:1\"\n", true),
            ("[server]\nlisten = 7070\n", false),
            ("[server]\nlistn = \"127.0.0.1:1\"\n", false),
            ("[[dependency]]\nweight = 3\n", false),
            ("[[dependency]]\nname = \"db\"\nprobe = \"tcp://db:5432\"\n", true),
            ("[[dependency]]\nname = \"db\"\nprobe = \"rediss://db\"\n", true),
            ("[[dependency]]\nname = \"db\"\nprobe = \"redis://u:p@db\"\n", false),
            ("[[dependency]]\nname = \"db\"\nprobe = \"ftp://db\"\n", false),
            ("[[dependency]]\nname = \"db\"\ncritical = true\ncap = \"MINIMAL\"\n", true),
            ("[[dependency]]\nname = \"db\"\ncritical = true\ncap = \"OPTIMAL\"\n", false),
            ("[[dependency]]\nname = \"db\"\n[dependency.breaker]\nfailure_rate = 1.5\n", false),
            ("[[dependency]]\nname = \"db\"\n[dependency.breaker]\nopen_for = 30\n", false),
        ] {
            assert_eq!(holds(text), good, "{text}");
            assert_eq!(Config::from_text(text, "test", []).is_ok(), good, "{text}");
        }
    }
}
