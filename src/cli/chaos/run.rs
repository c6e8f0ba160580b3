//! `mainstay chaos run`: plays scenarios and says what held.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::play::Play;
use super::scenario::{Action, Scenario, Step};
use super::stage::{Found, Lines, Stage};
use super::steps::Expectation;
use crate::cli::drill::Stop as Interrupt;
use crate::cli::exit::Failed;
use crate::cli::online::Online;

/// Play scenarios: disturb a mainstay, and look whether it protects and recovers
///
/// Each scenario has a mainstay of its own, in a scratch directory and on loopback, with services
/// that stand in for real ones; at the end its journal is verified and every acknowledged event
/// looked for. With --server it is played against a running one, whose own calls it disturbs.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "each is a flag")]
pub(super) struct Run {
    /// Scenario files (docs/chaos.md)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Play them against this running server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Read the files and tell what they would do
    #[arg(long)]
    dry_run: bool,
    /// Leave the scratch directories, and say where they are
    #[arg(long, conflicts_with = "server")]
    keep: bool,
    /// Show the log of a mainstay whose scenario did not hold
    #[arg(long, conflicts_with = "server")]
    log: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How one scenario went.
struct Played<'s> {
    path: &'s Path,
    scenario: &'s Scenario,
    /// Steps that held.
    held: usize,
    /// The first that did not, or what was wrong at the end.
    wrong: Vec<String>,
    /// Of a mainstay of its own.
    found: Option<Found>,
    took: Duration,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let scenarios: Vec<_> = self.files.iter().map(|path| Scenario::read(path)).collect();
        let scenarios = scenarios.into_iter().collect::<Result<Vec<_>, _>>()?;
        // Before anything is made: a configuration that cannot be.
        for (path, scenario) in self.files.iter().zip(&scenarios) {
            let config = scenario.config(|_| Some("127.0.0.1:1".to_owned()));
            config.map_err(|reason| Failed::usage(format!("{}: {reason}", path.display())))?;
        }
        if self.dry_run {
            for (path, scenario) in self.files.iter().zip(&scenarios) {
                self.tell(&if self.json { plan_json(path, scenario) } else { plan(scenario) })?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let lines = Lines::default();
        if self.server.is_none() {
            capture(&lines);
        }
        let interrupt = Interrupt::listen()?;
        let mut failed = 0;
        for (path, scenario) in self.files.iter().zip(&scenarios) {
            lines.clear();
            let played = self.play(path, scenario, &lines, interrupt.flag())?;
            failed += u32::from(!played.wrong.is_empty());
            if self.json {
                self.tell(&played.json().to_string())?;
            } else {
                self.tell(&played.told())?;
            }
            if self.log && !played.wrong.is_empty() {
                write!(io::stderr(), "{}", lines.text())?;
            }
            if interrupt.flag().load(Ordering::Relaxed) {
                return Err(Failed::work("interrupted"));
            }
        }
        if failed == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failed::work(format!("{failed} of {} did not hold", scenarios.len())))
    }

    fn tell(&self, text: &str) -> Result<(), Failed> {
        let mut stdout = io::stdout().lock();
        let end = if self.json { "\n" } else { "" };
        write!(stdout, "{text}{end}")?;
        stdout.flush()?;
        Ok(())
    }

    fn play<'s>(
        &self,
        path: &'s Path,
        scenario: &'s Scenario,
        lines: &Lines,
        interrupted: &AtomicBool,
    ) -> Result<Played<'s>, Failed> {
        let began = now();
        let mut stage = match &self.server {
            Some(server) => {
                let needs_own = |step: &Step| step.action().is_ok_and(|it| it.needs_own());
                if let Some(at) = scenario.step.iter().position(needs_own) {
                    let text = "needs a mainstay of its own: leave out --server";
                    return Err(Failed::usage(format!(
                        "{}: step {} {text}",
                        path.display(),
                        at + 1
                    )));
                }
                Stage::at(Online::new(server, "or leave it out")?)?
            },
            None => Stage::make(scenario, lines.clone())?,
        };
        let (mut held, mut wrong) = (0, Vec::new());
        let mut play = Play::new(&mut stage, interrupted);
        for step in &scenario.step {
            match play.step(step) {
                Ok(()) => held += 1,
                Err(reason) => {
                    wrong.push(reason);
                    break;
                },
            }
        }
        if wrong.is_empty() {
            wrong.extend(play.end(scenario.ends).err());
        }
        if self.server.is_some() {
            // Nothing that it has begun goes on when it has ended, however it has.
            match stage.stop_all() {
                Ok(names) => {
                    for name in names {
                        writeln!(io::stderr(), "mainstay: stopped the experiment {name}")?;
                    }
                },
                Err(failed) => wrong.push(format!("stop it by hand: {}", failed.into_message())),
            }
        }
        let found = stage.close().unwrap_or_else(|reason| {
            wrong.push(reason);
            None
        });
        wrong.extend(found.iter().flat_map(|found| found.wrong.iter().cloned()));
        if let Some(own) = stage.own.take().filter(|_| self.keep) {
            writeln!(io::stderr(), "{}: {}", path.display(), own.keep().display())?;
        }
        Ok(Played { path, scenario, held, wrong, found, took: began.elapsed() })
    }
}

