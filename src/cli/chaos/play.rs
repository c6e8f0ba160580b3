//! Plays the steps of a scenario, one after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mainstay_actors::health::Level;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::calls::{self, Came};
use super::scenario::{Action, Step};
use super::stage::{Own, Stage, at};
use super::steps::{Call, Force, Http, Inject, Join, Service, Stop, Wait};
use crate::cli::exit::Failed;
use crate::cli::online::path;
use crate::config::Span;

/// How long a figure, a line or an event may take to show.
const SOON: Duration = Duration::from_secs(5);
/// How long the way back may take at the end.
const LAST: Span = Span::from_ms(30_000);
/// How long calls may go on.
const CALLS: Duration = Duration::from_mins(2);
const INTERRUPTED: &str = "interrupted";
const NO_OWN: &str = "it needs a mainstay of its own";
/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(10);
/// Who reads events a page at a time.
const PAGE: usize = 1_000;

/// Where the steps have come to.
pub(super) struct Play<'s> {
    stage: &'s mut Stage,
    /// Behind the last line of the log that was found.
    line: usize,
    /// The last event that was found.
    event: u64,
    /// Calls that go on beside the steps.
    beside: BTreeMap<String, JoinHandle<Came>>,
    /// Set once somebody asks it to stop.
    interrupted: &'s AtomicBool,
}

impl<'s> Play<'s> {
    pub(super) fn new(stage: &'s mut Stage, interrupted: &'s AtomicBool) -> Self {
        let event = stage.from;
        Self { stage, line: 0, event, beside: BTreeMap::new(), interrupted }
    }

