//! A scenario: what is done to a mainstay, step by step, and what must be seen. `docs/chaos.md` is its
//! reference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mainstay_actors::health::Level;
use serde::Deserialize;

use super::expect::Expected;
use super::steps::{Answers, Call, Force, Http, Inject, Join, Service, Stop, Wait, level};
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

const fn optimal() -> Level {
    Level::Optimal
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
                if [call.every, call.takes].iter().flatten().any(|it| it.as_ms() == 0) {
                    return Err("every and takes must be at least 1ms".to_owned());
                }
                if call.retry_after && call.fallback {
                    return Err("retry_after: with a fallback nobody is refused".to_owned());
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
            Self::Http(http) if !http.path.starts_with('/') => {
                Err("http: the path must begin with /".to_owned())
            },
            Self::Metrics(expected) if expected.is_empty() => Err(NOTHING.to_owned()),
            Self::Log(words) | Self::Journal(words)
                if words.is_empty() || words.iter().any(String::is_empty) =>
            {
                Err(NOTHING.to_owned())
            },
            _ => Ok(()),
        }
    }
}

const NOTHING: &str = "it looks for nothing";
