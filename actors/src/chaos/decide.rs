//! The rulings on an experiment.
//!
//! | command | absent | running | over |
//! |---|---|---|---|
//! | `Start` | `FaultStarted`, or `Unknown`, `BelowFloor` | `Running` | as absent |
//! | `Stop` | `NotFound` | `FaultEnded` | as it is |
//! | `Due` | nothing | `FaultEnded` when its time is over | nothing |
//! | `Show` | `NotFound` | the experiment | the experiment |
//!
//! What time alone has ended is over, swept or not: a start or a stop says so first.

use super::fold::begun;
use super::{
    Chaos, ChaosCommand, ChaosEvent, ChaosReject, ChaosReply, ChaosState, EndCause, Experiment,
    FaultEnded, FaultStarted, MAX_FOR_MS, Plan, Seen,
};
use crate::machine::{Again, Context, Decision, Machine};
use crate::rate::Rate;
use crate::time::Timestamp;

pub(super) fn decide(
    state: &ChaosState,
    command: ChaosCommand,
    context: &Context<'_>,
) -> Result<Decision<Chaos>, ChaosReject> {
    use ChaosCommand as C;
    let now = context.now;
    let mut events = Vec::new();
    if let Some(late) = state.last.as_ref().filter(|it| it.is_late(now)) {
        // The end that was to be, not the moment at which somebody looked.
        events.push(FaultEnded { at: late.until, cause: EndCause::Timer }.into());
    }
    let running = state.last.as_ref().is_some_and(|it| it.runs(now));
    match (command, &state.last) {
        (C::Start { .. }, Some(_)) if running => return Err(ChaosReject::Running),
        (C::Start { plan, for_ms, seen }, _) => {
            check(&plan, for_ms)?;
            let Seen { configured, level, floor } = seen;
            if !configured {
                return Err(ChaosReject::Unknown { dependency: plan.dependency });
            }
            if level < floor {
                return Err(ChaosReject::BelowFloor { level, floor });
            }
            events.push(FaultStarted { plan: *plan, at: now, until: now.plus_ms(for_ms) }.into());
        },
        (C::Stop { reason, all }, Some(_)) => {
            check_reason(&reason)?;
            if running {
                let cause = if all {
                    EndCause::StoppedAll { reason }
                } else {
                    EndCause::Stopped { reason }
                };
                events.push(FaultEnded { at: now, cause }.into());
            }
        },
        (C::Due, _) | (C::Show, Some(_)) => {},
        (C::Stop { .. } | C::Show, None) => return Err(ChaosReject::NotFound),
    }
    let mut next = state.clone();
    for event in &events {
        // Total by construction: the fold takes what was decided on this state.
        drop(Chaos::fold(&mut next, event));
    }
    Ok(Decision::of(events, ChaosReply(next.last)))
}

/// A retry is told of the experiment that it began or ended, over or not.
pub(super) fn answer_again(state: &ChaosState, events: &[ChaosEvent]) -> Again<Chaos> {
    let now_of = |first: Experiment| match &state.last {
        Some(last) if last.started_at == first.started_at => last.clone(),
        _ => first,
    };
    match events.last() {
        Some(ChaosEvent::FaultStarted(started)) => {
            Again::Reply(Ok(ChaosReply(Some(now_of(begun(started))))))
        },
        // Another may run since: it is not the one that was to end.
        Some(ChaosEvent::FaultEnded(_)) => Again::Reply(Ok(ChaosReply(state.last.clone()))),
        None => Again::Decide,
    }
}

impl Experiment {
    /// Whether calls are disturbed at a moment.
    #[must_use]
    pub fn runs(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.until
    }

    fn is_late(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.until <= now
    }
}

fn check(plan: &Plan, for_ms: u64) -> Result<(), ChaosReject> {
    out_of_range(plan.share > Rate::default(), "share", "above 0 and at most 1")?;
    out_of_range((1..=MAX_FOR_MS).contains(&for_ms), "for_ms", "1 to 86400000 (24 hours)")?;
    check_reason(&plan.reason)?;
    plan.fault.check().map_err(|(field, rule)| ChaosReject::OutOfRange { field, rule })
}

/// Whether a reason can be journaled.
pub(crate) fn check_reason(reason: &str) -> Result<(), ChaosReject> {
    let fits = (1..=200).contains(&reason.len()) && !reason.chars().any(char::is_control);
    out_of_range(fits, "reason", "1 to 200 bytes without control characters")
}

fn out_of_range(holds: bool, field: &'static str, rule: &'static str) -> Result<(), ChaosReject> {
    if holds { Ok(()) } else { Err(ChaosReject::OutOfRange { field, rule }) }
}
