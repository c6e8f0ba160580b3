//! What the clients did and were told, over all lives.
//!
//! ```text
//!   ask ──► Act { asked } ──────────────► answer ──► Act { asked, answered }
//!              │ step, time, head                      │ step, time, head
//! ```
//!
//! An act without an answer may have happened or not.

use mainstay_actors::gate::{Outcome, Permit};
use mainstay_actors::host::Answered;
use mainstay_actors::lock::{Lock, LockCommand};
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_actors::time::Timestamp;

/// A point on the clients' side of things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Rises with everything that any client does.
    pub(crate) step: u64,
    /// The host's clock.
    pub(crate) at: Timestamp,
    /// The newest durable position.
    pub(crate) head: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Lock(LockCommand),
    Session(SessionCommand),
}

#[derive(Debug, Clone)]
pub(crate) enum Said {
    Lock(Answered<Lock>),
    Session(Answered<Session>),
}

#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// `lock/l-1`
    pub(crate) stream: String,
    pub(crate) command: Command,
    /// The request id.
    pub(crate) key: Option<String>,
    pub(crate) asked: Moment,
    pub(crate) answered: Option<(Moment, Said)>,
}

/// A call that the gate let through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) permit: Permit,
    pub(crate) began: Moment,
    /// How it was reported, and when that began.
    pub(crate) reported: Option<(Outcome, Moment)>,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) acts: Vec<Act>,
    pub(crate) calls: Vec<Call>,
    steps: u64,
}

impl History {
    pub(crate) fn moment(&mut self, at: Timestamp, head: u64) -> Moment {
        self.steps += 1;
        Moment { step: self.steps, at, head }
    }

    /// How many acts were answered, by yes or no.
    pub(crate) fn answered(&self) -> usize {
        self.acts.iter().filter(|act| act.position().is_some()).count()
    }
}

impl Act {
    /// The durable place that the answer names, if it is a yes or a no of the entity.
    pub(crate) fn position(&self) -> Option<u64> {
        use mainstay_actors::host::Failure;
        let (_, said) = self.answered.as_ref()?;
        let at = match said {
            Said::Lock(Ok(receipt)) => receipt.at,
            Said::Session(Ok(receipt)) => receipt.at,
            Said::Lock(Err(Failure::Rejected { at, .. }))
            | Said::Session(Err(Failure::Rejected { at, .. })) => *at,
            Said::Lock(Err(_)) | Said::Session(Err(_)) => return None,
        };
        Some(at.position)
    }
}
