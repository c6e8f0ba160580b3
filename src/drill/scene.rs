//! One scenario: restore, start, write, disaster, recovery, first write, comparison.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_actors::system::DrillCompleted;
use mainstay_actors::time::Timestamp;
use mainstay_journal::plant::Until;
use mainstay_journal::{ReadLog as _, Reader, Reading};
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::baseline::{Begin, Key, restore};
use super::compare::{Comparison, compare};
use super::disaster;
use super::error::DrillError;
use super::measure::{Phase, Phases, instant, ms, now};
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
/// Findings of `verify` that are told.
const TOLD: usize = 10;

/// What came of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub scenario: Scenario,
    /// Nothing was found.
    pub good: bool,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
    /// From the disaster to the first verified write; until it was given up, if there was none.
    pub rto_ms: u64,
    /// What that may be.
    pub rto_target_ms: u64,
    /// How much older the newest surviving acknowledgement is than the newest one.
    pub rpo_ms: u64,
    /// What that may be.
    pub rpo_target_ms: u64,
    /// Changes that were acknowledged before the disaster.
    pub acknowledged: u64,
    /// Those that are gone.
    pub lost_events: u64,
    /// Changes of the bad release that were acknowledged, and must be gone.
    pub unwanted: u64,
    /// How it was recovered.
    pub how: String,
    /// The level of the recovered server's health.
    pub level: Option<String>,
    /// The victim against the original, before anything happened.
    pub baseline: Option<Comparison>,
    /// The recovered journal against the victim.
    pub comparison: Option<Comparison>,
    /// What was done, and how long it took.
    pub phases: Vec<Phase>,
    /// What was wrong.
    pub findings: Vec<String>,
}

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
    let (rto, rpo) = stage.targets;
    let rpo_target_ms = if scenario.may_lose() { rpo.as_ms() } else { 0 };
    let mut outcome = Outcome {
        scenario,
        good: false,
        at: now(),
        took_ms: 0,
        rto_ms: 0,
        rto_target_ms: rto.as_ms(),
        rpo_ms: 0,
        rpo_target_ms,
        acknowledged: 0,
        lost_events: 0,
        unwanted: 0,
        how: "it was not recovered".to_owned(),
        level: None,
        baseline: None,
        comparison: None,
        phases: Vec::new(),
        findings: Vec::new(),
    };
    let mut phases = Phases::begin();
    let told = |what: &str| stage.watch.tell(&format!("{scenario}: {what}"));
    told("restoring the baseline");
    let victim = stage.folder.join("victim");
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
    let head = api.reached().map_err(broken)?.0;
    let target = Target::open(&stage.shipped_to(), true)?;
    let shipped = phases.run("ship what is there", || {
        let tip = || Some(Pieces::list(&target).ok()?.tip(None)?.last);
        stage.until(CAUGHT_UP_WITHIN, || tip().is_some_and(|last| last >= head))
    })?;
    if !shipped {
        return Err(DrillError::Server("it did not ship what is there".to_owned()));
    }
    if scenario.needs_store() {
        let complete = phases.run("complete the store", || {
            let reached = || api.reached().is_ok_and(|(_, store)| store >= head);
            // It is written when the journal rests.
            let written = || disaster::is_stored(&stage.folder.join("victim"));
            stage.until(CAUGHT_UP_WITHIN, || reached() && written())
        })?;
        if !complete {
            return Err(DrillError::Server("its store does not get on".to_owned()));
        }
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
        outcome.count(&now, written)?;
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

impl Outcome {
    /// Looks for everything that was acknowledged: a record of that stream, at that place, of that epoch.
    fn count(&mut self, log: &Reader, written: &Written) -> Result<(), String> {
        let all = || written.acks.iter().chain(&written.unwanted);
        let first = all().map(|ack| ack.cursor.position).min().unwrap_or(1);
        let last = all().map(|ack| ack.cursor.position).max().unwrap_or(0);
        let mut there = HashMap::new();
        let scanned = log.scan(first, last, &mut |record| {
            there.insert(record.position, (record.epoch, record.stream.to_owned()));
            std::ops::ControlFlow::Continue(())
        });
        scanned.map_err(|error| error.to_string())?;
        let survives = |ack: &&Ack| {
            let found = there.get(&ack.cursor.position);
            found.is_some_and(|(epoch, stream)| *epoch == ack.cursor.epoch && *stream == ack.stream)
        };
        let stayed = written.unwanted.iter().filter(survives).count();
        if stayed > 0 {
            self.findings.push(format!("{stayed} writes of the bad release are still there"));
        }
        let newest = written.acks.iter().map(|ack| ack.at).max();
        let surviving = written.acks.iter().filter(survives);
        let (count, newest_surviving) =
            surviving.fold((0, None), |(count, newest), ack| (count + 1, newest.max(Some(ack.at))));
        self.lost_events = self.acknowledged - count;
        if self.lost_events > 0 {
            let oldest = written.acks.iter().map(|ack| ack.at).min();
            let since = newest_surviving.or(oldest);
            let age = newest.zip(since).map(|(newest, since)| newest.duration_since(since));
            self.rpo_ms = age.map_or(0, ms);
        }
        Ok(())
    }

    /// Decides whether it was good.
    fn judge(&mut self) {
        let Self { rto_ms, rto_target_ms, rpo_ms, rpo_target_ms, lost_events, .. } = self;
        if rto_ms > rto_target_ms {
            let (was, may) = (Span::from_ms(*rto_ms), Span::from_ms(*rto_target_ms));
            self.findings.push(format!("RTO: recovery took {was}, and may take {may}"));
        }
        if *rpo_ms > *rpo_target_ms || (*lost_events > 0 && !self.scenario.may_lose()) {
            let (was, may) = (Span::from_ms(*rpo_ms), Span::from_ms(*rpo_target_ms));
            let what = format!("RPO: {lost_events} events of {was} are gone, and {may} may be");
            self.findings.push(what);
        }
        self.good = self.findings.is_empty();
    }

    /// As the journal tells of it.
    #[must_use]
    pub fn record(&self) -> DrillCompleted {
        let compared = [&self.baseline, &self.comparison].into_iter().flatten();
        let (compared, different) = compared.fold((0, 0), |(compared, different), it| {
            (compared + it.compared, different + it.different)
        });
        DrillCompleted {
            scenario: self.scenario.name().to_owned(),
            good: self.good,
            rto_ms: self.rto_ms,
            rto_target_ms: self.rto_target_ms,
            rpo_ms: self.rpo_ms,
            rpo_target_ms: self.rpo_target_ms,
            lost_events: self.lost_events,
            compared,
            different,
            took_ms: self.took_ms,
            findings: self.findings.clone(),
            at: Timestamp::default(),
        }
    }
}
