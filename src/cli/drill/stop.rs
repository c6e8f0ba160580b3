//! An interrupt ends a drill or a scenario at its next step, so that it removes what it made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::exit::Failed;

/// Set once somebody asked.
pub(in crate::cli) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Hears SIGINT and SIGTERM from now on.
    pub(in crate::cli) fn listen() -> Result<Self, Failed> {
        let failed = |error: std::io::Error| Failed::work(format!("listen to signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("mainstay-signals".to_owned());
        let listen = move || {
            runtime.block_on(async {
                let mut stop = crate::cli::serve::Stop::listen();
                // Who waits is there.
                let _ = ready.send(());
                stop.asked().await;
            });
            set.store(true, Ordering::Relaxed);
        };
        thread.spawn(listen).map_err(failed)?;
        let _ = is_ready.recv();
        Ok(Self(flag))
    }

    pub(in crate::cli) fn flag(&self) -> &AtomicBool {
        &self.0
    }
}
