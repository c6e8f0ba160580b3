//! The moves of breakers, as they become durable, for whoever listens.
//!
//! ```text
//!   settled event ──► Sender, the host's ──► Moves of each listener, 1,024 behind at most
//! ```

use std::sync::Arc;

use mainstay_journal::Cursor;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::dependency::Mode;
use crate::time::Timestamp;

/// A breaker has moved, and the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Whose breaker.
    pub dependency: Arc<str>,
    /// From this state.
    pub from: Mode,
    /// To this one.
    pub to: Mode,
    /// Since when.
    pub at: Timestamp,
    /// The event that says so. One that moved without the journal is told when the journal takes
    /// events again, with where it stands then.
    pub cursor: Cursor,
}

/// What a listener was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A breaker has moved.
    Moved(Move),
    /// It listened too slowly: so many moves were left out, the newest follow.
    Missed(u64),
}

/// A listener, from the moment on at which it was made. It works on any executor.
#[derive(Debug)]
pub struct Moves(broadcast::Receiver<Move>);

impl Moves {
    /// The next move; `None` when the host has ended. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(moved) => Some(Heard::Moved(moved)),
            Err(RecvError::Lagged(count)) => Some(Heard::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Tells listeners; they end with it.
#[derive(Debug)]
pub(crate) struct Teller(broadcast::Sender<Move>);

/// Makes listeners, and keeps none.
#[derive(Debug)]
pub(crate) struct Listening(broadcast::WeakSender<Move>);

/// Moves that a listener may be behind.
const BEHIND: usize = 1_024;

impl Teller {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(crate) fn listening(&self) -> Listening {
        Listening(self.0.downgrade())
    }

    pub(crate) fn tell(&self, moved: Move) {
        // Nobody may listen.
        let _ = self.0.send(moved);
    }
}

impl Listening {
    pub(crate) fn listen(&self) -> Option<Moves> {
        self.0.upgrade().map(|sender| Moves(sender.subscribe()))
    }
}