    /// Does it.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        match step.action()? {
            Action::Call(call) => self.call(call),
            Action::Join(join) => self.join(join),
            Action::Inject(inject) => self.inject(inject),
            Action::Stop(stop) => self.stop(stop),
            Action::Force(force) => self.force(force),
            Action::Service(service) => self.service(service),
            Action::Http(http) => self.http(http),
            Action::Wait(wait) => self.wait(wait),
            Action::Pause(span) => self.pause(span.as_duration()),
            Action::Restart => self.stage.restart(),
            Action::Metrics(expected) => {
                for (name, expected) in expected {
                    self.soon(SOON, || {
                        let text =
                            self.stage.online.text("/metrics").map_err(Failed::into_message)?;
                        let found =
                            metric(&text, name).ok_or_else(|| format!("no metric {name}"))?;
                        let holds = expected.holds(found);
                        if holds {
                            Ok(())
                        } else {
                            Err(format!("{name} is {found} instead of {expected}"))
                        }
                    })?;
                }
                Ok(())
            },
            Action::Log(lines) => lines.iter().try_for_each(|words| self.log(words)),
            Action::Journal(names) => self.journal(names),
        }
    }

    /// No fault runs any more, and the level is this one.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) fn end(&self, level: Level) -> Result<(), String> {
        // Others' experiments on a running server are not looked at.
        let ours = |name: &String| self.stage.own.is_some() || self.stage.started.contains(name);
        let running = self.stage.running().map_err(Failed::into_message)?;
        if let Some(name) = running.into_iter().find(ours) {
            return Err(format!("the experiment {name} still runs: stop it"));
        }
        let wait = Wait { level: Some(level), breaker: BTreeMap::new(), within: LAST };
        self.wait(&wait)
    }

    fn call(&mut self, call: &Call) -> Result<(), String> {
        let own = self.stage.own.as_ref().ok_or(NO_OWN)?;
        let dependency = own.stay()?.dependency(&call.dependency);
        let service = own.services.get(&call.dependency).cloned();
        let calls = calls::make(call.clone(), dependency, service);
        if let Some(name) = &call.beside {
            self.beside.insert(name.clone(), own.runtime.spawn(calls));
            return Ok(());
        }
        ended(own, self.interrupted, calls)?.check(&call.expectation())
    }

    fn join(&mut self, join: &Join) -> Result<(), String> {
        let own = self.stage.own.as_ref().ok_or(NO_OWN)?;
        let calls = self.beside.remove(&join.name).ok_or("no such calls go on")?;
        let came = ended(own, self.interrupted, calls)?.map_err(|error| error.to_string())?;
        came.check(&join.expectation())
    }

    fn inject(&mut self, inject: &Inject) -> Result<(), String> {
        let name = inject.name.as_ref().unwrap_or(&inject.dependency);
        let mut body = json!({
            "dependency": inject.dependency,
            "name": name,
            "fault": super::fault(&inject.fault)?,
            "share": inject.share,
            "for_ms": inject.r#for.as_ms(),
            "seed": inject.seed,
            "reason": "a scenario",
        });
        if let (Some(floor), Some(body)) = (&inject.floor, body.as_object_mut()) {
            body.insert("floor".to_owned(), json!(floor.to_uppercase()));
        }
        let (status, answer) = self.ask("POST", super::ROUTE, Some(&body))?;
        if status < 400 {
            self.stage.started.insert(name.clone());
            if let Some(position) = at(&answer, "/position").as_u64() {
                let event = (format!("chaos/{name}"), "FaultStarted");
                self.stage.acknowledged.insert(position, event);
            }
        }
        match &inject.refused {
            None if status < 400 => Ok(()),
            None => Err(format!("{status}: {}", at(&answer, "/detail"))),
            Some(words) if status >= 400 && answer.to_string().contains(words) => Ok(()),
            Some(words) => Err(format!("{status} {answer} instead of a refusal with {words:?}")),
        }
    }

    /// Of a running server only what this run has started.
    fn stop(&mut self, stop: &Stop) -> Result<(), String> {
        let Some(name) = &stop.name else {
            if self.stage.own.is_none() {
                return self.stage.stop_all().map(drop).map_err(Failed::into_message);
            }
            let (status, answer) =
                self.ask("DELETE", &format!("{}?reason=seen", super::ROUTE), None)?;
            return good(status, &answer);
        };
        let before = self.stage.running().map_err(Failed::into_message)?;
        let route = format!("{}/{}?reason=seen", super::ROUTE, path(name));
        let (status, answer) = self.ask("DELETE", &route, None)?;
        let position = at(&answer, "/position").as_u64();
        // One that was over already is ended by no event of this answer.
        if let Some(position) = position.filter(|_| before.contains(name)) {
            let event = (format!("chaos/{name}"), "FaultEnded");
            self.stage.acknowledged.insert(position, event);
        }
        good(status, &answer)
    }

    fn force(&mut self, force: &Force) -> Result<(), String> {
        let route = format!("/api/v1/dependencies/{}/state", path(&force.dependency));
        let mut body = json!({ "to": force.to, "reason": force.reason });
        if let (Some(span), Some(body)) = (force.r#for, body.as_object_mut()) {
            body.insert("for_ms".to_owned(), json!(span.as_ms()));
        }
        let (status, answer) = self.ask("POST", &route, Some(&body))?;
        good(status, &answer)
    }

    fn service(&self, service: &Service) -> Result<(), String> {
        let own = self.stage.own.as_ref().ok_or(NO_OWN)?;
        let stand_in = own.services.get(&service.name).ok_or("there is no such service")?;
        own.runtime.block_on(stand_in.behave(service.is))
    }

    fn http(&mut self, http: &Http) -> Result<(), String> {
        let body = http.body.as_ref().map(serde_json::to_value).transpose();
        let body = body.map_err(|error| error.to_string())?;
        let (status, answer) = self.ask(&http.method, &http.path, body.as_ref())?;
        if status != http.status {
            return Err(format!("{status} instead of {}: {answer}", http.status));
        }
        for (pointer, expected) in &http.has {
            let expected = serde_json::to_value(expected).map_err(|error| error.to_string())?;
            let found = at(&answer, pointer);
            if *found != expected {
                return Err(format!("{pointer} is {found} instead of {expected}"));
            }
        }
        Ok(())
    }

    fn wait(&self, wait: &Wait) -> Result<(), String> {
        self.soon(wait.within.as_duration(), || {
            let health = self.get("/api/v1/health")?;
            if let Some(level) = wait.level {
                let found = at(&health, "/level");
                if *found != json!(level) {
                    return Err(format!("the level is {found} instead of {level}"));
                }
            }
            let all = at(&health, "/dependencies").as_array().cloned().unwrap_or_default();
            for (name, mode) in &wait.breaker {
                let found = all.iter().find(|it| it["name"] == **name);
                let found = found.map_or(&Value::Null, |it| &it["state"]);
                if *found != json!(mode) {
                    return Err(format!("the breaker of {name} is {found} instead of {mode}"));
                }
            }
            Ok(())
        })
    }

    fn log(&mut self, words: &str) -> Result<(), String> {
        let own = self.stage.own.as_ref().ok_or(NO_OWN)?;
        let from = self.line;
        self.line = self.soon(SOON, || {
            own.lines.find(words, from).ok_or_else(|| format!("the log has no line with {words:?}"))
        })?;
        Ok(())
    }

    /// Events in this order, others between them.
    fn journal(&mut self, names: &[String]) -> Result<(), String> {
        for name in names {
            let after = self.event;
            self.event = self.soon(SOON, || {
                let after = after.to_string();
                let query = [("after", after), ("type", name.clone()), ("limit", PAGE.to_string())];
                let (status, page) = self
                    .stage
                    .online
                    .ask("/api/v1/events", &query)
                    .map_err(Failed::into_message)?;
                if status >= 400 {
                    return Err(format!("{status}: {}", at(&page, "/detail")));
                }
                let first = at(&page, "/events/0/position").as_u64();
                first.ok_or_else(|| format!("the journal has no {name} here"))
            })?;
        }
        Ok(())
    }

    fn pause(&self, span: Duration) -> Result<(), String> {
        let began = now();
        while let Some(left) = span.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            self.is_wanted()?;
            std::thread::sleep(left.min(PAUSE));
        }
        Ok(())
    }

    fn is_wanted(&self) -> Result<(), String> {
        if self.interrupted.load(Ordering::Relaxed) { Err(INTERRUPTED.to_owned()) } else { Ok(()) }
    }

    /// Looks again and again until it holds; else what was found at last.
    fn soon<T>(
        &self,
        within: Duration,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> Result<T, String> {
        let began = now();
        loop {
            match look() {
                Ok(found) => return Ok(found),
                Err(found) if began.elapsed() >= within => {
                    return Err(format!("{found}, after {within:?}"));
                },
                Err(_) => self.pause(PAUSE)?,
            }
        }
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        self.stage.online.get(path, &[]).map_err(Failed::into_message)
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), String> {
        let asked = self.stage.online.send(method, path, body);
        let (status, answer) = asked.map_err(Failed::into_message)?;
        self.stage.heard(&answer);
        Ok((status, answer))
    }
}

fn good(status: u16, answer: &Value) -> Result<(), String> {
    if status < 400 { Ok(()) } else { Err(format!("{status}: {}", at(answer, "/detail"))) }
}

/// What comes of calls, if they end.
fn ended<T>(
    own: &Own,
    interrupted: &AtomicBool,
    calls: impl Future<Output = T>,
) -> Result<T, String> {
    own.runtime.block_on(async {
        let asked = async {
            while !interrupted.load(Ordering::Relaxed) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            came = calls => Ok(came),
            () = asked => Err(INTERRUPTED.to_owned()),
            () = tokio::time::sleep(CALLS) => Err(format!("the calls have not ended within {CALLS:?}")),
        }
    })
}

/// The value of a sample in the text format: its name, with its labels as they are written.
fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.split(' ').next()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "how long to wait for what must be seen")]
fn now() -> Instant {
    Instant::now()
}
