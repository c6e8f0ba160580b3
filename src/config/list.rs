//! A list of texts: an array in the file, text with commas in a variable.

use serde::{Deserialize, Deserializer, Serialize, de};

/// Texts, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct List(Vec<String>);

impl List {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<String>> for List {
    fn from(texts: Vec<String>) -> Self {
        Self(texts)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Array(Vec<String>),
            Text(String),
        }
        let wrong = |_| de::Error::custom("must be a list of texts: [\"a\", \"b\"]");
        Ok(Self(match Written::deserialize(deserializer).map_err(wrong)? {
            Written::Array(texts) => texts,
            Written::Text(text) => {
                let texts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
                texts.map(str::to_owned).collect()
            },
        }))
    }
}
