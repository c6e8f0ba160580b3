//! `mainstay attest`: vouch for what no machine can check. On a running server, or on the data directory
//! of one that is not running.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{Attestation, System, SystemCommand};
use mainstay_journal::StreamId;
use serde_json::{Value, json};

use super::exit::Failed;
use super::inside::{Inside, PRINCIPAL};
use super::online::Online;
use super::source::{now, open};
use super::table::{lines, table, text};
use crate::config::Span;
use crate::preflight::gather::vouchers;
use crate::preflight::{ATTESTATIONS, RELEASE, Voucher, all, attestable, find, may_attest};
use crate::server::vouched;

/// Vouch for what no machine can check
///
/// An attestation is journaled with who made it, expires, and is void for another release.
#[derive(Debug, Args)]
pub(super) struct Attest {
    /// Which item of the preflight
    #[arg(value_name = "ITEM", required_unless_present = "list")]
    item: Option<String>,
    /// Where the evidence is
    #[arg(long, value_name = "URL", required_unless_present_any = ["list", "withdraw"])]
    evidence: Option<String>,
    /// How long it holds: 30d; as long as the item says if absent, and never longer
    #[arg(long, value_name = "DURATION")]
    r#for: Option<Span>,
    /// Vouch for it no more
    #[arg(long, conflicts_with_all = ["evidence", "for"])]
    withdraw: bool,
    /// List what can be attested, and who vouches for it
    #[arg(long, conflicts_with_all = ["item", "evidence", "for", "withdraw"])]
    list: bool,
    /// Data directory of a server that is not running
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    #[command(flatten)]
    key: super::AtRest,
    /// A running server; the variable `MAINSTAY_KEY_FILE` names the file with a supervisor's key
    #[arg(long, value_name = "URL", env = "MAINSTAY_SERVER", default_value_t = super::default_server())]
    server: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Attest {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.list {
            return self.show();
        }
        let item = self.item.as_deref().unwrap_or_default();
        let bad = |(_, told): (&str, String)| Failed::usage(told);
        let command = if self.withdraw {
            attestable(item).map_err(bad)?;
            SystemCommand::Withdraw { item: item.to_owned() }
        } else {
            let evidence = self.evidence.clone().unwrap_or_default();
            let asked = self.r#for.map(Span::as_ms);
            let for_ms = may_attest(item, &evidence, asked).map_err(bad)?;
            let (item, release) = (item.to_owned(), RELEASE.to_owned());
            SystemCommand::Attest { item, evidence, release, for_ms }
        };
        let stands = match &self.data {
            Some(data) => self.offline(data, item, command)?,
            None => self.online()?.post(ROUTE, &body(command))?,
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{stands}")?;
        } else if let Some(until) = stands["attestation"]["until"].as_str() {
            writeln!(stdout, "{item} is attested for release {RELEASE} until {until}")?;
        } else {
            writeln!(stdout, "{item} is attested no more")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn online(&self) -> Result<Online, Failed> {
        let hint = "or attest in the data directory of a stopped one with --data";
        Online::new(&self.server, hint)
    }

    fn offline(
        &self,
        data: &std::path::Path,
        item: &str,
        command: SystemCommand,
    ) -> Result<Value, Failed> {
        let instead = "while a server runs on it, ask that one with --server";
        let inside = Inside::open(data, self.key.config(), instead)?;
        let none = || Failed::work("there is no stream of attestations");
        let stream = StreamId::new(System::KIND, ATTESTATIONS).ok_or_else(none)?;
        let mut state = inside.ask::<System>(stream, command)?.0;
        let voucher = state.attestations.remove(item).map(|it| {
            let Attestation { evidence, release, at, until } = it;
            Voucher { evidence, release, by: Some(PRINCIPAL.to_owned()), at, until }
        });
        Ok(json!(find(item).and_then(|item| vouched(item, voucher, now()))))
    }

    fn show(&self) -> Result<ExitCode, Failed> {
        let all = match &self.data {
            None => self.online()?.get(ROUTE, &[])?,
            Some(data) => {
                let mut vouchers = vouchers(&open(data, &self.key.reading()?)?)?;
                let items = all().map(|(_, item)| item);
                let stands = items.filter_map(|it| vouched(it, vouchers.remove(it.id), now()));
                json!({ "release": RELEASE, "attestations": stands.collect::<Vec<_>>() })
            },
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{all}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = table(&["item", "severity", "state", "by", "evidence"]);
        for it in all["attestations"].as_array().into_iter().flatten() {
            let attestation = &it["attestation"];
            let state = match (it["void"].as_str(), attestation["until"].as_str()) {
                (Some(void), _) => void.to_owned(),
                (None, Some(until)) => format!("until {until}"),
                (None, None) => "nobody vouches for it".to_owned(),
            };
            let or_empty = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (by, evidence) = (or_empty(&attestation["by"]), or_empty(&attestation["evidence"]));
            rows.add_row([text(&it["item"]), text(&it["severity"]), state, by, evidence]);
        }
        write!(stdout, "{}", lines(&rows))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ROUTE: &str = "/api/v1/attestations";

/// What the route takes.
fn body(command: SystemCommand) -> Value {
    match command {
        SystemCommand::Attest { item, evidence, for_ms, .. } => {
            json!({ "item": item, "evidence": evidence, "for_ms": for_ms })
        },
        SystemCommand::Withdraw { item } => json!({ "item": item, "withdraw": true }),
        _ => Value::Null,
    }
}
