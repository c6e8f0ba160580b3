//! How an experiment's events change it.

use super::{ChaosEvent, ChaosState, Ended, Experiment, FaultEnded, FaultStarted};
use crate::machine::Illegal;

pub(super) fn fold(state: &mut ChaosState, event: &ChaosEvent) -> Result<(), Illegal> {
    let name = crate::codec::Payload::name(event);
    match (event, &mut state.last) {
        (ChaosEvent::FaultStarted(_), Some(Experiment { ended: None, .. })) => {
            return Err(Illegal::new(name, "it runs"));
        },
        (ChaosEvent::FaultStarted(started), last) => *last = Some(begun(started)),
        (ChaosEvent::FaultEnded(FaultEnded { at, cause }), Some(experiment))
            if experiment.ended.is_none() =>
        {
            experiment.ended = Some(Ended { at: *at, cause: cause.clone() });
        },
        (ChaosEvent::FaultEnded(_), _) => return Err(Illegal::new(name, "it does not run")),
    }
    Ok(())
}

/// As it is right after its start.
pub(super) fn begun(started: &FaultStarted) -> Experiment {
    let FaultStarted { plan, at, until } = started.clone();
    Experiment { plan, started_at: at, until, ended: None }
}
