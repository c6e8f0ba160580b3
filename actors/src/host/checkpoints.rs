//! When checkpoints are made, and the thread that makes them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use mainstay_journal::EventLog;

use super::checkpoint;

/// Asks for a checkpoint every so many events; ends its thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    every: u64,
    next: Cell<u64>,
    ask: RefCell<Option<SyncSender<Arc<dyn EventLog>>>>,
    stop: Arc<AtomicBool>,
    thread: RefCell<Option<JoinHandle<()>>>,
}

impl Checkpoints {
    /// The last one was made at `kept`; none is made if `every` is 0.
    pub(crate) fn new(every: u64, kept: u64) -> Self {
        let next = Cell::new(kept.saturating_add(every));
        let (ask, thread) = (RefCell::default(), RefCell::default());
        Self { every, next, ask, stop: Arc::default(), thread }
    }

    /// Everything up to `durable` is in the journal.
    pub(crate) fn consider(&self, durable: u64, log: &Arc<dyn EventLog>) {
        if self.every == 0 || durable < self.next.get() {
            return;
        }
        self.next.set(durable.saturating_add(self.every));
        if self.ask.borrow().is_none() {
            self.start();
        }
        if let Some(ask) = &*self.ask.borrow() {
            // One is being made: the next comes when it is over.
            if ask.try_send(log.clone()).is_err() {
                self.next.set(durable.saturating_add(self.every / 4));
            }
        }
    }

    fn start(&self) {
        let (ask, asked) = sync_channel::<Arc<dyn EventLog>>(1);
        let stop = self.stop.clone();
        let work = move || {
            while let Ok(log) = asked.recv() {
                match checkpoint::write(&*log, &|| stop.load(Ordering::Relaxed)) {
                    Ok(position) => tracing::debug!(position, "checkpoint"),
                    // The last one is as good as before.
                    Err(reason) => tracing::debug!(%reason, "no checkpoint was made"),
                }
            }
        };
        let thread = std::thread::Builder::new().name("mainstay-checkpoints".to_owned());
        *self.thread.borrow_mut() = thread.spawn(work).ok();
        *self.ask.borrow_mut() = Some(ask);
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ask.take();
        // It looks at `stop` often.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
