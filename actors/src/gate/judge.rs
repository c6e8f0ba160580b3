//! What the counts of a gate amount to: verdicts and observations.

use super::verdict::{Thresholds, Verdict};
use super::window::Tally;
use super::word::Word;
use super::{Gate, Journaled, LAST_CHANCE_MS};
use crate::dependency::{DependencyCommand, Mode, Observed};
use crate::time::Timestamp;

impl Gate {
    /// A verdict that is marked and that nobody tells was lost on its way: it may be found again.
    pub(super) fn adopt_orphan(&mut self) {
        let face = self.spot.face();
        self.orphaned = match self.verdict {
            None if face.word().has(Word::PENDING) => self.orphaned + 1,
            _ => 0,
        };
        if self.orphaned >= 2 {
            self.orphaned = 0;
            face.forget_pending(self.tag());
        }
    }

    /// A verdict that was told over and over, and nobody answered.
    #[must_use]
    pub fn unanswered(&self) -> Option<DependencyCommand> {
        self.verdict.as_ref()?.unanswered()
    }

    /// What the journal says holds, be it older than what is followed.
    pub fn renounce(&mut self) {
        self.journaled = None;
    }

    /// The verdict that a caller has found, if one has.
    #[must_use = "a verdict is for the machine"]
    pub fn heard(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        let now = self.advance(now);
        let found = self.spot.face().take_found()?;
        let Journaled { breaker, .. } = self.journaled.as_ref()?;
        let generation = breaker.generation;
        if found.generation != self.tag() || self.verdict.is_some() {
            return None;
        }
        let evidence = found.evidence;
        let command = match found.healthy {
            None => DependencyCommand::Trip { generation, evidence },
            Some(healthy) => DependencyCommand::Conclude { generation, healthy, evidence },
        };
        self.verdict = Some(Verdict::new(command.clone(), now));
        Some(command)
    }

    /// A verdict, if the counts give one and none is on its way.
    pub(super) fn judge(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        let Journaled { settings, breaker, .. } = self.journaled.as_ref()?;
        if self.verdict.is_some() || breaker.crossed {
            return None;
        }
        let generation = breaker.generation;
        let thresholds = Thresholds::of(settings);
        let (face, tag) = (self.spot.face(), self.tag());
        let command = match breaker.mode {
            Mode::Closed | Mode::MetricsOnly => {
                let Observed { calls, failures, slow, .. } = self.counts(now);
                let evidence =
                    thresholds.reached(Tally { calls, failures, slow }, face.run(tag))?;
                DependencyCommand::Trip { generation, evidence }
            },
            Mode::HalfOpen => {
                let trial = face.trial();
                let (healthy, evidence) = if trial.is_tried() {
                    thresholds.on_trial(trial.tally(), face.run(tag))?
                } else {
                    let last_chance =
                        breaker.until.is_some_and(|until| until.ms_since(now) <= LAST_CHANCE_MS);
                    thresholds.on_probes(self.probes, face.run(tag), last_chance)?
                };
                DependencyCommand::Conclude { generation, healthy, evidence }
            },
            Mode::Open | Mode::ForcedOpen | Mode::Disabled => return None,
        };
        if !face.pend(tag) {
            // A caller was faster: it is heard.
            return None;
        }
        self.verdict = Some(Verdict::new(command.clone(), now));
        Some(command)
    }

    pub(super) fn observation(&mut self, now: Timestamp) -> Option<DependencyCommand> {
        let Journaled { observed, breaker, .. } = self.journaled.as_ref()?;
        let generation = breaker.generation;
        let counts = self.counts(now);
        let window = Box::new(self.traffic.next(counts, *observed, now)?);
        Some(DependencyCommand::Observe { generation, window })
    }
}
