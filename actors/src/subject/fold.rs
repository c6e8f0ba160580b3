//! Folds a subject's events.
//!
//! | event | open | held | erased |
//! |---|---|---|---|
//! | `ConsentRecorded` | the last of its type | the same | illegal |
//! | `HoldPlaced` | held | illegal | illegal |
//! | `HoldLifted` | illegal | open | illegal |
//! | `SubjectExported`, `SubjectRectified`, `SubjectImported` | as it was | as it was | illegal |
//! | `SubjectErased` | erased, its consents forgotten | illegal | illegal |
//! | `ErasureFinished` | illegal | illegal | finished, once |

use super::{Consent, Erasure, Hold, SubjectEvent, SubjectState};
use crate::codec::Payload;
use crate::machine::Illegal;

pub(super) fn fold(state: &mut SubjectState, event: &SubjectEvent) -> Result<(), Illegal> {
    use SubjectEvent as E;

    let illegal = |reason: &str| Err(Illegal::new(event.name(), reason));
    match (event, &mut state.erased) {
        (E::ErasureFinished(event), Some(erasure)) if erasure.sessions_ended.is_none() => {
            erasure.sessions_ended = Some(event.sessions_ended);
        },
        (E::ErasureFinished(_), None) => return illegal("nothing was begun"),
        (_, Some(_)) => return illegal("the subject was erased"),
        (E::ConsentRecorded(event), None) => {
            let (text_version, by) = (event.text_version.clone(), event.by.clone());
            let consent = Consent { granted: event.granted, text_version, by, at: event.at };
            state.consents.insert(event.consent.clone(), consent);
        },
        (E::HoldPlaced(event), None) if state.hold.is_none() => {
            state.hold = Some(Hold { reason: event.reason.clone(), since: event.at });
        },
        (E::HoldLifted(_), None) if state.hold.is_some() => state.hold = None,
        (E::HoldLifted(_), None) => return illegal("the subject is not held"),
        (E::SubjectExported(_) | E::SubjectRectified(_) | E::SubjectImported(_), None) => {},
        (E::SubjectErased(event), None) if state.hold.is_none() => {
            state.consents.clear();
            state.erased = Some(Erasure { at: event.at, sessions_ended: None });
        },
        (E::HoldPlaced(_) | E::SubjectErased(_), None) => return illegal("the subject is held"),
    }
    Ok(())
}
