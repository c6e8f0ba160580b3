//! `mainstay gate launch`: go, go with caution, or no-go.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::EXIT_CODES;
use super::exit::Failed;
use super::online::Online;
use super::preflight::Places;
use super::table::{bare, lines, text};
use crate::preflight::launch;

/// Say go or no-go
#[derive(Debug, Args)]
pub(super) struct Gate {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// May it be launched?
    ///
    /// Go: every critical item of the preflight passes, 95 % of all do, the smoke and the load report
    /// are younger than 24 hours, a drill was good in the last 31 days, and there was no P0 or P1 for 7
    /// days. With 90 % it is a go with caution. With --server alone the server's own answer is told.
    Launch(Launch),
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
struct Launch {
    #[command(flatten)]
    places: Places,
    /// A go with caution is none
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Gate {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.which {
            Which::Launch(verb) => verb.run(),
        }
    }
}

impl Launch {
    fn run(self) -> Result<ExitCode, Failed> {
        let answer = match (&self.places.server, &self.places.config, &self.places.data) {
            (Some(server), None, None) => {
                let hint = "or look at its files with --config or --data";
                Online::new(server, hint)?.get("/api/v1/gate/launch", &[])?
            },
            _ => serde_json::to_value(launch(&self.places.gather()?))
                .map_err(|error| Failed::work(error.to_string()))?,
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{answer}")?;
        } else {
            write!(stdout, "{}", shown(&answer))?;
        }
        stdout.flush()?;
        end(&answer["decision"], self.strict)
    }
}

/// How it ends: a go with caution is one, unless it is asked to be strict.
fn end(decision: &Value, strict: bool) -> Result<ExitCode, Failed> {
    match decision.as_str() {
        Some("go") => Ok(ExitCode::SUCCESS),
        Some("go-with-caution") if strict => {
            Err(Failed::work("no-go: a go with caution is none with --strict"))
        },
        Some("go-with-caution") => {
            writeln!(io::stderr(), "mainstay: go with caution: look at what is missing")?;
            Ok(ExitCode::SUCCESS)
        },
        _ => Err(Failed::work("no-go")),
    }
}

fn shown(answer: &Value) -> String {
    let decision = text(&answer["decision"]).replace("go-with-caution", "go with caution");
    let (score, release) = (text(&answer["score"]), text(&answer["release"]));
    let mut out = format!("{decision}, score {score} of 100, release {release}\n");
    for reason in answer["reasons"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  {}", text(reason));
    }
    let mut rows = bare();
    for need in answer["needs"].as_array().into_iter().flatten() {
        let met = if need["met"] == true { "met" } else { "not met" };
        rows.add_row([met.to_owned(), text(&need["what"]), text(&need["evidence"])]);
    }
    out.push('\n');
    out.push_str(&lines(&rows));
    let mut rows = bare();
    for item in answer["missed"].as_array().into_iter().flatten() {
        rows.add_row(
            ["verdict", "severity", "id", "evidence", "fix"].map(|member| text(&item[member])),
        );
    }
    if rows.row_count() > 0 {
        out.push('\n');
        out.push_str(&lines(&rows));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::preflight::Decision;

    #[test]
    fn caution_is_a_go_unless_it_is_to_be_strict_and_no_go_never_is() {
        for (decision, go, strictly) in [
            (Decision::Go, true, true),
            (Decision::GoWithCaution, true, false),
            (Decision::NoGo, false, false),
        ] {
            let told = json!(decision);
            assert_eq!((end(&told, false).is_ok(), end(&told, true).is_ok()), (go, strictly));
        }
        assert!(end(&Value::Null, false).is_err());
    }
}
