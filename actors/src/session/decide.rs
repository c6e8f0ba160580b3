//! Rules on a session's commands.
//!
//! | command | absent | live | run out, swept or not |
//! |---|---|---|---|
//! | `Create` | `SessionCreated` | `Exists` | `Exists` |
//! | `Import` | `SessionImported` | `Exists` | `Exists` |
//! | `Touch` | `NotFound` | `SessionTouched`, or nothing within a tenth of the TTL | `NotFound` |
//! | `Patch` | `NotFound` | `SessionPatched`, `Stale`; without changes a touch | `NotFound` |
//! | `End` | `NotFound` | `SessionEnded` | `NotFound` |
//! | `Forget` | done | `SessionEnded` | as `Due` |
//! | `Show` | `NotFound` | the session | `NotFound` |
//! | `Fence` | done | `SessionFenced` | `SessionFenced` |
//! | `Due` | done | done | `SessionEnded` once, with the moment it ran out |

use std::collections::BTreeMap;

use super::limits::{self, check_change};
use super::{
    Attributes, Elsewhere, EndReason, Live, Sealed, Session, SessionCommand, SessionCreated,
    SessionEnded, SessionEvent, SessionFenced, SessionImported, SessionPatched, SessionReject,
    SessionReply, SessionState, SessionTouched, fold,
};
use crate::machine::{Again, Context, Decision};
use crate::time::Timestamp;

type Ruling = Result<Decision<Session>, SessionReject>;

pub(super) fn decide(
    state: &SessionState,
    command: SessionCommand,
    context: &Context<'_>,
) -> Ruling {
    use SessionCommand as C;
    use SessionState as S;

    let now = context.now;
    let runs = |live: &Live| now < live.expires_at();
    match (state, command) {
        (S::Absent, C::Create { tenant, subject, ttl_ms, max_age_ms, attributes }) => {
            create(NewSession { tenant, subject, ttl_ms, max_age_ms, attributes }, now)
        },
        (S::Absent, C::Import(elsewhere)) => import(*elsewhere, now),
        (S::Live(_) | S::Ended { .. }, C::Create { .. } | C::Import(_)) => {
            Err(SessionReject::Exists)
        },
        (S::Live(live), C::Touch) if runs(live) => Ok(touch(live, now)),
        (S::Live(live), C::Patch { if_revision, changes }) if runs(live) => {
            patch(live, if_revision, changes, now)
        },
        (S::Live(live), C::End) if runs(live) => {
            let event = SessionEnded { reason: EndReason::Ended, at: now };
            Ok(Decision::of(vec![event.into()], SessionReply::Ended))
        },
        (S::Live(live), C::Show) if runs(live) => {
            Ok(Decision::answer(SessionReply::Shown(Box::new(live.clone()))))
        },
        (S::Live(live), C::Forget) if runs(live) => {
            let event = SessionEnded { reason: EndReason::Erased, at: now };
            Ok(Decision::of(vec![event.into()], SessionReply::Ended))
        },
        (S::Live(live), C::Due | C::Forget) if !runs(live) => Ok(run_out(live)),
        (S::Live(_), C::Fence { at }) => {
            Ok(Decision::of(vec![SessionFenced { at }.into()], SessionReply::Done))
        },
        (S::Absent | S::Live(_) | S::Ended { .. }, C::Due | C::Forget | C::Fence { .. }) => {
            Ok(Decision::answer(SessionReply::Done))
        },
        (
            S::Absent | S::Live(_) | S::Ended { .. },
            C::Touch | C::Patch { .. } | C::End | C::Show,
        ) => Err(SessionReject::NotFound),
    }
}

struct NewSession {
    tenant: String,
    subject: String,
    ttl_ms: u64,
    max_age_ms: Option<u64>,
    attributes: BTreeMap<String, Sealed>,
}

fn create(new: NewSession, now: Timestamp) -> Ruling {
    let NewSession { tenant, subject, ttl_ms, max_age_ms, attributes } = new;
    let attributes = attributes.into_iter().collect();
    limits::check_new(&tenant, &subject, ttl_ms, max_age_ms, &attributes)?;
    let created = SessionCreated {
        tenant: tenant.into(),
        subject: subject.into(),
        ttl_ms,
        at: now,
        idle_until: now.plus_ms(ttl_ms),
        ends_at: max_age_ms.map(|max_age_ms| now.plus_ms(max_age_ms)),
        attributes,
    };
    let reply = SessionReply::Shown(Box::new(fold::created(&created)));
    Ok(Decision::of(vec![created.into()], reply))
}

