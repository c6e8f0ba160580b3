//! While the journal takes nothing, a breaker goes on by itself.
//!
//! ```text
//!   verdict ──► journal refuses ──► alone: the same machine decides, nothing is recorded
//!                                     │  trips, half-opens, closes; marked `unjournaled`
//!   journal takes events again ◄──────┘  Adopt: one event with the state and how it came about
//! ```

use mainstay_journal::Refusal;

use super::{Gates, Kept};
use crate::dependency::{
    Adoption, Dependency, DependencyCommand, DependencyReject, DependencyState, Evidence,
};
use crate::gate::Gate;
use crate::host::message::{Answered, Failure};
use crate::machine::{Context, Machine as _};
use crate::time::Timestamp;

/// So often the journal is asked whether it takes the state, in milliseconds.
const ASK_EVERY_MS: u64 = 1_000;
/// And again without an answer after this, in milliseconds.
const ASK_AGAIN_MS: u64 = 5_000;
/// The entity has so long to do what time brings, in milliseconds.
const OVERDUE_MS: u64 = 2_000;

/// Generations of a breaker that is alone are so far ahead that none of the journal's is met.
const AHEAD: u64 = 200;

/// A breaker that moved, and the journal does not know it.
#[derive(Debug)]
pub(super) struct Alone {
    state: DependencyState,
    /// The generation that the journal knew when it began.
    departed: u64,
    since: Timestamp,
    transitions: u32,
    evidence: Option<Evidence>,
    asked_at: Timestamp,
    /// The journal has not answered yet.
    asking: bool,
    /// The journal's state has moved since: that one holds, and this is only told.
    overtaken: bool,
}

impl Kept {
    pub(super) fn new(gate: Gate, journaled: DependencyState) -> Self {
        Self { gate, journaled, alone: None, overdue_since: None }
    }

    /// Whether its gate follows a state that the journal does not have.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.as_ref().is_some_and(|alone| !alone.overtaken)
    }

    /// The gate follows the journal, or goes on alone until the journal has caught up. Whatever
    /// moved the breaker in the journal meanwhile, a person first of all, holds.
    pub(super) fn follow(&mut self, now: Timestamp) {
        let known = self.journaled.breaker.generation;
        if let Some(alone) = self.alone.as_mut().filter(|alone| !alone.overtaken) {
            if known == alone.departed {
                alone.state.settings.clone_from(&self.journaled.settings);
                alone.state.configuration = self.journaled.configuration;
                self.gate.sync(&alone.state, now);
                return;
            }
            if known > alone.state.breaker.generation {
                self.alone = None;
            } else {
                alone.overtaken = true;
                self.gate.renounce();
            }
        }
        self.gate.sync(&self.journaled, now);
        self.gate.mark_unjournaled(false);
    }

    /// Decides as the entity would have.
    fn decide_alone(&mut self, command: DependencyCommand, now: Timestamp, boot: u64) {
        let base = &self.journaled;
        if !self.is_alone() {
            self.alone = None;
        }
        let alone = self.alone.get_or_insert_with(|| Alone {
            state: ahead(base),
            departed: base.breaker.generation,
            since: now,
            transitions: 0,
            evidence: None,
            asked_at: now,
            asking: false,
            overtaken: false,
        });
        let evidence = match &command {
            DependencyCommand::Trip { evidence, .. }
            | DependencyCommand::Conclude { evidence, .. } => Some(evidence.clone()),
            _ => None,
        };
        let chance = alone.state.breaker.generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ boot;
        let context = Context { now, chance, boot, principal: "system:gate", request: None };
        let before = alone.state.breaker.generation;
        let command = at_generation(command, alone.departed, before);
        let Ok(decision) = Dependency::decide(&alone.state, command, &context) else { return };
        for event in &decision.events {
            // Total by construction: a decision's events fit the state it was made on.
            drop(Dependency::fold(&mut alone.state, event));
        }
        if alone.state.breaker.generation > before {
            alone.transitions = alone.transitions.saturating_add(1);
            alone.evidence = evidence.or(alone.evidence.take());
        }
        if alone.transitions == 0 {
            self.alone = None;
            return;
        }
        self.gate.sync(&alone.state, now);
        self.gate.mark_unjournaled(true);
    }

    /// What time brings where the journal does not bring it: the deadline that the entity let pass,
    /// a verdict that nobody answers, deadlines of a breaker that is alone, and the next question
    /// whether the journal takes its state.
    pub(super) fn tick_alone(&mut self, now: Timestamp, boot: u64) -> Option<DependencyCommand> {
        if !self.is_alone() {
            self.leave_if_it_must(now, boot);
        } else if let Some(alone) = &self.alone
            && Dependency::deadline(&alone.state).is_some_and(|at| at <= now)
        {
            self.decide_alone(DependencyCommand::Due, now, boot);
        }
        let alone = self.alone.as_mut()?;
        let wait_ms = if alone.asking { ASK_AGAIN_MS } else { ASK_EVERY_MS };
        if now < alone.asked_at.plus_ms(wait_ms) {
            return None;
        }
        (alone.asked_at, alone.asking) = (now, true);
        Some(DependencyCommand::Adopt(Box::new(Adoption {
            breaker: alone.state.breaker,
            departed: alone.departed,
            since: alone.since,
            transitions: alone.transitions,
            evidence: alone.evidence.clone(),
        })))
    }

    fn leave_if_it_must(&mut self, now: Timestamp, boot: u64) {
        if let Some(verdict) = self.gate.unanswered() {
            self.decide_alone(verdict, now, boot);
            return;
        }
        if Dependency::deadline(&self.journaled).is_none_or(|at| at > now) {
            self.overdue_since = None;
            return;
        }
        let since = *self.overdue_since.get_or_insert(now);
        if now >= since.plus_ms(OVERDUE_MS) {
            self.overdue_since = None;
            self.decide_alone(DependencyCommand::Due, now, boot);
        }
    }
}