impl Played<'_> {
    fn told(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.scenario.title, self.scenario.about.trim());
        for (number, step) in (1..).zip(&self.scenario.step) {
            let state = match number {
                _ if number <= self.held => "ok",
                _ if number == self.held + 1 && !self.wrong.is_empty() => "FAILED",
                _ => "-",
            };
            let _ = writeln!(text, "{number:>3}  {state:<6}  {}", step.told());
        }
        if let Some(found) = &self.found {
            text.push_str("\nIn the journal, beside observations and levels:\n");
            for (name, stream) in &found.events {
                let _ = writeln!(text, "     {name} {stream}");
            }
        }
        for reason in &self.wrong {
            let _ = writeln!(text, "\nFAILED: {reason}");
        }
        if self.wrong.is_empty() {
            let verified = match self.found {
                Some(_) => "; the journal is good, and has all that was acknowledged",
                None => "",
            };
            let ends = self.scenario.ends;
            let _ = writeln!(text, "\nheld, {ends} at the end{verified}\n");
        }
        text
    }

    fn json(&self) -> Value {
        let steps = (1..)
            .zip(&self.scenario.step)
            .map(|(number, step)| json!({ "does": step.told(), "held": number <= self.held }));
        let found = self.found.as_ref().map(|found| {
            let events = found.events.iter();
            let events = events.map(|(name, stream)| json!({ "type": name, "stream": stream }));
            json!({ "events": events.collect::<Vec<_>>(), "position": found.total })
        });
        json!({
            "file": self.path.display().to_string(),
            "title": self.scenario.title,
            "held": self.wrong.is_empty(),
            "steps": steps.collect::<Vec<_>>(),
            "wrong": self.wrong,
            "journal": found,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn plan(scenario: &Scenario) -> String {
    let mut text = format!("{}\n", scenario.title);
    for (number, step) in (1..).zip(&scenario.step) {
        let _ = writeln!(text, "{number:>3}  {}", step.told());
    }
    text
}

fn plan_json(path: &Path, scenario: &Scenario) -> String {
    let steps: Vec<_> = scenario.step.iter().map(Step::told).collect();
    json!({ "file": path.display().to_string(), "title": scenario.title, "steps": steps })
        .to_string()
}

impl Step {
    /// In a line.
    fn told(&self) -> String {
        let does = match self.action() {
            Ok(action) => action.told(),
            Err(reason) => reason,
        };
        match &self.say {
            Some(say) => format!("{does} — {say}"),
            None => does,
        }
    }
}

impl Action<'_> {
    fn told(&self) -> String {
        match self {
            Self::Call(call) => {
                let mut text = format!("call {} ×{}", call.dependency, call.times);
                if let Some(until) = call.until {
                    let _ = write!(text, " until {until}");
                }
                if let Some(name) = &call.beside {
                    let _ = write!(text, " beside, as {name}");
                }
                text + &call.expectation().told()
            },
            Self::Join(join) => format!("join {}{}", join.name, join.expectation().told()),
            Self::Inject(inject) => {
                let share =
                    if inject.share < 1.0 { format!(" {}", inject.share) } else { String::new() };
                let end = match &inject.refused {
                    Some(words) => format!(": refused, {words}"),
                    None => format!(" for {}", inject.r#for),
                };
                format!("inject {}{share} into {}{end}", inject.fault, inject.dependency)
            },
            Self::Stop(stop) => match &stop.name {
                Some(name) => format!("stop {name}"),
                None => "stop all".to_owned(),
            },
            Self::Force(force) => format!("force {} {}", force.dependency, force.to),
            Self::Service(service) => format!("service {} {}", service.name, service.is.told()),
            Self::Http(http) => format!("{} {}: {}", http.method, http.path, http.status),
            Self::Wait(wait) => {
                let level = wait.level.map(|level| level.to_string());
                let breakers = wait.breaker.iter().map(|(name, mode)| format!("{name} {mode}"));
                let all: Vec<_> = level.into_iter().chain(breakers).collect();
                format!("wait for {}", all.join(", "))
            },
            Self::Pause(span) => format!("pause {span}"),
            Self::Restart => "restart".to_owned(),
            Self::Metrics(expected) => {
                let all = expected.iter().map(|(name, expected)| format!("{name} {expected}"));
                format!("metrics {}", all.collect::<Vec<_>>().join(", "))
            },
            Self::Log(lines) => format!("log {}", lines.join(" … ")),
            Self::Journal(names) => format!("journal {}", names.join(" … ")),
        }
    }
}

impl Expectation<'_> {
    fn told(&self) -> String {
        let mut all: Vec<_> =
            self.expect.iter().map(|(kind, expected)| format!("{expected} {kind}")).collect();
        all.extend(self.p99_ms.map(|p99| format!("p99 {p99} ms")));
        all.extend(self.retry_after.then(|| "each refusal with retry_after".to_owned()));
        if all.is_empty() { String::new() } else { format!(": {}", all.join(", ")) }
    }
}

/// The log of the mainstays that are made goes into these lines.
fn capture(lines: &Lines) {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(lines.clone())
        .with_ansi(false)
        .with_target(false)
        .without_time();
    let ours = Targets::new().with_default(Level::INFO).with_target("actix_server", Level::WARN);
    tracing_subscriber::registry().with(layer.with_filter(ours)).init();
}

#[expect(clippy::disallowed_methods, reason = "measures a scenario")]
fn now() -> Instant {
    Instant::now()
}
