//! What is wrong with a configuration, where, and what was probably meant.

use std::path::PathBuf;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The text is no TOML, a key is unknown, or a value has the wrong type.
    #[error("{place}: {reason}")]
    Value {
        /// `file:line:column`, or the variable.
        place: String,
        /// What is wrong, and the nearest known key.
        reason: String,
    },
}

impl ConfigError {
    /// From the parser's error: adds the place and, for an unknown key, the nearest known one.
    pub(crate) fn from_toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let place = match error.span() {
            Some(span) if !text.is_empty() => {
                let (line, column) = line_and_column(text, span.start);
                format!("{name}:{line}:{column}")
            },
            _ => name.to_owned(),
        };
        let message = error.message();
        let reason = match nearest_key(message) {
            Some((unknown, nearest)) => {
                format!("unknown key `{unknown}`; the nearest known one is `{nearest}`")
            },
            None => message.trim().replace('\n', "; "),
        };
        Self::Value { place, reason }
    }
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

/// Reads serde's "unknown field `a`, expected one of `b`, `c`": the unknown and the nearest.
fn nearest_key(message: &str) -> Option<(&str, &str)> {
    let rest =
        message.strip_prefix("unknown field ").or(message.strip_prefix("unknown variant "))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let nearest = quoted.min_by_key(|known| strsim::damerau_levenshtein(unknown, known))?;
    Some((unknown, nearest))
}
