//! `mainstay drill`: a disaster on a copy, recovered from and measured.

mod record;
mod stop;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(super) use self::stop::Stop;
use super::backup::{Opening, place};
use super::exit::Failed;
use super::table::{lines, table};
use super::{AtRest, DEFAULT_DATA, EXIT_CODES};
use crate::backup::Target;
use crate::config::{Config, Span};
use crate::drill::{DrillError, Plan, Report, Scenario, Source, Watch, run};

/// Practise a disaster on a copy, and measure the recovery
///
/// A copy of the data is restored into a scratch directory and served by a real server, clients write
/// to it, the disaster happens, and it is recovered: each phase is timed, what was acknowledged is
/// looked for, and the state of every entity is compared. The live data is read and never written;
/// also beside its running server. Exits 1 if a target is missed or anything differs.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Drill {
    /// process-kill, disk-loss, store-corruption, segment-corruption, bad-release; as often as needed
    /// [default: all]
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Live data directory: copied, and compared with [default: ./mainstay-data, unless --from]
    #[arg(long, value_name = "DIR", env = "MAINSTAY__SERVER__DATA")]
    data: Option<PathBuf>,
    /// Begin with the real backups there: a directory or a bucket, as in [backup]; needs their key
    #[arg(long, value_name = "TARGET")]
    from: Option<String>,
    #[command(flatten)]
    opening: Opening,
    /// File with the bucket's credentials: the access key's id and its secret, a line each
    #[arg(long, value_name = "FILE", env = "MAINSTAY__BACKUP__SECRET_FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    at_rest: AtRest,
    /// Record the outcome through this running server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Record nothing in the journal
    #[arg(long, conflicts_with = "server")]
    no_record: bool,
    /// How long recovery may take [default: drill.rto, 10m]
    #[arg(long, value_name = "DURATION")]
    rto: Option<Span>,
    /// How much may be lost, where something may [default: drill.rpo, 15m]
    #[arg(long, value_name = "DURATION")]
    rpo: Option<Span>,
    /// Leave report.json, report.md and report.html there; the copies are made beside it
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Keep the copies, which hold keys of subjects in the plain, and say where they are
    #[arg(long)]
    keep: bool,
    /// Configuration file: its dependencies, limits and targets
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave the processor to others
    #[arg(long, hide = true)]
    low_priority: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Drill {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.low_priority {
            // Where it may not, it runs as others do.
            let _ = rustix::process::nice(10);
        }
        let config = super::configuration(self.config.as_ref())?;
        let plan = self.plan(config)?;
        let stop = Stop::listen()?;
        let bar = spinner();
        let tell = |what: &str| bar.set_message(what.to_owned());
        let report = run(&plan, &Watch { stop: stop.flag(), tell: &tell })?;
        bar.finish_and_clear();
        if let Some(directory) = &self.report {
            let failed = |error: io::Error| {
                Failed::work(format!("write the report into {}: {error}", directory.display()))
            };
            report.write(directory).map_err(failed)?;
        }
        self.tell(&report)?;
        if !self.no_record {
            self.record(&plan, &report)?;
        }
        Ok(if report.good { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn plan(&self, mut config: Config) -> Result<Plan, Failed> {
        let from = self.from.as_deref().map(|from| {
            let secret = self.secret_file.as_deref().or(config.backup.secret_file.as_deref());
            let place = place(from, secret)?;
            let identities = self.opening.needed(&Target::open(&place, false)?)?;
            Ok::<_, Failed>(Source { place, identities })
        });
        let from = from.transpose()?;
        let configured = || self.config.as_ref().map(|_| config.server.data.clone());
        let default =
            || from.is_none().then(|| configured().unwrap_or_else(|| DEFAULT_DATA.into()));
        let data = self.data.clone().or_else(default);
        let own = self.at_rest.config();
        config.journal.key_file = own.key_file.or(config.journal.key_file);
        config.journal.archive = own.archive.or(config.journal.archive);
        config.journal.reading().map_err(|error| Failed::usage(error.to_string()))?;
        // The servers of the drill run elsewhere.
        for path in
            [&mut config.journal.key_file, &mut config.journal.archive].into_iter().flatten()
        {
            *path = path.canonicalize().unwrap_or_else(|_| path.clone());
        }
        let program = std::env::current_exe()
            .map_err(|error| Failed::work(format!("find this program: {error}")))?;
        let scenarios = match &*self.scenario {
            [] => Scenario::ALL.to_vec(),
            named => named.to_vec(),
        };
        Ok(Plan {
            program,
            data,
            from,
            scenarios,
            rto: self.rto.unwrap_or(config.drill.rto),
            rpo: self.rpo.unwrap_or(config.drill.rpo),
            beside: beside(self.report.as_deref()),
            keep: self.keep,
            config,
        })
    }

    fn tell(&self, report: &Report) -> Result<(), Failed> {
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", report.json().map_err(Failed::work)?)?;
            return Ok(());
        }
        let mut table = table(&["scenario", "", "RTO", "RPO", "lost", "compared", "recovery"]);
        for it in &report.scenarios {
            let compared = it.comparison.as_ref().map_or(0, |it| it.compared);
            table.add_row([
                it.scenario.to_string(),
                (if it.good { "good" } else { "NOT GOOD" }).to_owned(),
                Span::from_ms(it.rto_ms).to_string(),
                Span::from_ms(it.rpo_ms).to_string(),
                format!("{} of {}", it.lost_events, it.acknowledged),
                compared.to_string(),
                it.how.clone(),
            ]);
        }
        write!(stdout, "{}", lines(&table))?;
        for it in &report.scenarios {
            for finding in &it.findings {
                writeln!(stdout, "{}: {finding}", it.scenario)?;
            }
        }
        if let Some(directory) = &self.report {
            writeln!(io::stderr(), "the report is in {}", directory.display())?;
        }
        if let Some(kept) = &report.kept {
            writeln!(io::stderr(), "the copies are in {}: remove them", kept.display())?;
        }
        Ok(())
    }
}

/// Where the copies are made: on the disk of the report, if there is one.
fn beside(report: Option<&Path>) -> PathBuf {
    let above = report.map(|report| match report.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    });
    above.unwrap_or_else(std::env::temp_dir)
}

/// Says what is being done, on a terminal only.
fn spinner() -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::with_draw_target(None, target).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

impl From<DrillError> for Failed {
    fn from(error: DrillError) -> Self {
        match error {
            DrillError::Backup(error) => error.into(),
            DrillError::Open(error) => super::source::refusal(&error),
            DrillError::Stopped | DrillError::Server(_) | DrillError::Here { .. } => {
                Self::work(error.to_string())
            },
        }
    }
}
