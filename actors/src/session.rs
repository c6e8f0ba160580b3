//! A session of one subject in one tenant: attributes with a revision, an idle TTL and an
//! absolute age.
//!
//! ```text
//!   absent ──Create, Import──► live ──Touch, Patch──► live ──End, expiry, a restore──► ended
//! ```

mod attributes;
mod decide;
mod events;
mod fold;
mod limits;
mod personal;
mod sealed;
mod stored;

pub use attributes::Attributes;
pub use events::{
    EndReason, SessionCreated, SessionEnded, SessionEvent, SessionFenced, SessionImported,
    SessionPatched, SessionTouched,
};
pub use limits::{check_import, check_new, check_subject};
pub use sealed::Sealed;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::machine::{Again, Context, Decision, Illegal, Machine, Restart};
use crate::time::Timestamp;

/// Shortest and longest idle TTL, in milliseconds.
pub const TTL_MS: std::ops::RangeInclusive<u64> = 1_000..=30 * 24 * 3_600 * 1_000;
/// Longest absolute age, in milliseconds.
pub const MAX_AGE_MS: u64 = 366 * 24 * 3_600 * 1_000;
/// Most attributes of a session.
pub const MAX_ATTRIBUTES: usize = 64;
/// Most attributes that one patch sets and removes.
pub const MAX_CHANGES: usize = 2 * MAX_ATTRIBUTES;
/// All names and values of a session together, and of one patch, in bytes.
pub const MAX_ATTRIBUTE_BYTES: usize = 16 * 1024;
/// Longest tenant, subject or attribute name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// The machine of one session; its stream is `session/{tenant}/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {}

/// What a session's stream folds to.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum SessionState {
    /// No record yet.
    #[default]
    Absent,
    /// Created and not ended.
    Live(Live),
    /// Over, for good.
    Ended {
        /// How it ended.
        reason: EndReason,
        /// When.
        at: Timestamp,
    },
}

/// A session that has not ended; it may have run out without being swept yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Whose it is.
    pub tenant: SmolStr,
    /// Whom it is about; opaque.
    pub subject: SmolStr,
    /// Rises with each patch; the `ETag`.
    pub revision: u64,
    /// Values by name.
    pub attributes: Attributes,
    /// When it began.
    pub created_at: Timestamp,
    /// The last journaled activity.
    pub active_at: Timestamp,
    /// The idle TTL in milliseconds.
    pub ttl_ms: u64,
    /// When it ends unless it is touched.
    pub idle_until: Timestamp,
    /// When it ends whatever happens.
    pub ends_at: Option<Timestamp>,
}

impl Live {
    /// The moment from which it is readable no more.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.ends_at.map_or(self.idle_until, |end| end.min(self.idle_until))
    }
}

/// A session as it stood on another server.
#[derive(Debug, Clone, PartialEq)]
pub struct Elsewhere {
    /// Whose it is.
    pub tenant: String,
    /// Whom it is about.
    pub subject: String,
    /// Of its attributes.
    pub revision: u64,
    /// The idle TTL in milliseconds.
    pub ttl_ms: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// Its last journaled activity.
    pub active_at: Timestamp,
    /// When it ends unless it is touched.
    pub idle_until: Timestamp,
    /// When it ends whatever happens.
    pub ends_at: Option<Timestamp>,
    /// Values by name.
    pub attributes: Attributes,
}

/// What can be asked of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionCommand {
    /// Begin it.
    Create {
        /// Whose it is.
        tenant: String,
        /// Whom it is about; opaque, never an e-mail address or phone number.
        subject: String,
        /// The idle TTL in milliseconds.
        ttl_ms: u64,
        /// The absolute age in milliseconds.
        max_age_ms: Option<u64>,
        /// Values by name.
        attributes: BTreeMap<String, Sealed>,
    },
    /// Begin it as it stood elsewhere. Boxed: it is rare.
    Import(Box<Elsewhere>),
    /// It is in use.
    Touch,
    /// Set or remove attributes.
    Patch {
        /// Only if the revision is still this one.
        if_revision: Option<u64>,
        /// `Some` sets, `None` removes.
        changes: BTreeMap<String, Option<Sealed>>,
    },
    /// End it.
    End,
    /// Its subject was erased: end it, whether it has run out or not.
    Forget,
    /// Show it.
    Show,
    /// The first command after a restore: it is over, whether it has run out or not.
    /// See [`Machine::recover`].
    Fence {
        /// When the journal was restored.
        at: Timestamp,
    },
    /// A deadline has come.
    Due,
}

/// What a session answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SessionReply {
    /// Created, or shown. Boxed: the other answers are small.
    Shown(Box<Live>),
    /// Patched or touched: revision and end.
    Kept {
        /// The attribute revision.
        revision: u64,
        /// When it ends unless it is touched.
        expires_at: Timestamp,
    },
    /// It is over.
    Ended,
    /// A timer has done its work.
    Done,
}

/// Why a session says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum SessionReject {
    /// There is no such session, or it is over.
    #[error("no such session")]
    NotFound,
    /// Its id was used before.
    #[error("a session with this Idempotency-Key has existed; use a new key")]
    Exists,
    /// Someone else patched first.
    #[error("the session is at revision {current}")]
    Stale {
        /// The revision now.
        current: u64,
    },
    /// A subject that looks like personal data.
    #[error("the subject looks like {what}; use an opaque id")]
    PersonalSubject {
        /// What it looks like.
        what: &'static str,
    },
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Machine for Session {
    const KIND: &'static str = "session";
    type State = SessionState;
    type Command = SessionCommand;
    type Event = SessionEvent;
    type Reply = SessionReply;
    type Reject = SessionReject;

    fn decide(
        state: &SessionState,
        command: SessionCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, SessionReject> {
        decide::decide(state, command, context)
    }

    fn fold(state: &mut SessionState, event: &SessionEvent) -> Result<(), Illegal> {
        fold::fold(state, event)
    }

    /// A patch is answered by its revision and end: its values are not kept.
    fn remembered(event: &SessionEvent) -> SessionEvent {
        match event {
            SessionEvent::SessionPatched(event) => {
                let SessionPatched { revision, at, idle_until, changes: _ } = *event;
                SessionPatched { revision, at, idle_until, changes: Attributes::default() }.into()
            },
            SessionEvent::SessionCreated(_)
            | SessionEvent::SessionImported(_)
            | SessionEvent::SessionTouched(_)
            | SessionEvent::SessionEnded(_)
            | SessionEvent::SessionFenced(_) => event.clone(),
        }
    }

    fn deadline(state: &SessionState) -> Option<Timestamp> {
        match state {
            SessionState::Live(live) => Some(live.expires_at()),
            SessionState::Absent | SessionState::Ended { .. } => None,
        }
    }

    fn is_over(state: &SessionState) -> bool {
        matches!(state, SessionState::Ended { .. })
    }

    fn due() -> SessionCommand {
        SessionCommand::Due
    }

    fn recover(state: &SessionState, restart: Restart) -> Option<SessionCommand> {
        let fence = restart.fence.filter(|_| matches!(state, SessionState::Live(_)));
        fence.map(|at| SessionCommand::Fence { at })
    }

    fn answer_again(
        state: &SessionState,
        _request: &str,
        events: &[SessionEvent],
        now: Timestamp,
    ) -> Again<Self> {
        decide::answer_again(state, events, now)
    }
}
