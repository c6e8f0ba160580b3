//! A scenario: what is done to a mainstay, step by step, and what must be seen. `docs/chaos.md` is its
//! reference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mainstay_actors::dependency::Mode;
use mainstay_actors::health::Level;
use serde::{Deserialize, Deserializer, de};

use super::expect::Expected;
use crate::cli::exit::Failed;
use crate::config::{Config, ConfigError, Span};

/// A scenario file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// In a line.
    pub(super) title: String,
    /// Why it is run, and what it shows.
    pub(super) about: String,
    /// The configuration of the mainstay that is made for it.
    #[serde(default)]
    pub(super) mainstay: toml::Table,
    /// Services that stand in for the real ones, by dependency.
    #[serde(default)]
    pub(super) service: BTreeMap<String, ServiceKind>,
    /// What happens, in order.
    pub(super) step: Vec<Step>,
    /// The level that must hold at the end.
    #[serde(default = "optimal", deserialize_with = "level")]
    pub(super) ends: Level,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceKind {
    /// A connection is an answer.
    Tcp,
    /// 200 to a GET.
    Http,
    /// PONG to a PING.
    Redis,
}

/// One thing that is done or looked for; exactly one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What a reader should know of it.
    pub(super) say: Option<String>,
    call: Option<Call>,
    join: Option<Join>,
    inject: Option<Inject>,
    stop: Option<Stop>,
    force: Option<Force>,
    service: Option<Service>,
    http: Option<Http>,
    wait: Option<Wait>,
    pause: Option<Span>,
    restart: Option<bool>,
    metrics: Option<BTreeMap<String, Expected>>,
    log: Option<Vec<String>>,
    journal: Option<Vec<String>>,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Action<'s> {
    Call(&'s Call),
    Join(&'s Join),
    Inject(&'s Inject),
    Stop(&'s Stop),
    Force(&'s Force),
    Service(&'s Service),
    Http(&'s Http),
    Wait(&'s Wait),
    Pause(Span),
    Restart,
    Metrics(&'s BTreeMap<String, Expected>),
    Log(&'s [String]),
    Journal(&'s [String]),
}

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
    retry_after: bool,
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
    fn is_nothing(&self) -> bool {
        self.expect.is_empty() && !self.retry_after && self.p99_ms.is_none()
    }

    fn check(&self) -> Result<(), String> {
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

const fn optimal() -> Level {
    Level::Optimal
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

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
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

impl Scenario {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failed> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failed::usage(format!("{name}: {error}")))?;
        let of_toml =
            |error| Failed::usage(ConfigError::from_toml(&name, &text, &error).to_string());
        let scenario: Self = toml::from_str(&text).map_err(of_toml)?;
        scenario.check().map_err(|reason| Failed::usage(format!("{name}: {reason}")))?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        let mut beside = BTreeSet::new();
        for (number, step) in (1..).zip(&self.step) {
            let wrong = |reason: &str| format!("step {number}: {reason}");
            let action = step.action().map_err(|reason| wrong(&reason))?;
            action.check(self).map_err(|reason| wrong(&reason))?;
            match action {
                Action::Call(Call { beside: Some(name), .. }) if !beside.insert(name) => {
                    return Err(wrong(&format!("{name:?} goes on already")));
                },
                Action::Join(Join { name, .. }) if !beside.remove(name) => {
                    return Err(wrong(&format!("no calls go on beside as {name:?}")));
                },
                Action::Restart if !beside.is_empty() => {
                    return Err(wrong("calls go on beside: join them before"));
                },
                _ => {},
            }
        }
        if let Some(name) = beside.first() {
            return Err(format!("the calls {name:?} go on at the end: join them"));
        }
        if self.step.is_empty() { Err("it has no [[step]]".to_owned()) } else { Ok(()) }
    }

    /// The configuration of its mainstay. `{name}` in a probe stands for the address of a service.
    pub(super) fn config(
        &self,
        address: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, String> {
        let mut text = toml::to_string(&self.mainstay).map_err(|error| error.to_string())?;
        for name in self.service.keys() {
            if let Some(address) = address(name) {
                text = text.replace(&format!("{{{name}}}"), &address);
            }
        }
        Config::from_text(&text, "[mainstay]", []).map_err(|error| error.to_string())
    }
}

impl Step {
    /// What it does.
    pub(super) fn action(&self) -> Result<Action<'_>, String> {
        let all = [
            self.call.as_ref().map(Action::Call),
            self.join.as_ref().map(Action::Join),
            self.inject.as_ref().map(Action::Inject),
            self.stop.as_ref().map(Action::Stop),
            self.force.as_ref().map(Action::Force),
            self.service.as_ref().map(Action::Service),
            self.http.as_ref().map(Action::Http),
            self.wait.as_ref().map(Action::Wait),
            self.pause.map(Action::Pause),
            self.restart.filter(|it| *it).map(|_| Action::Restart),
            self.metrics.as_ref().map(Action::Metrics),
            self.log.as_deref().map(Action::Log),
            self.journal.as_deref().map(Action::Journal),
        ];
        let mut all = all.into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(action), None) => Ok(action),
            (None, _) => {
                Err("it does nothing: name one of call, join, inject, stop, force, service, http, \
                              wait, pause, restart, metrics, log, journal"
                    .to_owned())
            },
            (Some(_), Some(_)) => Err("it does two things: make them two steps".to_owned()),
        }
    }
}

impl Action<'_> {
    /// It needs a mainstay of its own: nothing is done to the calls of a running server.
    pub(super) const fn needs_own(&self) -> bool {
        matches!(
            self,
            Self::Call(_) | Self::Join(_) | Self::Service(_) | Self::Restart | Self::Log(_)
        )
    }

    fn check(&self, scenario: &Scenario) -> Result<(), String> {
        match self {
            Self::Call(call) => {
                call.expectation().check()?;
                if call.beside.is_some() && !call.expectation().is_nothing() {
                    return Err(
                        "what comes of calls beside is expected where they are joined".to_owned()
                    );
                }
                let served = scenario.service.contains_key(&call.dependency);
                if call.answers == Some(Answers::Service) && !served {
                    return Err(format!("there is no [service] {:?}", call.dependency));
                }
                let ranges = [("times", call.times, 100_000), ("callers", call.callers, 1_000)];
                for (field, value, most) in ranges {
                    if !(1..=most).contains(&value) {
                        return Err(format!("{field} must be 1 to {most}"));
                    }
                }
                Ok(())
            },
            Self::Join(join) => join.expectation().check(),
            Self::Inject(inject) => super::fault(&inject.fault).map(drop),
            Self::Stop(Stop { name, all }) if name.is_some() == *all => {
                Err("stop: either a name, or all = true".to_owned())
            },
            Self::Service(service) if !scenario.service.contains_key(&service.name) => {
                Err(format!("there is no [service] {:?}", service.name))
            },
            Self::Wait(wait) if wait.level.is_none() && wait.breaker.is_empty() => {
                Err("wait: for a level, or for states of breakers".to_owned())
            },
            _ => Ok(()),
        }
    }
}
