//! `mainstay verify`: both copies, the chain, and the meaning of every event.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use mainstay_actors::world::World;
use mainstay_journal::{Finding, Report, VerifyOptions, verify};
use serde_json::{Value, json};

use super::exit::Failed;
use super::source::{progress, refusal};
use super::{DataArgs, EXIT_CODES};
use crate::event::fold;

/// Check both copies of a journal, its chain and the meaning of every event
///
/// Beside a running server only the segments are checked, and the report says so. All findings
/// are reported; --repair heals one copy from the other and needs the server to be stopped.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Verify {
    #[command(flatten)]
    data: DataArgs,
    /// Not its way: told in the error.
    #[arg(long, hide = true)]
    server: Option<String>,
    #[command(flatten)]
    key: super::JournalKey,
    /// Heal the bad copy from the good one
    #[arg(long)]
    repair: bool,
    /// Leave the store alone
    #[arg(long, conflicts_with = "repair")]
    segments_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.server.is_some() {
            let text = "verify reads files: name the data directory with --data, also beside its \
                        running server; how a server's journal stands is shown by `mainstay status`";
            return Err(Failed::usage(text));
        }
        let Self { repair, segments_only, .. } = self;
        let keyring = self.key.keyring()?;
        let options = VerifyOptions { repair, segments_only, keyring, ..VerifyOptions::default() };
        let bar = progress("verifying", 0);
        let mut tell = |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let mut world = World::default();
        let mut meaning = |record: mainstay_journal::RecordRef<'_>| fold(&mut world, &record);
        let report = verify(&self.data.data, &options, &mut tell, &mut meaning)
            .map_err(|error| refusal(&error))?;
        bar.finish_and_clear();
        let written = self.write(&report);
        if report.is_good() {
            return written.map(|()| ExitCode::SUCCESS).map_err(Failed::from);
        }
        // Whoever reads the report may have left: the code is of the journal.
        let open = report.findings.iter().filter(|finding| !finding.repaired).count();
        let way_out = if repair {
            "what is left cannot be healed from the other copy; restore a backup"
        } else {
            "stop the server and run `mainstay verify --repair`"
        };
        Err(Failed::integrity(format!("{open} findings; {way_out}")))
    }

    fn write(&self, report: &Report) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", document(report))?;
        } else {
            write!(stdout, "{}", shown(report, &self.data.data))?;
        }
        stdout.flush()
    }
}

fn place(finding: &Finding, data: &Path) -> String {
    let file = finding.file.strip_prefix(data).unwrap_or(&finding.file).display();
    let offset = finding.offset.map_or_else(String::new, |offset| format!(" at byte {offset}"));
    format!("position {}, {file}{offset}", finding.position)
}

fn shown(report: &Report, data: &Path) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let healed = if finding.repaired { " (repaired)" } else { "" };
        let _ =
            writeln!(out, "{:?}: {}: {}{healed}", finding.kind, place(finding, data), finding.text);
    }
    let store = if report.store_checked { "both copies" } else { "segments only" };
    let _ = writeln!(
        out,
        "{} events in {} blocks and {} segments up to {}: {store}, {} findings",
        report.records,
        report.blocks,
        report.segments,
        report.head,
        report.findings.len()
    );
    out
}

fn document(report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "kind": format!("{:?}", finding.kind),
            "file": finding.file,
            "offset": finding.offset,
            "position": finding.position,
            "text": finding.text,
            "repaired": finding.repaired,
        })
    });
    json!({
        "epoch": report.head.epoch,
        "position": report.head.position,
        "records": report.records,
        "blocks": report.blocks,
        "segments": report.segments,
        "store_checked": report.store_checked,
        "findings": findings.collect::<Vec<_>>(),
    })
}
