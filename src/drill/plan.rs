//! What is asked of a drill, and the run of all of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mainstay_journal::{ReadLog as _, Reader};

use super::baseline::{Baseline, Begin, Key, Source};
use super::error::DrillError;
use super::measure::{instant, ms, now};
use super::process::Setting;
use super::report::Report;
use super::scenario::Scenario;
use super::scene::{Stage, play};
use super::scratch::{Scratch, check_room};
use crate::backup::{BackupError, Pieces, Target};
use crate::config::{Config, Span};

/// What is asked for.
#[derive(Debug)]
pub struct Plan {
    /// The program that serves.
    pub program: PathBuf,
    /// How the copies are served: its journal, limits and dependencies; nothing else of it counts.
    pub config: Config,
    /// The live data, which is read.
    pub data: Option<PathBuf>,
    /// The real backups; none: one of the live data is made.
    pub from: Option<Source>,
    /// Which scenarios, in this order.
    pub scenarios: Vec<Scenario>,
    /// How long recovery may take.
    pub rto: Span,
    /// How much may be lost.
    pub rpo: Span,
    /// Where the scratch directory is made.
    pub beside: PathBuf,
    /// The scratch directory stays.
    pub keep: bool,
}

/// Who looks on: is told what is being done, and may stop it.
pub struct Watch<'w> {
    /// Set, it ends at the next step.
    pub stop: &'w AtomicBool,
    /// Is told each step.
    pub tell: &'w dyn Fn(&str),
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("stop", self.stop).finish_non_exhaustive()
    }
}

impl Watch<'_> {
    /// Goes on, unless somebody asked it to stop.
    pub(super) fn check(&self) -> Result<(), DrillError> {
        if self.stop.load(Ordering::Relaxed) { Err(DrillError::Stopped) } else { Ok(()) }
    }

    pub(super) fn tell(&self, what: &str) {
        (self.tell)(what);
    }
}

/// Runs a drill. Whatever it makes lies in a directory of its own, which goes with it.
///
/// # Errors
/// See [`DrillError`]; what goes wrong after a disaster is in the report.
pub fn run(plan: &Plan, watch: &Watch<'_>) -> Result<Report, DrillError> {
    let (at, began) = (now(), instant());
    let reading = plan.config.journal.reading();
    let reading = reading.map_err(|error| BackupError::Usage(error.to_string()))?;
    let live = plan.data.as_ref().map(|data| Reader::open_with(data, reading)).transpose()?;
    check_room(&plan.beside, size_bytes(plan, live.as_ref())?)?;
    let scratch = Scratch::make(&plan.beside, plan.keep)?;
    let key = Key::make()?;
    let setting = Setting { program: plan.program.clone(), config: plan.config.clone() };
    let begin = match (&plan.from, plan.data.as_deref().zip(live.as_ref())) {
        (Some(source), _) => Begin::with(source)?,
        (None, Some(live)) => Begin::take(live, &scratch, &key, watch)?,
        (None, None) => {
            let reason = "name the live data, or backups and their key";
            return Err(BackupError::Usage(reason.to_owned()).into());
        },
    };
    let mut baseline = None;
    let mut scenarios = Vec::new();
    for scenario in &plan.scenarios {
        watch.check()?;
        let folder = scratch.folder(scenario.name())?;
        let stage = Stage {
            folder: folder.clone(),
            setting: &setting,
            begin: &begin,
            key: &key,
            live: live.as_ref(),
            targets: (plan.rto, plan.rpo),
            watch,
        };
        let (outcome, restored) = play(&stage, *scenario)?;
        baseline.get_or_insert_with(|| Baseline {
            of: shown(plan, &begin),
            is_real: plan.from.is_some(),
            position: restored.fork.position,
            recorded_at: restored.recorded_at,
            size_bytes: restored.size_bytes,
            took_ms: begin.took_ms,
        });
        scenarios.push(outcome);
        if !scratch.is_kept() {
            clear(&folder)?;
        }
    }
    let kept = scratch.is_kept().then(|| scratch.path().to_owned());
    let took_ms = ms(began.elapsed());
    Ok(Report::of(at, took_ms, baseline, (plan.rto, plan.rpo), scenarios, kept))
}

/// Objects are compressed: their blocks are about so many times as large.
const UNPACKED: u64 = 3;

/// How large the journal's segments are, about.
fn size_bytes(plan: &Plan, live: Option<&Reader>) -> Result<u64, DrillError> {
    let Some(source) = &plan.from else {
        return Ok(live.map_or(0, |live| live.status().size_bytes));
    };
    let pieces = Pieces::list(&Target::open(&source.place, false)?)?;
    let packed: u64 = pieces.iter().map(|piece| piece.size_bytes).sum();
    Ok(packed.saturating_mul(UNPACKED))
}

/// What it begins with, as it may be shown.
fn shown(plan: &Plan, begin: &Begin<'_>) -> String {
    match (&plan.from, &plan.data) {
        (None, Some(data)) => data.display().to_string(),
        _ => begin.target.shown().to_owned(),
    }
}

/// A disk need not hold the copies of all scenarios at once.
fn clear(folder: &Path) -> Result<(), DrillError> {
    let doing = format!("remove {}", folder.display());
    std::fs::remove_dir_all(folder).map_err(DrillError::here(doing))
}
