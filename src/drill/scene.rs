//! One scenario: restore, start, write, disaster, recovery, first write, comparison.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_actors::time::Timestamp;
use mainstay_journal::plant::Until;
use mainstay_journal::{ReadLog as _, Reader, Reading};

use super::api::Api;
use super::baseline::{Begin, Key, restore};
use super::compare::{Comparison, compare};
use super::disaster;
use super::error::DrillError;
use super::measure::{Phases, instant};
use super::outcome::Outcome;
use super::plan::Watch;
use super::process::{Process, Setting};
use super::recovery::{Recovered, checked, open, overcome};
use super::scenario::Scenario;
use super::scratch::chance;
use super::writer::{Ack, Writer};
use crate::backup::{BackupError, Pieces, Place, Restored, Target};
use crate::config::{JournalConfig, Span};

/// For how long clients write before the disaster, once everything before them was shipped.
const LOAD: Duration = Duration::from_secs(1);
/// For how long the bad release writes.
const BAD_LOAD: Duration = Duration::from_millis(400);
/// How long it may take until everything is shipped, or the store has everything.
const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(30);
/// How long a server that is ready may take to say that it is healthy.
const HEALTHY_WITHIN: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);
/// So many looks without another event, and the journal rests.
const QUIET: u32 = 5;
/// Findings of `verify` that are told.
const TOLD: usize = 10;

/// What a scenario is played with.
#[derive(Debug)]
pub(super) struct Stage<'s> {
    pub(super) folder: PathBuf,
    pub(super) setting: &'s Setting,
    pub(super) begin: &'s Begin<'s>,
    pub(super) key: &'s Key,
    pub(super) live: Option<&'s Reader>,
    pub(super) targets: (Span, Span),
    pub(super) watch: &'s Watch<'s>,
}

/// What was acknowledged, and what must be gone.
struct Written {
    /// Clients that write until the server is gone.
    writer: Option<Writer>,
    acks: Vec<Ack>,
    unwanted: Vec<Ack>,
    /// When the release came.
    mark: Option<Timestamp>,
}

