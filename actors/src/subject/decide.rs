//! Rules on a subject's commands.
//!
//! | command | open | held | erased |
//! |---|---|---|---|
//! | `RecordConsent` | `ConsentRecorded` | the same | `Erased` |
//! | `SetHold`, held | `HoldPlaced` | nothing | `Erased` |
//! | `SetHold`, not held | nothing | `HoldLifted` | `Erased` |
//! | `Export`, `Rectify` | `SubjectExported`, `SubjectRectified` | the same | `Erased` |
//! | `Import` | `SubjectImported` and its consents; `Exists` if there are some | `Exists` | `Erased` |
//! | `Erase` | `SubjectErased` | `Held` | `Erased` |
//! | `FinishErasure` | nothing | nothing | `ErasureFinished`, once |
//! | `Show` | the subject | the subject | the subject |

use std::collections::BTreeMap;

use super::{
    Consent, ConsentRecorded, ErasureFinished, HoldLifted, HoldPlaced, MAX_CONSENTS,
    MAX_TEXT_BYTES, Subject, SubjectCommand, SubjectErased, SubjectEvent, SubjectExported,
    SubjectImported, SubjectRectified, SubjectReject, SubjectReply, SubjectState, fold,
};
use crate::machine::{Again, Context, Decision};

type Ruling = Result<Decision<Subject>, SubjectReject>;

pub(super) fn decide(
    state: &SubjectState,
    command: SubjectCommand,
    context: &Context<'_>,
) -> Ruling {
    use SubjectCommand as C;

    let at = context.now;
    let by = || context.principal.to_owned();
    let events: Vec<SubjectEvent> = match (command, &state.erased, &state.hold) {
        (C::FinishErasure { sessions_ended }, Some(erasure), _) => {
            let event = || ErasureFinished { sessions_ended, at }.into();
            erasure.sessions_ended.is_none().then(event).into_iter().collect()
        },
        (C::RecordConsent { consent, granted, text_version }, None, _) => {
            check_consent(state, &consent, &text_version)?;
            vec![ConsentRecorded { consent, granted, text_version, by: by(), at }.into()]
        },
        (C::SetHold { held, reason }, None, hold) => {
            check_text("reason", &reason)?;
            match (held, hold) {
                (true, None) => vec![HoldPlaced { reason, at }.into()],
                (false, Some(_)) => vec![HoldLifted { reason, at }.into()],
                (true, Some(_)) | (false, None) => Vec::new(),
            }
        },
        (C::Show, ..) | (C::FinishErasure { .. }, None, _) => Vec::new(),
        (C::Export, None, _) => vec![SubjectExported { by: by(), at }.into()],
        (C::Rectify { names, sessions }, None, _) => {
            vec![SubjectRectified { names, sessions, at }.into()]
        },
        (C::Import { consents, sessions }, None, None) if state.consents.is_empty() => {
            import(consents, sessions, context)?
        },
        (C::Import { .. }, None, _) => return Err(SubjectReject::Exists),
        (C::Erase, None, None) => vec![SubjectErased { at }.into()],
        (C::Erase, None, Some(hold)) => {
            return Err(SubjectReject::Held { why: hold.reason.clone() });
        },
        (
            C::RecordConsent { .. }
            | C::SetHold { .. }
            | C::Export
            | C::Rectify { .. }
            | C::Import { .. }
            | C::Erase,
            Some(_),
            _,
        ) => return Err(SubjectReject::Erased),
    };
    let mut next = state.clone();
    for event in &events {
        // Total by construction: the fold takes every event that was decided on this state.
        drop(fold::fold(&mut next, event));
    }
    Ok(Decision::of(events, SubjectReply(next)))
}

fn import(
    consents: BTreeMap<String, Consent>,
    sessions: u64,
    context: &Context<'_>,
) -> Result<Vec<SubjectEvent>, SubjectReject> {
    let at = context.now;
    check(consents.len() <= MAX_CONSENTS, "consents", "at most 64 types")?;
    let imported = SubjectImported { consents: consents.len() as u64, sessions, at };
    let mut events = vec![imported.into()];
    for (consent, Consent { granted, text_version, by, at: decided }) in consents {
        check_text("consent", &consent)?;
        check_text("text_version", &text_version)?;
        check_text("by", &by)?;
        check(decided <= at, "at", "in the past")?;
        events.push(ConsentRecorded { consent, granted, text_version, by, at: decided }.into());
    }
    Ok(events)
}

fn check_consent(
    state: &SubjectState,
    consent: &str,
    text_version: &str,
) -> Result<(), SubjectReject> {
    check_text("consent", consent)?;
    check_text("text_version", text_version)?;
    let known = state.consents.contains_key(consent);
    check(known || state.consents.len() < MAX_CONSENTS, "consent", "one of at most 64 types")
}

fn check_text(field: &'static str, text: &str) -> Result<(), SubjectReject> {
    let sized = (1..=MAX_TEXT_BYTES).contains(&text.len());
    check(
        sized && !text.chars().any(char::is_control),
        field,
        "1 to 200 bytes without control characters",
    )
}

fn check(holds: bool, field: &'static str, rule: &'static str) -> Result<(), SubjectReject> {
    if holds { Ok(()) } else { Err(SubjectReject::OutOfRange { field, rule }) }
}

/// The subject as it is now. Of one that was forgotten since, only the erasure itself is told again.
pub(super) fn answer_again(state: &SubjectState, events: &[SubjectEvent]) -> Again<Subject> {
    let erased_it = events.iter().any(|event| matches!(event, SubjectEvent::SubjectErased(_)));
    if state.erased.is_some() && !erased_it {
        return Again::Reply(Err(SubjectReject::Erased));
    }
    Again::Reply(Ok(SubjectReply(state.clone())))
}
