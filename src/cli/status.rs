//! `mainstay status`: health, dependencies and journal of a running server.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::exit::Failed;
use super::online::Online;
use super::table::{lines, table, text};

/// Show health, dependencies and journal of a running server
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The server's URL
    #[arg(long, value_name = "URL", env = "MAINSTAY_SERVER", default_value_t = super::default_server())]
    server: String,
    /// Not its way: told in the error.
    #[arg(long, hide = true)]
    data: Option<std::path::PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Go on until interrupted
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.data.is_some() {
            let text = "status asks a running server: name it with --server; what a data directory \
                        holds is shown by `mainstay replay --data DIR`";
            return Err(Failed::usage(text));
        }
        let hint = "or look into its data directory with `mainstay replay --data DIR`";
        let online = Online::new(&self.server, hint)?;
        loop {
            let (_, readiness) = online.ask("/readyz", &[("verbose", "true".to_owned())])?;
            if readiness["status"] != "ready" && readiness["readiness"] != "journal_closed" {
                let detail = readiness["detail"].as_str().unwrap_or("not ready");
                return Err(Failed::unreachable(format!("{}: {detail}", self.server)));
            }
            let health = online.get("/api/v1/health", &[])?;
            let mut stdout = io::stdout().lock();
            if self.json {
                let both = json!({ "health": health, "readiness": readiness });
                writeln!(stdout, "{both}")?;
            } else {
                if self.watch {
                    // Clears the screen and goes to its top.
                    write!(stdout, "\x1b[2J\x1b[H")?;
                }
                write!(stdout, "{}", shown(&health, &readiness))?;
            }
            stdout.flush()?;
            if !self.watch {
                return Ok(ExitCode::SUCCESS);
            }
            std::thread::sleep(super::serve::WATCH);
        }
    }
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "unknown".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

fn shown(health: &Value, readiness: &Value) -> String {
    let since = health["since"].as_str().map_or(String::new(), |it| format!(", since {it}"));
    let mut out = format!(
        "{}  score {}, {}{since}\n\n",
        text(&health["level"]),
        text(&health["score"]),
        text(&health["cause"]),
    );
    let mut rows = table(&["dependency", "weight", "score", "state", "failures", "slow", "calls"]);
    for it in health["dependencies"].as_array().into_iter().flatten() {
        rows.add_row([
            text(&it["name"]),
            text(&it["weight"]),
            text(&it["score"]),
            text(&it["state"]),
            percent(&it["failure_rate"]),
            percent(&it["slow_rate"]),
            text(&it["calls"]),
        ]);
    }
    if rows.row_count() == 0 {
        out.push_str("no dependencies: name them in the configuration, or PUT them\n");
    } else {
        out.push_str(&lines(&rows));
    }
    out.push('\n');
    out.push_str(&journal(&readiness["journal"], &readiness["occupancy"]));
    out.push_str(&backups(&readiness["backups"]));
    for stream in health["quarantined"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "          {} crashed twice and is quarantined", text(stream));
    }
    out
}

/// How backups stand, if any are configured.
fn backups(backups: &Value) -> String {
    if backups.is_null() {
        return String::new();
    }
    let mut out = format!(
        "backups   shipped to {}, {} events behind, {} made, next {}\n",
        text(&backups["shipped"]),
        text(&backups["behind"]),
        text(&backups["made"]),
        text(&backups["due"]),
    );
    for told in ["alarm", "trouble"] {
        if let Some(reason) = backups[told].as_str() {
            let _ = writeln!(out, "          {told}: {reason}");
        }
    }
    out
}

fn journal(journal: &Value, occupancy: &Value) -> String {
    let store = match &journal["store"] {
        Value::Null => "none".to_owned(),
        store if store["rebuilding"] == true => format!("rebuilding, at {}", store["reached"]),
        store => format!("at {}", store["reached"]),
    };
    let mut out = format!(
        "journal   position {}, {} bytes in {} segments, store {store}\n",
        text(&journal["position"]),
        text(&journal["size_bytes"]),
        text(&journal["segments"]),
    );
    if let Some(reason) = journal["refusing"].as_str() {
        let _ = writeln!(out, "          refuses writes: {reason}");
    }
    let _ = write!(
        out,
        "sync      p50 {} us, p99 {} us, {} appends queued\nactors    {} sessions, {} locks ({} \
         held), {} dependencies\n",
        text(&journal["sync_p50_us"]),
        text(&journal["sync_p99_us"]),
        text(&journal["queued"]),
        text(&occupancy["sessions"]),
        text(&occupancy["locks"]),
        text(&occupancy["held_locks"]),
        text(&occupancy["dependencies"])
    );
    let limits = &occupancy["limits"];
    let _ = writeln!(
        out,
        "bounds    {} of {} in memory, {} let go, {} deadlines, {} of {} recovering, {} of {} in \
         flight",
        text(&occupancy["residents"]),
        text(&limits["residents"]),
        text(&occupancy["passivated"]),
        text(&occupancy["timers"]),
        text(&occupancy["recovering"]),
        text(&limits["recovery_permits"]),
        text(&occupancy["in_flight"]),
        text(&limits["in_flight"])
    );
    out
}
