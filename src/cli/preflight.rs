//! `mainstay preflight`: is everything there that a launch needs?

mod facts;
mod shown;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

pub(super) use self::facts::Places;
use super::EXIT_CODES;
use super::exit::Failed;
use crate::preflight::{Category, Filter, Report, check, find, nearest};

/// Check everything that a launch needs
///
/// 145 items in 12 categories: those that fail or are unknown are told, with what was read and what to
/// do. Nothing is written, and a server may run on the data directory; name it with --server, else
/// what only it knows is unknown. Exits with 1 unless every critical item passes.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Preflight {
    #[command(flatten)]
    places: Places,
    /// Items of this category only; may be given several times
    #[arg(long, value_name = "CATEGORY", value_parser = category)]
    category: Vec<Category>,
    /// This item only; may be given several times
    #[arg(long, value_name = "ITEM", value_parser = item)]
    only: Vec<String>,
    /// Exit with 1 unless every item passes, whatever its severity
    #[arg(long)]
    strict: bool,
    /// List the items and decide nothing
    #[arg(long, conflicts_with = "strict")]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn category(text: &str) -> Result<Category, String> {
    let named = |it: &Category| it.name() == text;
    Category::ALL.into_iter().find(named).ok_or_else(|| {
        let names = Category::ALL.map(Category::name).join(", ");
        format!("unknown category {text:?}; there are {names}")
    })
}

fn item(text: &str) -> Result<String, String> {
    match find(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("unknown item; the nearest known one is {:?}", nearest(text))),
    }
}

impl Preflight {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let filter = Filter { categories: self.category, only: self.only };
        let mut stdout = io::stdout().lock();
        if self.list {
            write!(stdout, "{}", shown::list(&filter, self.json))?;
            return Ok(ExitCode::SUCCESS);
        }
        let report = check(&self.places.gather()?, &filter);
        if self.json {
            let json = serde_json::to_string(&report);
            writeln!(stdout, "{}", json.map_err(|error| Failed::work(error.to_string()))?)?;
        } else {
            write!(stdout, "{}", shown::report(&report))?;
        }
        stdout.flush()?;
        decide(&report, self.strict)
    }
}

fn decide(report: &Report, strict: bool) -> Result<ExitCode, Failed> {
    let (missed, which) = if strict {
        (report.total.missed(), "items")
    } else {
        (report.critical.missed(), "critical items")
    };
    match missed {
        0 => Ok(ExitCode::SUCCESS),
        missed => Err(Failed::work(format!("{which} that do not pass: {missed}"))),
    }
}
