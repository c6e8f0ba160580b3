//! What the steps of a scenario take.

use std::collections::BTreeMap;

use mainstay_actors::dependency::Mode;
use mainstay_actors::health::Level;
use serde::{Deserialize, Deserializer, de};

use super::expect::Expected;
use crate::config::Span;

/// Guarded calls.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) dependency: String,
    /// How many.
    #[serde(default = "once")]
    pub(super) times: u32,
    /// By so many callers at a time.
    #[serde(default = "once")]
    pub(super) callers: u32,
    /// From one call of a caller to its next.
    pub(super) every: Option<Span>,
    /// How long the call takes.
    pub(super) takes: Option<Span>,
    /// What comes of it; of the stand-in service when absent, or ok without one.
    pub(super) answers: Option<Answers>,
    /// A fallback stands around it.
    #[serde(default)]
    pub(super) fallback: bool,
    /// They end early when the breaker is in this state.
    #[serde(default, deserialize_with = "maybe_mode")]
    pub(super) until: Option<Mode>,
    /// They go on beside the next steps, under this name, until they are joined.
    pub(super) beside: Option<String>,
    /// How many of each kind: `ok`, `fallback`, `failed`, `ignored`, `panicked`, `open`, `limited`,
    /// `full`, `timed_out`, `injected`. What is not named must not be.
    #[serde(default)]
    expect: BTreeMap<String, Expected>,
    /// Every call that was refused says when to come back.
    #[serde(default)]
    pub(super) retry_after: bool,
    /// The 99th percentile of those that were made and went well, in milliseconds.
    p99_ms: Option<Expected>,
}

/// The end of calls that went on beside other steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    pub(super) name: String,
    /// As of a [`Call`].
    #[serde(default)]
    expect: BTreeMap<String, Expected>,
    #[serde(default)]
    retry_after: bool,
    p99_ms: Option<Expected>,
}

/// What must come of calls.
#[derive(Debug)]
pub(super) struct Expectation<'s> {
    pub(super) expect: &'s BTreeMap<String, Expected>,
    pub(super) retry_after: bool,
    pub(super) p99_ms: Option<Expected>,
}

impl Call {
    pub(super) const fn expectation(&self) -> Expectation<'_> {
        let Self { expect, retry_after, p99_ms, .. } = self;
        Expectation { expect, retry_after: *retry_after, p99_ms: *p99_ms }
    }
}

impl Join {
    pub(super) const fn expectation(&self) -> Expectation<'_> {
        let Self { expect, retry_after, p99_ms, .. } = self;
        Expectation { expect, retry_after: *retry_after, p99_ms: *p99_ms }
    }
}

impl Expectation<'_> {
    pub(super) fn is_nothing(&self) -> bool {
        self.expect.is_empty() && !self.retry_after && self.p99_ms.is_none()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let kinds = super::calls::KINDS;
        match self.expect.keys().find(|kind| !kinds.contains(&kind.as_str())) {
            Some(kind) => Err(format!("expect: {kind:?} is none of {}", kinds.join(", "))),
            None => Ok(()),
        }
    }
}

/// What comes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answers {
    Ok,
    Error,
    Ignored,
    Panic,
    Service,
}

/// The start of an experiment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inject {
    pub(super) dependency: String,
    /// As `--fault`.
    pub(super) fault: String,
    #[serde(default = "all")]
    pub(super) share: f64,
    #[serde(default = "a_minute")]
    pub(super) r#for: Span,
    #[serde(default)]
    pub(super) seed: u64,
    pub(super) name: Option<String>,
    pub(super) floor: Option<String>,
    /// It must be refused, with these words.
    pub(super) refused: Option<String>,
}

/// The end of one experiment, or of all that run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) all: bool,
}

/// A transition by hand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    pub(super) dependency: String,
    #[serde(deserialize_with = "mode")]
    pub(super) to: Mode,
    pub(super) r#for: Option<Span>,
    pub(super) reason: String,
}

/// How a stand-in service behaves from now on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) is: Behaviour,
}

/// How a stand-in service behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Behaviour {
    /// It answers.
    Up,
    /// Connections are refused, those there are end.
    Down,
    /// It takes connections and requests, and never answers.
    Hangs,
    /// It ends every connection that it has, once, and goes on.
    KillsConnections,
    /// It answers that it has failed.
    Fails,
}

impl Behaviour {
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Hangs => "hangs",
            Self::KillsConnections => "kills connections",
            Self::Fails => "fails",
        }
    }
}

/// A request to the server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) body: Option<toml::Value>,
    #[serde(default = "ok")]
    pub(super) status: u16,
    /// Values at JSON pointers of the answer.
    #[serde(default)]
    pub(super) has: BTreeMap<String, toml::Value>,
}

/// Something that must come about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default, deserialize_with = "maybe_level")]
    pub(super) level: Option<Level>,
    /// States of breakers.
    #[serde(default, deserialize_with = "modes")]
    pub(super) breaker: BTreeMap<String, Mode>,
    #[serde(default = "ten_seconds")]
    pub(super) within: Span,
}

const fn once() -> u32 {
    1
}

const fn all() -> f64 {
    1.0
}

const fn ok() -> u16 {
    200
}

const fn a_minute() -> Span {
    Span::from_ms(60_000)
}

const fn ten_seconds() -> Span {
    Span::from_ms(10_000)
}

/// A word of the API, in any case.
fn word<T: de::DeserializeOwned, E: de::Error>(text: &str) -> Result<T, E> {
    let value = serde_json::Value::String(text.to_lowercase());
    let upper = serde_json::Value::String(text.to_uppercase());
    serde_json::from_value(value)
        .or_else(|_| serde_json::from_value(upper))
        .map_err(|error| E::custom(error.to_string()))
}

pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    word(&String::deserialize(deserializer)?)
}

fn maybe_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Level>, D::Error> {
    level(deserializer).map(Some)
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    word(&String::deserialize(deserializer)?)
}

fn maybe_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mode>, D::Error> {
    mode(deserializer).map(Some)
}

fn modes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Mode>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    texts.into_iter().map(|(name, mode)| Ok((name, word(&mode)?))).collect()
}
