//! A subject of a tenant: what people decided about their data, and whether they were forgotten.
//!
//! ```text
//!   open ──HoldPlaced──► held ──HoldLifted──► open ──SubjectErased──► erased, for good
//!     └─ ConsentRecorded, SubjectExported, SubjectRectified, SubjectImported: open and held alike
//! ```
//!
//! It holds no value of anybody: those lie in sessions, sealed.

mod decide;
mod events;
mod fold;

pub use events::{
    ConsentRecorded, ErasureFinished, HoldLifted, HoldPlaced, SubjectErased, SubjectEvent,
    SubjectExported, SubjectImported, SubjectRectified,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::{Again, Context, Decision, Illegal, Machine};
use crate::time::Timestamp;

/// Most types of consent of a subject.
pub const MAX_CONSENTS: usize = 64;
/// Longest type of consent, version of a text or reason, in bytes.
pub const MAX_TEXT_BYTES: usize = 200;

/// The machine of one subject; its stream is `subject/{tenant}/{subject}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {}

/// What a subject's stream folds to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubjectState {
    /// The last consent of each type.
    pub consents: BTreeMap<String, Consent>,
    /// Why it must not be erased at this moment.
    pub hold: Option<Hold>,
    /// It was forgotten.
    pub erased: Option<Erasure>,
}

/// What somebody decided about one use of their data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// `false`: refused or withdrawn.
    pub granted: bool,
    /// Which version of the text they read.
    pub text_version: String,
    /// Who recorded it.
    pub by: String,
    /// When they decided.
    pub at: Timestamp,
}

/// A legal hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// An erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Erasure {
    /// When.
    pub at: Timestamp,
    /// How many live sessions ended with it, once its key is destroyed and they are over.
    pub sessions_ended: Option<u64>,
}

/// What can be asked of a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum SubjectCommand {
    /// They decided.
    RecordConsent {
        /// About what.
        consent: String,
        /// What.
        granted: bool,
        /// Which version of the text they read.
        text_version: String,
    },
    /// Nothing of it may be erased from now on, or it may again.
    SetHold {
        /// Whether.
        held: bool,
        /// Why.
        reason: String,
    },
    /// Everything about it is about to be read by the caller.
    Export,
    /// Attributes were put right.
    Rectify {
        /// Which.
        names: Vec<String>,
        /// In how many sessions.
        sessions: u64,
    },
    /// It comes from elsewhere.
    Import {
        /// By type.
        consents: BTreeMap<String, Consent>,
        /// How many sessions follow.
        sessions: u64,
    },
    /// Forget it.
    Erase,
    /// Its key is destroyed, and its sessions are over.
    FinishErasure {
        /// How many lived until then.
        sessions_ended: u64,
    },
    /// Show it.
    Show,
}

/// What a subject answers: itself, after the command.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SubjectReply(pub SubjectState);

/// Why a subject says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum SubjectReject {
    /// It was forgotten.
    #[error("the subject was erased; nothing about it can be written or read any more")]
    Erased,
    /// It must not be erased.
    #[error("the subject is held: {why}; lift the hold first")]
    Held {
        /// Why.
        why: String,
    },
    /// An import must not mix with what is there.
    #[error("something about this subject is here already; erase it or import another")]
    Exists,
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Machine for Subject {
    const KIND: &'static str = "subject";
    type State = SubjectState;
    type Command = SubjectCommand;
    type Event = SubjectEvent;
    type Reply = SubjectReply;
    type Reject = SubjectReject;

    fn decide(
        state: &SubjectState,
        command: SubjectCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, SubjectReject> {
        decide::decide(state, command, context)
    }

    fn fold(state: &mut SubjectState, event: &SubjectEvent) -> Result<(), Illegal> {
        fold::fold(state, event)
    }

    fn deadline(_state: &SubjectState) -> Option<Timestamp> {
        None
    }

    fn is_over(state: &SubjectState) -> bool {
        state.erased.is_some_and(|erasure| erasure.sessions_ended.is_some())
    }

    fn due() -> SubjectCommand {
        SubjectCommand::Show
    }

    fn answer_again(
        state: &SubjectState,
        _request: &str,
        events: &[SubjectEvent],
        _now: Timestamp,
    ) -> Again<Self> {
        decide::answer_again(state, events)
    }
}
