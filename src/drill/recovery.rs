//! How a victim comes back: started again, healed, or restored from what was shipped.

use std::fs;
use std::path::{Path, PathBuf};

use mainstay_actors::time::Timestamp;
use mainstay_actors::world::World;
use mainstay_journal::plant::Until;
use mainstay_journal::{FindingKind, Reading, Report, VerifyOptions, verify};

use super::baseline::restore;
use super::disaster;
use super::error::DrillError;
use super::measure::Phases;
use super::process::Process;
use super::scenario::Scenario;
use super::scene::Stage;
use crate::backup::Target;
use crate::event::fold;

/// A server that runs again.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) server: Process,
    /// Its directory.
    pub(super) data: PathBuf,
    /// What the journal was when the disaster came.
    pub(super) evidence: PathBuf,
    /// Where the restored journal ends, if there was a restore.
    pub(super) fork: Option<u64>,
    /// How, in words.
    pub(super) how: String,
}

/// Lets the disaster happen to a running server, and brings it back. `mark` is the time to restore to.
pub(super) fn overcome(
    stage: &Stage<'_>,
    scenario: Scenario,
    server: Process,
    mark: Option<Timestamp>,
    phases: &mut Phases,
) -> Result<Recovered, DrillError> {
    phases.disaster();
    let (victim, evidence) = (stage.victim(), stage.folder.join("evidence"));
    match scenario {
        Scenario::BadRelease => {
            let stopped = phases.run("stop the release", || server.stop());
            stopped.map_err(DrillError::Server)?;
        },
        _ => phases.run("kill", || server.kill()),
    }
    let here = |doing: &'static str| DrillError::here(doing);
    match scenario {
        Scenario::ProcessKill => {
            keep(&victim, &evidence, phases)?;
            again(stage, victim, evidence, "started again on its directory", phases)
        },
        Scenario::StoreCorruption => {
            keep(&victim, &evidence, phases)?;
            let flipped = phases.run("damage the store", || disaster::damage_store(&victim));
            let flipped = flipped.map_err(here("damage the store"))?;
            let how = format!("started again; {flipped} bits of its store were flipped");
            again(stage, victim, evidence, &how, phases)
        },
        Scenario::SegmentCorruption => {
            keep(&victim, &evidence, phases)?;
            let damage = phases.run("damage a segment", || disaster::damage_segment(&victim));
            let (path, at) = damage.map_err(here("damage a segment"))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            heal(stage, (victim, evidence), &format!("byte {at} of {name}"), phases)
        },
        Scenario::DiskLoss | Scenario::BadRelease => {
            let moved = phases.run("lose the directory", || fs::rename(&victim, &evidence));
            moved.map_err(here("move the directory away"))?;
            let until = mark.map_or(Until::End, |mark| Until::Time(mark.as_micros()));
            from_target(stage, evidence, until, "restored from what was shipped", phases)
        },
    }
}

fn keep(victim: &Path, evidence: &Path, phases: &mut Phases) -> Result<(), DrillError> {
    let kept = phases.run("keep what was there", || disaster::keep(victim, evidence));
    kept.map_err(DrillError::here("keep what was there"))
}

fn again(
    stage: &Stage<'_>,
    data: PathBuf,
    evidence: PathBuf,
    how: &str,
    phases: &mut Phases,
) -> Result<Recovered, DrillError> {
    let server = phases.run("start again", || stage.serve(&data))?;
    Ok(Recovered { server, data, evidence, fork: None, how: how.to_owned() })
}

/// Started again if that heals it, else healed from the store, else restored.
fn heal(
    stage: &Stage<'_>,
    (data, evidence): (PathBuf, PathBuf),
    what: &str,
    phases: &mut Phases,
) -> Result<Recovered, DrillError> {
    match phases.run("start again", || stage.serve(&data)) {
        Ok(server) => {
            let how = format!("{what} was flipped; the start healed it from the store");
            return Ok(Recovered { server, data, evidence, fork: None, how });
        },
        // It refuses to serve what is damaged.
        Err(DrillError::Server(_)) => {},
        Err(other) => return Err(other),
    }
    let reading = stage.reading()?;
    let healed = phases.run("verify --repair", || checked(&data, &reading, true));
    if healed.is_ok_and(|report| open(&report).next().is_none()) {
        let how = format!("{what} was flipped; `verify --repair` healed it from the store");
        return again(stage, data, evidence, &how, phases);
    }
    let lost = data.with_file_name("damaged");
    fs::rename(&data, lost).map_err(DrillError::here("move the directory away"))?;
    let how = format!("{what} was flipped, and not in the store; restored from what was shipped");
    from_target(stage, evidence, Until::End, &how, phases)
}

fn from_target(
    stage: &Stage<'_>,
    evidence: PathBuf,
    until: Until,
    how: &str,
    phases: &mut Phases,
) -> Result<Recovered, DrillError> {
    let data = stage.folder.join("recovered");
    let restored = phases.run("restore", || {
        let target = Target::open(&stage.shipped_to(), false)?;
        restore((&target, &stage.key.identities), &data, stage.journal(), until)
    })?;
    let server = phases.run("start", || stage.serve(&data))?;
    let fork = Some(restored.fork.position);
    Ok(Recovered { server, data, evidence, fork, how: how.to_owned() })
}

/// Both copies of a stopped server's journal, and the meaning of every event.
pub(super) fn checked(data: &Path, reading: &Reading, repair: bool) -> Result<Report, String> {
    let Reading { keyring, archive, disk } = reading.clone();
    let options = VerifyOptions { repair, segments_only: false, keyring, archive, disk };
    let mut world = World::default();
    let mut meaning = |record: mainstay_journal::RecordRef<'_>| fold(&mut world, &record);
    let report = verify(data, &options, &mut |_, _| {}, &mut meaning);
    report.map_err(|error| error.to_string())
}

/// What is wrong and was not healed.
pub(super) fn open(report: &Report) -> impl Iterator<Item = String> {
    let wrong = report.findings.iter();
    let wrong = wrong.filter(|it| !it.repaired && it.kind != FindingKind::TornTail);
    wrong.map(|it| format!("position {}: {}", it.position, it.text))
}