/// One that has run out meanwhile begins as well: its deadline ends it.
fn import(elsewhere: Elsewhere, now: Timestamp) -> Ruling {
    limits::check_import(&elsewhere, now)?;
    let imported = SessionImported {
        tenant: elsewhere.tenant.into(),
        subject: elsewhere.subject.into(),
        revision: elsewhere.revision,
        ttl_ms: elsewhere.ttl_ms,
        created_at: elsewhere.created_at,
        active_at: elsewhere.active_at,
        idle_until: elsewhere.idle_until,
        ends_at: elsewhere.ends_at,
        at: now,
        attributes: elsewhere.attributes,
    };
    let reply = SessionReply::Shown(Box::new(fold::imported(&imported)));
    Ok(Decision::of(vec![imported.into()], reply))
}

/// Journaled once a tenth of the TTL has passed; before that the journaled end stands.
fn touch(live: &Live, now: Timestamp) -> Decision<Session> {
    let since_us = now.as_micros().saturating_sub(live.active_at.as_micros());
    if since_us < live.ttl_ms.saturating_mul(100) {
        return Decision::answer(kept(live, live.revision, live.idle_until));
    }
    let idle_until = now.plus_ms(live.ttl_ms);
    let event = SessionTouched { at: now, idle_until };
    Decision::of(vec![event.into()], kept(live, live.revision, idle_until))
}

fn patch(
    live: &Live,
    if_revision: Option<u64>,
    changes: BTreeMap<String, Option<Sealed>>,
    now: Timestamp,
) -> Ruling {
    if if_revision.is_some_and(|revision| revision != live.revision) {
        return Err(SessionReject::Stale { current: live.revision });
    }
    if changes.is_empty() {
        return Ok(touch(live, now));
    }
    let changes: Attributes<_> = changes.into_iter().collect();
    for (name, value) in changes.iter() {
        check_change(name, value.as_ref())?;
    }
    limits::check_patched(&live.attributes, &changes)?;
    let revision = live.revision.saturating_add(1);
    let idle_until = now.plus_ms(live.ttl_ms);
    let event = SessionPatched { revision, at: now, idle_until, changes };
    Ok(Decision::of(vec![event.into()], kept(live, revision, idle_until)))
}

fn run_out(live: &Live) -> Decision<Session> {
    let at = live.expires_at();
    let reason = if live.ends_at == Some(at) { EndReason::MaxAge } else { EndReason::Idle };
    Decision::of(vec![SessionEnded { reason, at }.into()], SessionReply::Done)
}

fn kept(live: &Live, revision: u64, idle_until: Timestamp) -> SessionReply {
    let expires_at = live.ends_at.map_or(idle_until, |end| end.min(idle_until));
    SessionReply::Kept { revision, expires_at }
}

/// The first answer, from the request's own event. Of a session that is over, swept or not, nothing
/// is told: a retried create gets `Exists`, a patch `NotFound` as if it were new; a touch may be
/// decided twice.
pub(super) fn answer_again(
    state: &SessionState,
    events: &[SessionEvent],
    now: Timestamp,
) -> Again<Session> {
    let live = match state {
        SessionState::Live(live) if now < live.expires_at() => Some(live),
        SessionState::Absent | SessionState::Live(_) | SessionState::Ended { .. } => None,
    };
    match (events, live) {
        ([SessionEvent::SessionCreated(event)], Some(_)) => {
            Again::Reply(Ok(SessionReply::Shown(Box::new(fold::created(event)))))
        },
        ([SessionEvent::SessionImported(event)], Some(_)) => {
            Again::Reply(Ok(SessionReply::Shown(Box::new(fold::imported(event)))))
        },
        ([SessionEvent::SessionCreated(_) | SessionEvent::SessionImported(_)], None) => {
            Again::Reply(Err(SessionReject::Exists))
        },
        ([SessionEvent::SessionPatched(event)], Some(live)) => {
            Again::Reply(Ok(kept(live, event.revision, event.idle_until)))
        },
        ([SessionEvent::SessionPatched(_)], None) => Again::Reply(Err(SessionReject::NotFound)),
        ([SessionEvent::SessionEnded(event)], _) if event.reason == EndReason::Ended => {
            Again::Reply(Ok(SessionReply::Ended))
        },
        _ => Again::Decide,
    }
}
