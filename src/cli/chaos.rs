//! `mainstay chaos`: disturb the calls of a dependency on a running server, for a while.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

mod calls;
mod expect;
mod play;
mod run;
mod scenario;
mod stage;
mod stand_in;
mod steps;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::Failed;
use super::online::{Online, path};
use super::table::{lines, table, text};
use crate::config::Span;

/// Disturb calls on purpose
#[derive(Debug, Args)]
pub(super) struct Chaos {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(Start),
    Stop(Stop),
    List(List),
    Run(run::Run),
}

#[derive(Debug, Args)]
struct At {
    /// A running server; the variable `MAINSTAY_KEY_FILE` names the file with an operator's key
    #[arg(long, value_name = "URL", env = "MAINSTAY_SERVER", default_value_t = super::default_server())]
    server: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Start an experiment
///
/// It ends by itself, at the latest after a day. It is refused while the level is below the floor.
#[derive(Debug, Args)]
struct Start {
    /// Whose calls
    #[arg(value_name = "DEPENDENCY")]
    dependency: String,
    /// errors, hang, refusal, latency=250ms, latency=100ms..300ms, latency=200ms+-50ms (mean and
    /// deviation) or flapping=400ms/100ms (up and down)
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    fault: Value,
    /// Which share of the calls: 0.25
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    share: f64,
    /// For how long: 60s
    #[arg(long, value_name = "DURATION")]
    r#for: Span,
    /// Why; it is journaled
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The same seed strikes the same calls
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Name of the experiment [default: the dependency's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Start at this level or a better one only [default: DEGRADED]
    #[arg(long, value_name = "LEVEL", ignore_case = true, value_parser = ["EMERGENCY", "MINIMAL", "LIMITED", "DEGRADED", "OPTIMAL"])]
    floor: Option<String>,
    #[command(flatten)]
    at: At,
}

/// Stop an experiment, or all
#[derive(Debug, Args)]
struct Stop {
    /// Which
    #[arg(value_name = "NAME", required_unless_present = "all")]
    name: Option<String>,
    /// All that run
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Why; it is journaled
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    at: At,
}

/// List the newest experiment of each name
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    at: At,
}

const ROUTE: &str = "/api/v1/chaos";

impl Chaos {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.verb {
            Verb::Start(verb) => verb.run(),
            Verb::Stop(verb) => verb.run(),
            Verb::List(verb) => verb.run(),
            Verb::Run(verb) => verb.run(),
        }
    }
}

impl At {
    fn online(&self) -> Result<Online, Failed> {
        Online::new(&self.server, "faults strike the calls of a running server only")
    }

    fn say(&self, answer: &Value, told: impl FnOnce() -> String) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{answer}")?;
        } else {
            write!(stdout, "{}", told())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Start {
    fn run(self) -> Result<ExitCode, Failed> {
        let mut body = json!({
            "dependency": self.dependency,
            "fault": self.fault,
            "share": self.share,
            "for_ms": self.r#for.as_ms(),
            "reason": self.reason,
        });
        let floor = self.floor.map(|floor| floor.to_uppercase());
        let optional =
            [("seed", json!(self.seed)), ("name", json!(self.name)), ("floor", json!(floor))];
        for (field, value) in optional.into_iter().filter(|(_, value)| !value.is_null()) {
            body[field] = value;
        }
        let it = self.at.online()?.post(ROUTE, &body)?;
        self.at.say(&it, || {
            let (name, until, seed) = (text(&it["name"]), text(&it["until"]), &it["seed"]);
            format!("{name} runs until {until}, seed {seed}\n")
        })
    }
}

impl Stop {
    fn run(self) -> Result<ExitCode, Failed> {
        let why = [("reason", self.reason)];
        let online = self.at.online()?;
        let Some(name) = self.name else {
            let all = online.delete(ROUTE, &why)?;
            return self.at.say(&all, || {
                let names = all["stopped"].as_array().into_iter().flatten();
                let told: Vec<_> =
                    names.map(|name| format!("{} was stopped\n", text(name))).collect();
                if told.is_empty() { "nothing runs\n".to_owned() } else { told.concat() }
            });
        };
        let it = online.delete(&format!("{ROUTE}/{}", path(&name)), &why)?;
        self.at.say(&it, || format!("{name} is over since {}\n", text(&it["ended"]["at"])))
    }
}

impl List {
    fn run(self) -> Result<ExitCode, Failed> {
        let all = self.at.online()?.get(ROUTE, &[])?;
        self.at.say(&all, || {
            let mut rows = table(&["name", "dependency", "fault", "share", "state", "reason"]);
            for it in all["experiments"].as_array().into_iter().flatten() {
                let state = match (it["running"].as_bool(), it["ended"]["at"].as_str()) {
                    (Some(true), _) => format!("until {}", text(&it["until"])),
                    (_, Some(at)) => format!("over since {at}"),
                    (_, None) => format!("over since {}", text(&it["until"])),
                };
                let (fault, share) = (it["fault"].to_string(), it["share"].to_string());
                let fault = fault.trim_matches('"').to_owned();
                let (name, dependency) = (text(&it["name"]), text(&it["dependency"]));
                rows.add_row([name, dependency, fault, share, state, text(&it["reason"])]);
            }
            lines(&rows)
        })
    }
}

/// What the route takes, from what is typed.
fn fault(typed: &str) -> Result<Value, String> {
    let ms = |text: &str| {
        let span: Span = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        Ok::<u64, String>(span.as_ms())
    };
    Ok(match typed.split_once('=') {
        None if ["errors", "hang", "refusal"].contains(&typed) => json!(typed),
        Some(("latency", how)) => {
            let latency = if let Some((min, max)) = how.split_once("..") {
                json!({ "uniform": { "min_ms": ms(min)?, "max_ms": ms(max)? } })
            } else if let Some((mean, deviation)) = how.split_once("+-") {
                json!({ "normal": { "mean_ms": ms(mean)?, "deviation_ms": ms(deviation)? } })
            } else {
                json!({ "fixed": { "ms": ms(how)? } })
            };
            json!({ "latency": latency })
        },
        Some(("flapping", how)) => {
            let (up, down) =
                how.split_once('/').ok_or("flapping takes up and down: 400ms/100ms")?;
            json!({ "flapping": { "up_ms": ms(up)?, "down_ms": ms(down)? } })
        },
        _ => return Err("is errors, hang, refusal, latency=… or flapping=…".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_can_be_typed() {
        assert_eq!(fault("hang"), Ok(json!("hang")));
        assert_eq!(fault("latency=1s"), Ok(json!({"latency": {"fixed": {"ms": 1_000}}})));
        let uniform = json!({"latency": {"uniform": {"min_ms": 100, "max_ms": 300}}});
        assert_eq!(fault("latency=100ms..300ms"), Ok(uniform));
        let normal = json!({"latency": {"normal": {"mean_ms": 200, "deviation_ms": 50}}});
        assert_eq!(fault("latency=200ms+-50ms"), Ok(normal));
        let flapping = json!({"flapping": {"up_ms": 400, "down_ms": 100}});
        assert_eq!(fault("flapping=400ms/100ms"), Ok(flapping));
        for bad in ["", "fire", "errors=1", "latency", "latency=often", "flapping=1s"] {
            assert!(fault(bad).is_err(), "{bad}");
        }
    }
}
