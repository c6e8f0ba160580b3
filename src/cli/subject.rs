//! `mainstay subject`: what is held about somebody, and how they are forgotten; on a running server,
//! for the keys are its own.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::Failed;
use super::online::{Online, path};
use super::paper::Paper;
use super::table::text;

/// Export or erase everything about somebody
#[derive(Debug, Args)]
pub(super) struct Subject {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print everything about a subject as one JSON document; that it was read is journaled
    Export(Export),
    /// Forget a subject, for good: its key is destroyed, its sessions end
    Erase(Erase),
}

/// Whom, and where.
#[derive(Debug, Args)]
struct Whom {
    /// The subject, as its sessions name it
    subject: String,
    /// Whose it is; the key's own tenant, or `default`, if absent
    #[arg(long)]
    tenant: Option<String>,
    /// A running server; the variable `MAINSTAY_KEY_FILE` names the file with an admin's key
    #[arg(long, value_name = "URL", env = "MAINSTAY_SERVER", default_value_t = super::default_server())]
    server: String,
}

#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    whom: Whom,
    /// Write the document to a new file that only its owner can read, and not to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Erase {
    #[command(flatten)]
    whom: Whom,
    /// Do it: nothing brings the values back
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Say what would be forgotten, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Subject {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.verb {
            Verb::Export(verb) => verb.run(),
            Verb::Erase(verb) => verb.run(),
        }
    }
}

impl Whom {
    fn online(&self) -> Result<Online, Failed> {
        let offline = "or wait: only a running server has the keys of subjects";
        Online::new(&self.server, offline)
    }

    /// `/api/v1/subjects/{subject}{rest}`.
    fn path(&self, rest: &str) -> String {
        // A subject may hold slashes, and a path may not.
        format!("/api/v1/subjects/{}{rest}", path(&self.subject).replace('/', "%2F"))
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        self.tenant.iter().map(|tenant| ("tenant", tenant.clone())).collect()
    }
}

impl Export {
    fn run(self) -> Result<ExitCode, Failed> {
        let paper = self.out.map(|out| Paper::new("--out", out)).transpose()?;
        let document = self.whom.online()?.get(&self.whom.path("/export"), &self.whom.query())?;
        let whole = format!("{document:#}\n");
        let mut stdout = io::stdout().lock();
        let Some(mut paper) = paper else {
            stdout.write_all(whole.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        };
        paper.write(&whole)?;
        let sessions = document["data"]["sessions"].as_array().map_or(0, Vec::len);
        let events = document["history"].as_array().map_or(0, Vec::len);
        let file = paper.path().display();
        writeln!(stdout, "{sessions} live sessions and {events} events are in {file}")?;
        if document["truncated"].as_object().is_some_and(|it| it.values().any(|it| *it == true)) {
            writeln!(stdout, "there is more than a document holds: see `truncated` in it")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Erase {
    fn run(self) -> Result<ExitCode, Failed> {
        if self.dry_run {
            return self.try_out();
        }
        if !self.yes {
            return Err(Failed::usage(
                "an erasure cannot be taken back: see with --dry-run what it would forget, then say --yes",
            ));
        }
        let erased = self.whom.online()?.delete(&self.whom.path(""), &self.whom.query())?;
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{erased}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let (subject, tenant) = (text(&erased["subject"]), text(&erased["tenant"]));
        let at = text(&erased["erased_at"]);
        match erased["sessions_ended"].as_u64() {
            Some(ended) => {
                writeln!(
                    stdout,
                    "{subject} of {tenant} was erased at {at}; live sessions that ended: {ended}"
                )?;
            },
            None => writeln!(
                stdout,
                "{subject} of {tenant} is erased since {at}; its sessions are still ending"
            )?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn try_out(&self) -> Result<ExitCode, Failed> {
        let online = self.whom.online()?;
        let decided = online.get(&self.whom.path("/consents"), &self.whom.query())?;
        let (tenant, subject) = (text(&decided["tenant"]), text(&decided["subject"]));
        let consents = decided["consents"].as_object().map_or(0, serde_json::Map::len);
        let sessions = self.live_sessions(&online, &tenant)?;
        let hold = hold(&online, &tenant, &subject)?;
        let mut stdout = io::stdout().lock();
        if self.json {
            let told = json!({
                "tenant": tenant, "subject": subject, "live_sessions": sessions,
                "consents": consents, "hold": hold,
            });
            writeln!(stdout, "{told}")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(stdout, "{subject} of {tenant} would be erased")?;
        writeln!(stdout, "  live sessions that would end: {sessions}")?;
        writeln!(stdout, "  consents that would be forgotten: {consents}")?;
        if let Some(reason) = hold["reason"].as_str() {
            writeln!(stdout, "  but it is held, and an erasure is refused: {reason}")?;
        }
        writeln!(stdout, "nothing was changed")?;
        Ok(ExitCode::SUCCESS)
    }

    fn live_sessions(&self, online: &Online, tenant: &str) -> Result<usize, Failed> {
        let mut query = vec![
            ("subject", self.whom.subject.clone()),
            ("tenant", tenant.to_owned()),
            ("limit", "1000".to_owned()),
        ];
        let mut found = 0;
        loop {
            let page = online.get("/api/v1/sessions", &query)?;
            found += page["sessions"].as_array().map_or(0, Vec::len);
            let Some(next) = page["next"].as_str() else { return Ok(found) };
            query.truncate(3);
            query.push(("before", next.to_owned()));
        }
    }
}

/// The hold on a subject; null if there is none.
fn hold(online: &Online, tenant: &str, subject: &str) -> Result<Value, Failed> {
    let stream = format!("/api/v1/streams/subject/{}", path(&format!("{tenant}/{subject}")));
    match online.ask(&stream, &[])? {
        (200, told) => Ok(told["state"]["hold"].clone()),
        (404, _) => Ok(Value::Null),
        (status, problem) => Err(Failed::work(format!("{status}: {}", text(&problem["detail"])))),
    }
}