fn ahead(base: &DependencyState) -> DependencyState {
    let mut state = base.clone();
    state.breaker.generation = state.breaker.generation.saturating_add(AHEAD);
    state
}

/// The command that makes it leave the journal's generation means the one it begins with.
fn at_generation(mut command: DependencyCommand, departed: u64, now: u64) -> DependencyCommand {
    if let DependencyCommand::Trip { generation, .. }
    | DependencyCommand::Conclude { generation, .. }
    | DependencyCommand::TryHalfOpen { generation } = &mut command
        && *generation == departed
    {
        *generation = now;
    }
    command
}

impl Gates {
    /// Whether the breaker is alone, and has decided by itself.
    pub(super) fn decides_alone(&mut self, name: &str, command: &DependencyCommand) -> bool {
        let (now, boot) = (self.clock.now(), self.boot);
        let Some(kept) = self.by_name.get_mut(name).filter(|kept| kept.is_alone()) else {
            return false;
        };
        let is_ours =
            !matches!(command, DependencyCommand::Adopt(_) | DependencyCommand::Observe { .. });
        if is_ours {
            kept.decide_alone(command.clone(), now, boot);
        }
        is_ours
    }

    /// The journal took a gate's command, or did not.
    pub(super) fn answered(
        &mut self,
        name: &str,
        command: DependencyCommand,
        answered: Answered<Dependency>,
    ) {
        let (now, boot) = (self.clock.now(), self.boot);
        let Some(kept) = self.by_name.get_mut(name) else { return };
        match (command, answered) {
            (DependencyCommand::Adopt(_), Ok(_)) => {
                // What it did is recorded: the journal is right again.
                kept.alone = None;
                kept.follow(now);
            },
            (DependencyCommand::Adopt(_), Err(_)) => {
                if let Some(alone) = &mut kept.alone {
                    alone.asking = false;
                }
            },
            (command, Err(failure)) if is_away(&failure) => kept.decide_alone(command, now, boot),
            (command, Ok(_)) if kept.is_alone() => kept.decide_alone(command, now, boot),
            (_, Ok(_) | Err(_)) => {},
        }
    }
}

/// Whether the journal or the entity takes nothing: no fault of the command, and nothing that the
/// gate's own repetition mends.
fn is_away(failure: &Failure<DependencyReject>) -> bool {
    match failure {
        Failure::Rejected { .. } => false,
        Failure::Refused(refusal) => {
            !matches!(refusal, Refusal::Conflict { .. } | Refusal::Superseded)
        },
        _ => true,
    }
}
