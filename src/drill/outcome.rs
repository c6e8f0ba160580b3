//! What came of a scenario: figures, what was acknowledged and is gone, and whether that is good.

use std::collections::HashMap;

use mainstay_actors::system::DrillCompleted;
use mainstay_actors::time::Timestamp;
use mainstay_journal::{ReadLog as _, Reader};
use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::measure::{Phase, ms, now};
use super::scenario::Scenario;
use super::writer::Ack;
use crate::config::Span;

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

/// Epochs and streams of records, by position.
type There = HashMap<u64, (u32, String)>;

impl Outcome {
    pub(super) fn begin(scenario: Scenario, (rto, rpo): (Span, Span)) -> Self {
        Self {
            scenario,
            good: false,
            at: now(),
            took_ms: 0,
            rto_ms: 0,
            rto_target_ms: rto.as_ms(),
            rpo_ms: 0,
            rpo_target_ms: if scenario.may_lose() { rpo.as_ms() } else { 0 },
            acknowledged: 0,
            lost_events: 0,
            unwanted: 0,
            how: "it was not recovered".to_owned(),
            level: None,
            baseline: None,
            comparison: None,
            phases: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Looks for everything that was acknowledged, and for what must be gone.
    pub(super) fn count(
        &mut self,
        log: &Reader,
        acks: &[Ack],
        unwanted: &[Ack],
    ) -> Result<(), String> {
        let all = || acks.iter().chain(unwanted);
        let first = all().map(|ack| ack.cursor.position).min().unwrap_or(1);
        let last = all().map(|ack| ack.cursor.position).max().unwrap_or(0);
        let mut there = There::new();
        let scanned = log.scan(first, last, &mut |record| {
            there.insert(record.position, (record.epoch, record.stream.to_owned()));
            std::ops::ControlFlow::Continue(())
        });
        scanned.map_err(|error| error.to_string())?;
        let stayed = unwanted.iter().filter(|ack| ack.is_in(&there)).count();
        if stayed > 0 {
            self.findings.push(format!("{stayed} writes of the bad release are still there"));
        }
        (self.lost_events, self.rpo_ms) = lost(acks, &there);
        Ok(())
    }

    /// Decides whether it was good.
    pub(super) fn judge(&mut self) {
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

impl Ack {
    /// Whether what was acknowledged is a record of that stream, at that place, of that epoch.
    fn is_in(&self, there: &There) -> bool {
        let found = there.get(&self.cursor.position);
        found.is_some_and(|(epoch, stream)| *epoch == self.cursor.epoch && *stream == self.stream)
    }
}

/// How many are gone, and how much older the newest that is there is than the newest of all, in
/// milliseconds.
fn lost(acks: &[Ack], there: &There) -> (u64, u64) {
    let gone = acks.iter().filter(|ack| !ack.is_in(there)).count();
    if gone == 0 {
        return (0, 0);
    }
    let newest = acks.iter().map(|ack| ack.at).max();
    let surviving = acks.iter().filter(|ack| ack.is_in(there)).map(|ack| ack.at).max();
    // Where nothing is left, all that was written is lost.
    let since = surviving.or(acks.iter().map(|ack| ack.at).min());
    let age = newest.zip(since).map(|(newest, since)| newest.duration_since(since));
    (gone as u64, age.map_or(0, ms))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use mainstay_journal::Cursor;

    use super::*;
    use crate::drill::measure::instant;

    /// Acknowledged at 0, 10, 20 and 30 ms: positions 11 to 14 of epoch 2.
    fn acks(zero: Instant) -> Vec<Ack> {
        let ack = |n: u64| Ack {
            at: zero + Duration::from_millis(n * 10),
            cursor: Cursor { epoch: 2, position: 11 + n },
            stream: format!("lock/l-{n}"),
            token: None,
        };
        (0..4).map(ack).collect()
    }

    fn there(upto: u64) -> There {
        (0..4).filter(|n| 11 + n <= upto).map(|n| (11 + n, (2, format!("lock/l-{n}")))).collect()
    }

    #[test]
    fn what_is_gone_is_counted_and_its_age_is_that_of_the_newest_that_is_left() {
        let acks = acks(instant());
        assert_eq!(lost(&acks, &there(14)), (0, 0));
        assert_eq!(lost(&acks, &there(13)), (1, 10));
        assert_eq!(lost(&acks, &there(11)), (3, 30));
        assert_eq!(lost(&acks, &there(0)), (4, 30));
    }

    #[test]
    fn another_stream_or_epoch_at_the_same_place_is_not_what_was_acknowledged() {
        let acks = acks(instant());
        let mut other = there(14);
        other.insert(14, (3, "lock/l-3".to_owned()));
        assert_eq!(lost(&acks, &other), (1, 10));
        other.insert(14, (2, "lock/l-0".to_owned()));
        assert_eq!(lost(&acks, &other), (1, 10));
    }

    fn judged(scenario: Scenario, change: impl Fn(&mut Outcome)) -> Outcome {
        let targets = (Span::from_ms(100), Span::from_ms(50));
        let mut outcome = Outcome::begin(scenario, targets);
        (outcome.rto_ms, outcome.rpo_ms, outcome.lost_events) = (100, 0, 0);
        change(&mut outcome);
        outcome.judge();
        outcome
    }

    #[test]
    fn a_target_is_missed_by_a_millisecond_and_nothing_is_lost_where_nothing_may_be() {
        use Scenario::{DiskLoss, ProcessKill};
        assert!(judged(ProcessKill, |_| {}).good);
        assert!(!judged(ProcessKill, |it| it.rto_ms = 101).good);
        assert!(!judged(ProcessKill, |it| it.lost_events = 1).good);
        assert!(judged(DiskLoss, |it| (it.lost_events, it.rpo_ms) = (9, 50)).good);
        assert!(!judged(DiskLoss, |it| (it.lost_events, it.rpo_ms) = (9, 51)).good);
        assert!(!judged(DiskLoss, |it| it.findings.push("found".to_owned())).good);
    }
}