impl Stage<'_> {
    /// Where the victim ships to.
    pub(super) fn shipped_to(&self) -> Place {
        Place::Directory(self.folder.join("target"))
    }

    pub(super) fn journal(&self) -> &JournalConfig {
        &self.setting.config.journal
    }

    pub(super) fn reading(&self) -> Result<Reading, DrillError> {
        let reading = self.journal().reading();
        reading.map_err(|error| BackupError::Usage(error.to_string()).into())
    }

    pub(super) fn serve(&self, data: &Path) -> Result<Process, DrillError> {
        let target = self.folder.join("target");
        self.setting.serve(data, (&target, &self.key.recipient), self.watch)
    }

    fn reader(&self, data: &Path) -> Result<Reader, DrillError> {
        Ok(Reader::open_with(data, self.reading()?)?)
    }

    /// Waits until the server does what servers do all day: what it restored is shipped and stored, and what
    /// a restore ends is written down. What is measured before that is measured of another server.
    fn rest(&self, api: &Api, target: &Target, scenario: Scenario) -> Result<bool, DrillError> {
        let (mut before, mut seen) = (0, 0);
        self.until(CAUGHT_UP_WITHIN, || {
            let Ok((head, stored)) = api.reached() else { return false };
            seen = if head == before { seen + 1 } else { 0 };
            before = head;
            let shipped = || Some(Pieces::list(target).ok()?.tip(None)?.last >= head);
            // The store is written when the journal rests.
            let written = || !scenario.needs_store() || disaster::is_stored(&self.victim());
            seen >= QUIET && stored >= head && shipped().unwrap_or_default() && written()
        })
    }

    /// The directory that the disaster comes to.
    pub(super) fn victim(&self) -> PathBuf {
        self.folder.join("victim")
    }

    /// Looks again and again until something is so, or too much time has passed.
    fn until(&self, limit: Duration, mut look: impl FnMut() -> bool) -> Result<bool, DrillError> {
        let began = instant();
        while !look() {
            self.watch.check()?;
            if began.elapsed() > limit {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
        Ok(true)
    }
}

/// Plays it. What goes wrong after the disaster is a finding.
pub(super) fn play(
    stage: &Stage<'_>,
    scenario: Scenario,
) -> Result<(Outcome, Restored), DrillError> {
    let mut outcome = Outcome::begin(scenario, stage.targets);
    let mut phases = Phases::begin();
    let told = |what: &str| stage.watch.tell(&format!("{scenario}: {what}"));
    told("restoring the baseline");
    let victim = stage.victim();
    let from = (&stage.begin.target, stage.begin.identities);
    let restored = phases
        .run("restore the baseline", || restore(from, &victim, stage.journal(), Until::End))?;
    if let Some(live) = stage.live {
        let position = restored.fork.position;
        let done = phases.run("compare the baseline", || {
            live.refresh().map_err(|error| error.to_string())?;
            let victim = stage.reader(&victim).map_err(|error| error.to_string())?;
            compare(live, &victim, position)
        });
        outcome.baseline = take("the baseline", done, &mut outcome.findings);
    }
    let server = phases.run("start", || stage.serve(&victim))?;
    told("writing");
    let mut written = write(stage, scenario, &server, &mut phases)?;
    told("recovering");
    let recovered = overcome(stage, scenario, server, written.mark, &mut phases);
    written.acks.extend(written.writer.take().into_iter().flat_map(Writer::stop));
    outcome.acknowledged = written.acks.len() as u64;
    outcome.unwanted = written.unwanted.len() as u64;
    match recovered {
        Ok(recovered) => {
            outcome.how.clone_from(&recovered.how);
            after(stage, &mut outcome, recovered, &written, &mut phases)?;
        },
        Err(DrillError::Stopped) => return Err(DrillError::Stopped),
        Err(error) => {
            outcome.findings.push(error.to_string());
            outcome.lost_events = outcome.acknowledged;
        },
    }
    outcome.rto_ms = phases.rto_ms();
    outcome.took_ms = phases.took_ms();
    outcome.phases = phases.into_list();
    outcome.judge();
    Ok((outcome, restored))
}

/// Clients write for a while, and what was there before them is shipped.
fn write(
    stage: &Stage<'_>,
    scenario: Scenario,
    server: &Process,
    phases: &mut Phases,
) -> Result<Written, DrillError> {
    let api = Api::of(server.address());
    let broken = |no: super::api::No| DrillError::Server(no.to_string());
    let name = chance()?;
    api.reached().map_err(broken)?;
    let target = Target::open(&stage.shipped_to(), true)?;
    let rests = phases.run("come to rest", || stage.rest(&api, &target, scenario))?;
    if !rests {
        return Err(DrillError::Server("it does not come to rest".to_owned()));
    }
    let load = |prefix: &str, length: Duration| {
        let writer = Writer::start(server.address(), prefix)?;
        let enough = instant();
        stage.until(CAUGHT_UP_WITHIN, || enough.elapsed() >= length)?;
        Ok::<_, DrillError>(writer)
    };
    let writer = phases.run("write", || load(&format!("drill-{name}"), LOAD))?;
    if writer.count() == 0 {
        return Err(DrillError::Server("it acknowledged nothing".to_owned()));
    }
    let mut written = Written { writer: None, acks: vec![], unwanted: vec![], mark: None };
    if scenario == Scenario::BadRelease {
        written.acks = writer.stop();
        let last = written.acks.last().map_or(0, |ack| ack.cursor.position);
        written.mark = Some(api.time_of(last).map_err(broken)?);
        let bad = phases.run("bad writes", || load(&format!("bad-{name}"), BAD_LOAD))?;
        written.unwanted = bad.stop();
    } else {
        written.writer = Some(writer);
    }
    Ok(written)
}

/// What a recovered server must be and have.
fn after(
    stage: &Stage<'_>,
    outcome: &mut Outcome,
    recovered: Recovered,
    written: &Written,
    phases: &mut Phases,
) -> Result<(), DrillError> {
    let Recovered { server, data, evidence, fork, .. } = recovered;
    let api = Api::of(server.address());
    let healthy = phases.run("health", || {
        stage.until(HEALTHY_WITHIN, || {
            outcome.level = api.healthy().ok();
            outcome.level.is_some()
        })
    })?;
    if !healthy {
        outcome.findings.push("the recovered server is not healthy".to_owned());
    }
    let lock = format!("drill-{}", chance()?);
    match phases.run("first write", || api.first_write(&lock)) {
        Ok(token) => {
            phases.written();
            let highest = written.acks.iter().filter_map(|ack| ack.token).max();
            if highest.is_some_and(|highest| token <= highest) {
                let what = format!("the token {token} is not above those that were given before");
                outcome.findings.push(what);
            }
        },
        Err(no) => outcome.findings.push(format!("the first write: {no}")),
    }
    let done = phases.run("compare", || {
        let open = |path: &Path| stage.reader(path).map_err(|error| error.to_string());
        let (original, now) = (open(&evidence)?, open(&data)?);
        outcome.count(&now, &written.acks, &written.unwanted)?;
        compare(&original, &now, fork.unwrap_or_else(|| original.head().position))
    });
    outcome.comparison = take("after the recovery", done, &mut outcome.findings);
    let reached = phases.run("complete the store", || {
        let reached = || api.reached().is_ok_and(|(position, store)| store >= position);
        stage.until(CAUGHT_UP_WITHIN, reached)
    })?;
    if !reached {
        outcome.findings.push("the store of the recovered server does not get on".to_owned());
    }
    let stopped = phases.run("stop", || server.stop());
    outcome.findings.extend(stopped.err().map(|reason| format!("the recovered server: {reason}")));
    let reading = stage.reading()?;
    match phases.run("verify", || checked(&data, &reading, false)) {
        Ok(report) => {
            let open = open(&report).take(TOLD);
            outcome.findings.extend(open.map(|it| format!("verify: {it}")));
        },
        Err(reason) => outcome.findings.push(format!("verify: {reason}")),
    }
    stage.watch.check()
}

/// A comparison, or why there is none, with what is wrong.
fn take(
    of: &str,
    done: Result<Comparison, String>,
    findings: &mut Vec<String>,
) -> Option<Comparison> {
    match done {
        Ok(comparison) => {
            findings.extend(comparison.findings(of));
            Some(comparison)
        },
        Err(reason) => {
            findings.push(format!("{of}: it cannot be compared: {reason}"));
            None
        },
    }
}
