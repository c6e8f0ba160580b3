//! `mainstay verify`: both copies, the chain, and the meaning of every event; or a proof file.

mod dropped;
mod held;
mod proof;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use mainstay_actors::world::World;
use mainstay_journal::{Finding, Reading, Report, VerifyOptions, verify};
use serde_json::{Value, json};

use self::dropped::Vouched;
use self::held::{Checkpoints, Held};
use super::exit::Failed;
use super::source::{progress, refusal, telling};
use super::{DataArgs, EXIT_CODES};
use crate::event::fold;

/// Check both copies of a journal, its chain and the meaning of every event
///
/// Beside a running server only the segments are checked, and the report says so. All findings
/// are reported; --repair heals one copy from the other and needs the server to be stopped.
/// With --proof a proof file is checked instead, and no journal is read.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Verify {
    #[command(flatten)]
    data: DataArgs,
    /// Not its way: told in the error.
    #[arg(long, hide = true)]
    server: Option<String>,
    #[command(flatten)]
    at_rest: super::AtRest,
    /// Heal the bad copy from the good one
    #[arg(long)]
    repair: bool,
    /// Leave the store alone
    #[arg(long, conflicts_with = "repair")]
    segments_only: bool,
    /// Hold the journal against checkpoints that were kept elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    checkpoint: Option<PathBuf>,
    /// Check this proof file and nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repair", "segments_only"])]
    proof: Option<PathBuf>,
    /// The public key that must have signed, or a file of such keys [default: the journal's keyring;
    /// of a proof file its own keys]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
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
        if let Some(path) = &self.proof {
            return proof::check(path, self.key.as_deref(), self.json);
        }
        if self.key.is_some() && self.checkpoint.is_none() {
            let text =
                "--key goes with --proof or --checkpoint: a journal alone is signed by nobody";
            return Err(Failed::usage(text));
        }
        let reading = self.at_rest.reading()?;
        let (key, data) = (self.key.as_deref(), &self.data.data);
        let held = self.checkpoint.as_ref().map(|path| Held::read(path, key, data, &reading));
        let mut held = held.transpose()?;
        let Self { repair, segments_only, .. } = self;
        let Reading { keyring, archive, disk } = reading.clone();
        let options = VerifyOptions { repair, segments_only, keyring, archive, disk };
        let bar = progress("verifying", 0);
        let mut tell = telling(&bar);
        let mut world = World::default();
        let mut vouched = Vouched::read(data, &reading)?;
        let mut meaning = |record: mainstay_journal::RecordRef<'_>| {
            if let Some(held) = &mut held {
                held.take(&record);
            }
            vouched.take(&record, &mut world)?;
            fold(&mut world, &record)
        };
        let mut report = verify(&self.data.data, &options, &mut tell, &mut meaning)
            .map_err(|error| refusal(&error))?;
        bar.finish_and_clear();
        vouched.end(data, &mut report);
        let holds = held.as_ref().map(|held| held.end(report.head.position)).transpose();
        let checkpoints = holds.as_ref().copied().unwrap_or_default();
        let written = self.write(&report, checkpoints);
        // More than a finding: it is told last.
        holds?;
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

    fn write(&self, report: &Report, checkpoints: Option<Checkpoints>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", document(report, checkpoints))?;
        } else {
            write!(stdout, "{}", shown(report, &self.data.data))?;
            if let Some(Checkpoints { hold, unchecked }) = checkpoints {
                let away = match unchecked {
                    0 => String::new(),
                    _ => format!(", of dropped months and not checked: {unchecked}"),
                };
                writeln!(stdout, "checkpoints that hold: {hold}{away}")?;
            }
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
    let archive = match (report.dropped, report.archive_checked) {
        (0, _) => String::new(),
        (dropped, true) => format!(", events to {dropped} in the archive"),
        (dropped, false) => format!(", without the archive of events to {dropped}"),
    };
    let _ = writeln!(
        out,
        "{} events in {} blocks and {} segments up to {}: {store}{archive}, {} findings",
        report.records,
        report.blocks,
        report.segments,
        report.head,
        report.findings.len()
    );
    out
}

fn document(report: &Report, checkpoints: Option<Checkpoints>) -> Value {
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
        "dropped": report.dropped,
        "archive_checked": report.archive_checked,
        "checkpoints": checkpoints.map(|it| it.hold),
        "checkpoints_unchecked": checkpoints.map(|it| it.unchecked),
        "findings": findings.collect::<Vec<_>>(),
    })
}
