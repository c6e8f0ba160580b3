//! What a number must be: `20`, `">=3"`, `"<=50"`, `"3..10"`.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A range of numbers, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expected {
    least: f64,
    most: f64,
}

impl Expected {
    /// Nothing of it.
    pub(super) const NONE: Self = Self { least: 0.0, most: 0.0 };

    /// Whether a number is as expected.
    pub(super) fn holds(self, number: f64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}

impl std::str::FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number: Result<f64, _> = text.trim().parse();
            number.map_err(|_| {
                format!("{text:?} is no number: write 20, \">=3\", \"<=50\" or \"3..10\"")
            })
        };
        if let Some(least) = text.strip_prefix(">=") {
            return Ok(Self { least: number(least)?, most: f64::INFINITY });
        }
        if let Some(most) = text.strip_prefix("<=") {
            return Ok(Self { least: f64::NEG_INFINITY, most: number(most)? });
        }
        if let Some((least, most)) = text.split_once("..") {
            let (least, most) = (number(least)?, number(most)?);
            if least > most {
                return Err(format!("{text:?} holds for no number"));
            }
            return Ok(Self { least, most });
        }
        let exactly = number(text)?;
        Ok(Self { least: exactly, most: exactly })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most } = self;
        if least.total_cmp(most).is_eq() {
            write!(f, "{least}")
        } else if most.is_infinite() {
            write!(f, "≥ {least}")
        } else if least.is_infinite() {
            write!(f, "≤ {most}")
        } else {
            write!(f, "{least} to {most}")
        }
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self { least: number, most: number }),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_told_and_held() {
        let cases = [
            ("20", "20", [19.0, 21.0], 20.0),
            (">=3", "≥ 3", [2.9, f64::NEG_INFINITY], 1e9),
            ("<=50", "≤ 50", [50.1, f64::INFINITY], 0.0),
            ("3..10", "3 to 10", [2.0, 11.0], 10.0),
        ];
        for (text, told, out, within) in cases {
            let expected: Expected = text.parse().unwrap();
            assert_eq!(expected.to_string(), told);
            assert!(expected.holds(within) && !out.iter().any(|it| expected.holds(*it)), "{text}");
        }
        for bad in ["", "many", ">=", "3..", ">3", "5..1"] {
            assert!(bad.parse::<Expected>().is_err(), "{bad}");
        }
    }
}
