//! `mainstay keys`: who may come in. On a running server, or on the data directory of one that is
//! not running: the first key of a server that is to be reached from elsewhere.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

mod office;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use self::office::Office;
use super::exit::Failed;
use super::paper::Paper;
use super::table::{lines, table, text};
use crate::config::Span;

/// Make, rotate, revoke and list access keys
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key; it is shown once
    Create(Create),
    /// List all keys, without secrets
    List(List),
    /// Give a key another secret; the older ones are taken for a while, too
    Rotate(Rotate),
    /// Take a key back, for good
    Revoke(Revoke),
}

/// Where the keys are.
#[derive(Debug, Args)]
struct Where {
    /// Data directory of a server that is not running
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    #[command(flatten)]
    key: super::AtRest,
    /// A running server; the variable `MAINSTAY_KEY_FILE` names the file with an admin's key
    #[arg(long, value_name = "URL", env = "MAINSTAY_SERVER", default_value_t = super::default_server())]
    server: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Create {
    /// Its name, for good: 1 to 64 letters, digits, `.` and `-`
    name: String,
    /// What its holder may do
    #[arg(long)]
    role: RoleName,
    /// Whose sessions and locks it reaches; everybody's if absent
    #[arg(long)]
    tenant: Option<String>,
    /// How long it is taken: 90d; until it is revoked if absent
    #[arg(long, value_name = "DURATION")]
    life: Option<Span>,
    /// Write the key to a new file that only its owner can read, and not to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
struct Rotate {
    /// Which key
    name: String,
    /// How long the older secrets are taken, too; 0s ends them at once
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    overlap: Span,
    /// Say what would end when, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the key to a new file that only its owner can read, and not to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Which key
    name: String,
    /// Why; it is journaled
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    at: Where,
}

/// Each role may do what those before it may.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Reads
    Viewer,
    /// Commands dependencies, locks and sessions
    Operator,
    /// Approves: takes leases away
    Supervisor,
    /// Makes keys
    Admin,
}

impl RoleName {
    const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
        }
    }
}

impl Keys {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.verb {
            Verb::Create(verb) => verb.run(),
            Verb::List(verb) => verb.run(),
            Verb::Rotate(verb) => verb.run(),
            Verb::Revoke(verb) => verb.run(),
        }
    }
}

impl Create {
    fn run(self) -> Result<ExitCode, Failed> {
        let paper = self.out.map(|out| Paper::new("--out", out)).transpose()?;
        let mut body = json!({ "name": self.name, "role": self.role.name() });
        if let Some(tenant) = &self.tenant {
            body["tenant"] = json!(tenant);
        }
        if let Some(life) = self.life {
            body["life_ms"] = json!(life.as_ms());
        }
        let made = Office::open(&self.at)?.create(&self.name, &body)?;
        give(&made, paper, self.at.json)
    }
}

impl List {
    fn run(self) -> Result<ExitCode, Failed> {
        let keys = Office::open(&self.at)?.list()?;
        let mut stdout = io::stdout().lock();
        if self.at.json {
            writeln!(stdout, "{keys}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = table(&["key", "role", "tenant", "newest secret", "good secrets", "state"]);
        for key in keys["keys"].as_array().into_iter().flatten() {
            let tenant = key["tenant"].as_str().unwrap_or("all");
            let good = key["secrets"].as_array().map_or(0, Vec::len).to_string();
            let (name, role, rotated) =
                (text(&key["name"]), text(&key["role"]), &key["rotated_at"]);
            rows.add_row([name, role, tenant.to_owned(), text(rotated), good, state(key)]);
        }
        if rows.row_count() == 0 {
            writeln!(stdout, "no keys: `mainstay keys create NAME --role admin` makes one")?;
        } else {
            write!(stdout, "{}", lines(&rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn state(key: &Value) -> String {
    if let Some(at) = key["revoked_at"].as_str() {
        return format!("revoked {at}");
    }
    match key["expires_at"].as_str() {
        Some(at) => format!("until {at}"),
        None => "good".to_owned(),
    }
}

impl Rotate {
    fn run(self) -> Result<ExitCode, Failed> {
        if self.dry_run {
            return self.try_out();
        }
        let paper = self.out.map(|out| Paper::new("--out", out)).transpose()?;
        let made = Office::open(&self.at)?.rotate(&self.name, self.overlap)?;
        give(&made, paper, self.at.json)
    }

    fn try_out(&self) -> Result<ExitCode, Failed> {
        let key = Office::open(&self.at)?.show(&self.name)?;
        if key["revoked_at"].is_string() {
            return Err(Failed::work("the key was revoked; make another"));
        }
        let secrets = key["secrets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut stdout = io::stdout().lock();
        if self.at.json {
            let ends: Vec<&Value> = secrets.iter().map(|it| &it["fingerprint"]).collect();
            let told =
                json!({ "name": self.name, "overlap_ms": self.overlap.as_ms(), "ends": ends });
            writeln!(stdout, "{told}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let overlap = self.overlap;
        writeln!(stdout, "{} would get another secret; of those it has", self.name)?;
        for secret in secrets {
            let fingerprint = text(&secret["fingerprint"]);
            match secret["until"].as_str() {
                Some(until) => writeln!(
                    stdout,
                    "  {fingerprint} ends at {until} or after {overlap}, what is sooner"
                )?,
                None => writeln!(stdout, "  {fingerprint} ends after {overlap}")?,
            }
        }
        writeln!(stdout, "nothing was changed")?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    fn run(self) -> Result<ExitCode, Failed> {
        let key = Office::open(&self.at)?.revoke(&self.name, &self.reason)?;
        let mut stdout = io::stdout().lock();
        if self.at.json {
            writeln!(stdout, "{key}")?;
        } else {
            writeln!(stdout, "{} is revoked since {}", self.name, text(&key["revoked_at"]))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows a new key, or writes it down.
fn give(made: &Value, paper: Option<Paper>, as_json: bool) -> Result<ExitCode, Failed> {
    let key = made["key"].as_str().unwrap_or_default();
    let mut stdout = io::stdout().lock();
    let Some(mut paper) = paper else {
        if as_json {
            writeln!(stdout, "{made}")?;
        } else {
            writeln!(stdout, "{key}")?;
            drop(writeln!(
                io::stderr(),
                "this is shown once; keep it in a file that only its reader can read"
            ));
        }
        return Ok(ExitCode::SUCCESS);
    };
    paper.write(&format!("{key}\n"))?;
    if as_json {
        let mut told = made.clone();
        told["key"] = json!(null);
        writeln!(stdout, "{told}")?;
    } else {
        writeln!(stdout, "the key {} is in {}", text(&made["name"]), paper.path().display())?;
    }
    Ok(ExitCode::SUCCESS)
}
