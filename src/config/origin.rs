//! Every key with its value and where that came from.
//!
//! ```text
//!   MAINSTAY__SERVER__LISTEN ──► the variable
//!   mainstay.toml            ──► file:line
//!   neither                  ──► the default
//! ```

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, PREFIX, error::line_and_column, ours};

/// One key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// `server.listen`, `dependency.database.weight`.
    pub key: String,
    /// What holds, `null` for nothing.
    pub value: Value,
    /// `default`, `mainstay.toml:3`, or the variable.
    pub origin: String,
}

/// Every key of the configuration as it holds under a file, if one is named, and the environment.
///
/// # Errors
/// See [`Config::from_file`].
pub fn keys(file: Option<&Path>) -> Result<Vec<Key>, ConfigError> {
    let (text, name) = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
            (text, path.display().to_string())
        },
        None => (String::new(), "environment".to_owned()),
    };
    let variables = ours(std::env::vars_os())?;
    explain(&text, &name, &variables)
}

fn explain(
    text: &str,
    name: &str,
    variables: &[(String, String)],
) -> Result<Vec<Key>, ConfigError> {
    let mut config = Config::from_text(text, name, variables.to_vec())?;
    for dependency in &mut config.dependency {
        dependency.breaker = dependency.breaker.resolved();
        dependency.cap = dependency.settings().cap;
    }
    let parsed = DeTable::parse(text).map_err(|e| ConfigError::from_toml(name, text, &e))?;
    let file = File { text, name, table: parsed.get_ref() };
    let mut keys = Vec::new();
    if let Ok(Value::Object(sections)) = serde_json::to_value(&config) {
        for (section, value) in sections {
            match value {
                Value::Array(items) => items.into_iter().enumerate().for_each(|(index, item)| {
                    let item_name = item.get("name").and_then(Value::as_str).unwrap_or_default();
                    let prefix = format!("{section}.{item_name}");
                    let place = [section.clone(), index.to_string()];
                    file.flatten(&prefix, &place, item, &mut keys);
                }),
                value => file.flatten(&section, std::slice::from_ref(&section), value, &mut keys),
            }
        }
    }
    for key in &mut keys {
        let variable = format!("{PREFIX}{}", key.key.replace('.', "__").to_uppercase());
        if variables.iter().any(|(name, _)| *name == variable) {
            key.origin = variable;
        }
    }
    Ok(keys)
}

/// The file's text and what was read from it.
struct File<'t> {
    text: &'t str,
    name: &'t str,
    table: &'t DeTable<'t>,
}

impl File<'_> {
    /// Plain values below a place, each with its origin.
    fn flatten(&self, prefix: &str, place: &[String], value: Value, into: &mut Vec<Key>) {
        let members: Map<String, Value> = match value {
            Value::Object(members) => members,
            value => {
                let origin = self
                    .line(place)
                    .map_or_else(|| "default".to_owned(), |line| format!("{}:{line}", self.name));
                into.push(Key { key: prefix.to_owned(), value, origin });
                return;
            },
        };
        for (name, value) in members {
            let place = [place, std::slice::from_ref(&name)].concat();
            self.flatten(&format!("{prefix}.{name}"), &place, value, into);
        }
    }

    /// The line on which the file sets a key.
    fn line(&self, place: &[String]) -> Option<usize> {
        let (first, rest) = place.split_first()?;
        let mut found = self.table.get(first.as_str())?;
        for name in rest {
            found = match found.get_ref() {
                DeValue::Table(table) => table.get(name.as_str())?,
                DeValue::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(line_and_column(self.text, found.span().start).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[server]\nlisten = \"127.0.0.1:0\"\n\n[[dependency]]\nname = \"db\"\n\
                        critical = true\n[dependency.breaker]\nwindow = \"30s\"\n";

    fn origins() -> Vec<(String, String)> {
        let variables = [("MAINSTAY__SERVER__DATA".to_owned(), "/d".to_owned())];
        let keys = explain(TEXT, "m.toml", &variables).unwrap();
        keys.into_iter().map(|key| (format!("{}={}", key.key, key.value), key.origin)).collect()
    }

    #[test]
    fn a_key_names_its_line_its_variable_or_the_default() {
        let origins = origins();
        for (key, origin) in [
            ("server.listen=\"127.0.0.1:0\"", "m.toml:2"),
            ("server.data=\"/d\"", "MAINSTAY__SERVER__DATA"),
            ("health.recover_after=\"10s\"", "default"),
            ("dependency.db.name=\"db\"", "m.toml:5"),
            ("dependency.db.critical=true", "m.toml:6"),
            ("dependency.db.cap=\"LIMITED\"", "default"),
            ("dependency.db.weight=1", "default"),
            ("dependency.db.breaker.window=\"30s\"", "m.toml:8"),
            ("dependency.db.breaker.open_for=\"30s\"", "default"),
        ] {
            let found = origins.iter().find(|(found, _)| found == key);
            assert_eq!(found.map(|(_, origin)| origin.as_str()), Some(origin), "{origins:#?}");
        }
    }
}
