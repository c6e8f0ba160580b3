//! Who asks a server to stop: SIGTERM, or an interrupt from the keyboard.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears from its making on: a signal that comes between two waits is not lost.
pub(in crate::cli) struct Stop {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Stop {
    /// Within a runtime.
    pub(in crate::cli) fn listen() -> Self {
        let [terminate, interrupt] =
            [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
        Self { terminate, interrupt }
    }

    /// Waits until somebody asks.
    pub(in crate::cli) async fn asked(&mut self) {
        tokio::select! {
            () = heard(&mut self.terminate) => {},
            () = heard(&mut self.interrupt) => {},
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
