//! `mainstay config`: what holds and where it came from, and the schema of the file.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::exit::Failed;
use super::table::{lines, table, text};
use crate::config::origin::keys;
use crate::config::schema;

/// Show the configuration, or its schema
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every key and what it holds
    Show(Show),
    /// The JSON Schema of the configuration file, for editors
    Schema,
}

#[derive(Debug, Args)]
struct Show {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// And where that came from: default, file and line, or variable
    #[arg(long)]
    origin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let mut stdout = io::stdout().lock();
        match self.what {
            What::Show(show) => write!(stdout, "{}", show.shown()?)?,
            What::Schema => writeln!(stdout, "{:#}", schema())?,
        }
        stdout.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn shown(&self) -> Result<String, Failed> {
        let keys = keys(self.config.as_deref()).map_err(|e| Failed::usage(e.to_string()))?;
        if self.json {
            let json = serde_json::to_string(&keys);
            return json.map(|it| it + "\n").map_err(|error| Failed::work(error.to_string()));
        }
        let mut rows =
            table(if self.origin { &["key", "value", "from"] } else { &["key", "value"] });
        for key in keys {
            let value = if key.value == Value::Null { "none".to_owned() } else { text(&key.value) };
            let mut row = vec![key.key, value];
            if self.origin {
                row.push(key.origin);
            }
            rows.add_row(row);
        }
        Ok(lines(&rows))
    }
}
