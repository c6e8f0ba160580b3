//! The gates: for callers in this process, and for those who ask through the keeper.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Host;
use crate::dependency::DependencyReject;
use crate::gate::{Admission, Board, Front, Outcome, Report};
use crate::host::gates;
use crate::host::message::Failure;
use crate::host::ticks::Ticks;

impl Host {
    /// The gates as callers in this process see them.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.inside.board
    }

    /// A dependency's gate for a caller in this process.
    #[must_use]
    pub fn front(&self, name: &str) -> Front {
        self.inside.called.store(true, Ordering::SeqCst);
        if let Some(ticks) = self.inside.ticks.get() {
            ticks.want();
        }
        self.inside.board.front(name)
    }

    /// Asks a dependency's gate whether a call may be made.
    ///
    /// # Errors
    /// The dependency is unknown, or see [`Failure`].
    pub async fn admit(&self, name: &str) -> Result<Admission, Failure<DependencyReject>> {
        let (reply_to, reply) = oneshot::channel();
        let admit = gates::Admit { name: name.to_owned(), reply_to };
        self.doors()?.keeper.try_send(admit).map_err(|_| GATE_BUSY)?;
        let mut asked = Asked { host: self, name, reply: Some(reply) };
        let answered = match asked.reply.as_mut() {
            Some(reply) => reply.await,
            None => return Err(Failure::Crashed),
        };
        asked.reply = None;
        answered.unwrap_or(Err(Failure::Crashed))
    }

    /// Tells a dependency's gate how calls went. Nothing durable is claimed.
    ///
    /// # Errors
    /// The dependency is unknown, or see [`Failure`].
    pub async fn record(
        &self,
        name: &str,
        reports: Vec<Report>,
    ) -> Result<(), Failure<DependencyReject>> {
        let (reply_to, reply) = oneshot::channel();
        let name = name.to_owned();
        let record = gates::Record { name, reports, reply_to: Some(reply_to) };
        self.doors()?.keeper.try_send(record).map_err(|_| GATE_BUSY)?;
        reply.await.unwrap_or(Err(Failure::Crashed))
    }

    /// As [`Host::record`], from any thread and without an answer: for probes.
    pub fn report(&self, name: &str, reports: Vec<Report>) {
        let Ok(doors) = self.doors::<DependencyReject>() else { return };
        let record = gates::Record { name: name.to_owned(), reports, reply_to: None };
        if doors.keeper.try_send(record).is_err() {
            tracing::warn!(name, "the gate's mailbox is full; a probe's outcome is not counted");
        }
    }

    /// The runtime of the host's own thread; `None` where the host has none of its own.
    #[must_use]
    pub fn runtime(&self) -> Option<Handle> {
        self.inside.runtime.get().cloned()
    }

    /// Callers have the time from now on. On a paused clock nobody calls this.
    pub(super) fn start_ticks(&self) {
        let Some(doors) = self.inside.doors.get() else { return };
        match Ticks::start(&self.inside.board, doors.clock) {
            Ok(ticks) => {
                let ticks = self.inside.ticks.get_or_init(|| ticks);
                if self.inside.called.load(Ordering::SeqCst) {
                    ticks.want();
                }
            },
            Err(error) => {
                tracing::error!(%error, "no thread for the tick: calls are timed coarsely");
            },
        }
    }
}

/// Dropped while it waits, as a cancelled future is, it gives back what it was given.
struct Asked<'h> {
    host: &'h Host,
    name: &'h str,
    reply: Option<oneshot::Receiver<Result<Admission, Failure<DependencyReject>>>>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let Some(mut reply) = self.reply.take() else { return };
        reply.close();
        if let Ok(Ok(Admission::Admitted(permit))) = reply.try_recv() {
            let outcome = Outcome::Ignored;
            let report = Report {
                permit: Some(permit),
                outcome,
                duration_us: 0,
                probe: false,
                injected: false,
            };
            self.host.report(self.name, vec![report]);
        }
    }
}

/// The gates do not take more; nothing happened.
const GATE_BUSY: Failure<DependencyReject> = Failure::Busy("the gate's mailbox");
