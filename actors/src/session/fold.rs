//! Folds a session's events.
//!
//! | event | absent | live | ended |
//! |---|---|---|---|
//! | `SessionCreated` | live at revision 1 | illegal | illegal |
//! | `SessionImported` | live as it stood elsewhere | illegal | illegal |
//! | `SessionTouched` | illegal | later end | illegal |
//! | `SessionPatched` | illegal | next revision, later end | illegal |
//! | `SessionEnded`, `SessionFenced` | illegal | ended | illegal |

use super::{
    EndReason, Live, SessionCreated, SessionEvent, SessionImported, SessionPatched, SessionState,
};
use crate::codec::Payload;
use crate::machine::Illegal;

pub(super) fn fold(state: &mut SessionState, event: &SessionEvent) -> Result<(), Illegal> {
    match (&mut *state, event) {
        (SessionState::Absent, SessionEvent::SessionCreated(event)) => {
            *state = SessionState::Live(created(event));
        },
        (SessionState::Absent, SessionEvent::SessionImported(event)) => {
            *state = SessionState::Live(imported(event));
        },
        (SessionState::Live(live), SessionEvent::SessionTouched(event)) => {
            live.active_at = event.at;
            live.idle_until = event.idle_until;
        },
        (SessionState::Live(live), SessionEvent::SessionPatched(event)) => patch(live, event)?,
        (SessionState::Live(_), SessionEvent::SessionEnded(event)) => {
            *state = SessionState::Ended { reason: event.reason, at: event.at };
        },
        (SessionState::Live(_), SessionEvent::SessionFenced(event)) => {
            *state = SessionState::Ended { reason: EndReason::Restored, at: event.at };
        },
        (SessionState::Absent | SessionState::Ended { .. }, event) => {
            return Err(Illegal::new(event.name(), "there is no live session"));
        },
        (
            SessionState::Live(_),
            SessionEvent::SessionCreated(_) | SessionEvent::SessionImported(_),
        ) => {
            return Err(Illegal::new(event.name(), "the session is live already"));
        },
    }
    Ok(())
}

/// The session as its first event leaves it.
pub(super) fn created(event: &SessionCreated) -> Live {
    Live {
        tenant: event.tenant.clone(),
        subject: event.subject.clone(),
        revision: 1,
        attributes: event.attributes.clone(),
        created_at: event.at,
        active_at: event.at,
        ttl_ms: event.ttl_ms,
        idle_until: event.idle_until,
        ends_at: event.ends_at,
    }
}

/// The same of one that came from elsewhere.
pub(super) fn imported(event: &SessionImported) -> Live {
    Live {
        tenant: event.tenant.clone(),
        subject: event.subject.clone(),
        revision: event.revision,
        attributes: event.attributes.clone(),
        created_at: event.created_at,
        active_at: event.active_at,
        ttl_ms: event.ttl_ms,
        idle_until: event.idle_until,
        ends_at: event.ends_at,
    }
}

fn patch(live: &mut Live, event: &SessionPatched) -> Result<(), Illegal> {
    if Some(event.revision) != live.revision.checked_add(1) {
        let reason = format!("revision {} after {}", event.revision, live.revision);
        return Err(Illegal::new("SessionPatched", reason));
    }
    live.attributes.patch(&event.changes);
    live.revision = event.revision;
    live.active_at = event.at;
    live.idle_until = event.idle_until;
    Ok(())
}
