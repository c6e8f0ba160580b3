//! The one thread that writes keys: many new ones share a sync.
//!
//! ```text
//!   make, make, destroy ──► bounded queue ──► write each slot ──► one sync ──► found ──► answers
//! ```
//!
//! After a failed sync nobody knows what lies on the disk: every later key is refused.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::slots::{Found, Slots};
use super::{Name, VaultError};

/// Asks that wait at most.
const QUEUE: usize = 4_096;
/// Asks that share a sync at most.
const GROUP: usize = 1_024;

/// The file of keys with its thread, which ends when this is dropped.
pub(super) struct Keeper {
    slots: Arc<Slots>,
    asks: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

struct Ask {
    name: Name,
    what: What,
    tell: oneshot::Sender<Result<(), VaultError>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Make,
    Destroy,
}

impl Keeper {
    pub(super) fn start(slots: Slots) -> io::Result<Self> {
        let slots = Arc::new(slots);
        let (asks, queue) = bounded(QUEUE);
        let writer = Writer { slots: slots.clone(), failed: None };
        let thread = std::thread::Builder::new().name("mainstay-keys".to_owned());
        let thread = Some(thread.spawn(move || writer.work(&queue))?);
        Ok(Self { slots, asks: Some(asks), thread })
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Makes a key for a subject that has none; it is on the disk then.
    pub(super) async fn make(&self, name: Name) -> Result<(), VaultError> {
        let asked = self.ask(name, What::Make)?;
        asked.await.unwrap_or(Err(VaultError::Closed))
    }

    /// Overwrites the subject's key, and waits for the disk.
    pub(super) fn destroy(&self, name: Name) -> Result<(), VaultError> {
        let asked = self.ask(name, What::Destroy)?;
        asked.blocking_recv().unwrap_or(Err(VaultError::Closed))
    }

    fn ask(
        &self,
        name: Name,
        what: What,
    ) -> Result<oneshot::Receiver<Result<(), VaultError>>, VaultError> {
        let (tell, told) = oneshot::channel();
        let asks = self.asks.as_ref().ok_or(VaultError::Closed)?;
        asks.try_send(Ask { name, what, tell }).map_err(|refused| match refused {
            TrySendError::Full(_) => VaultError::Busy,
            TrySendError::Disconnected(_) => VaultError::Closed,
        })?;
        Ok(told)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Without a sender the thread ends.
        self.asks.take();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Writer {
    slots: Arc<Slots>,
    /// Why nothing is written any more.
    failed: Option<VaultError>,
}

impl Writer {
    fn work(mut self, queue: &Receiver<Ask>) {
        while let Ok(first) = queue.recv() {
            let group: Vec<Ask> =
                std::iter::once(first).chain(queue.try_iter().take(GROUP)).collect();
            self.write(group);
        }
    }

    fn write(&mut self, group: Vec<Ask>) {
        let mut written = HashMap::new();
        let mut free = self.slots.free();
        let mut answers = Vec::with_capacity(group.len());
        for ask in group {
            let result = match &self.failed {
                Some(error) => Err(error.clone()),
                None => self.write_one(&ask, &mut written, &mut free),
            };
            answers.push((ask.tell, result));
        }
        if !written.is_empty() {
            match self.slots.sync() {
                Ok(()) => {
                    self.slots.publish(written.into_iter().map(|(name, (place, _))| (name, place)));
                },
                Err(error) => {
                    let why = format!("sync keys/subjects: {error}; restart to go on");
                    tracing::error!(%why, "no more keys are made or destroyed");
                    let failed = VaultError::Failed(why);
                    for (_, result) in &mut answers {
                        *result = Err(failed.clone());
                    }
                    self.failed = Some(failed);
                },
            }
        }
        for (tell, result) in answers {
            // Who left asks again.
            drop(tell.send(result));
        }
    }

    /// Writes one slot, to be synced with the others of its group.
    fn write_one(
        &self,
        ask: &Ask,
        written: &mut HashMap<Name, (u32, What)>,
        free: &mut u32,
    ) -> Result<(), VaultError> {
        let Ask { name, what, .. } = *ask;
        match (what, written.get(&name).map(|(_, what)| *what)) {
            (What::Make, Some(What::Make)) | (What::Destroy, Some(What::Destroy)) => return Ok(()),
            (What::Make, Some(What::Destroy)) => return Err(VaultError::Erased),
            (What::Make, None) => match self.slots.find(name)? {
                Found::Live(_) => return Ok(()),
                Found::Erased => return Err(VaultError::Erased),
                Found::Damaged => return Err(VaultError::Damaged),
                Found::Nothing => {},
            },
            (What::Destroy, _) => {},
        }
        let known = match written.get(&name) {
            Some((place, _)) => Some(*place),
            None => self.slots.place(name)?,
        };
        let place = known.unwrap_or(*free);
        self.slots.reach(place.saturating_add(1))?;
        match what {
            What::Make => self.slots.write_key(name, place)?,
            What::Destroy => self.slots.write_erased(name, place)?,
        }
        *free = (*free).max(place.saturating_add(1));
        written.insert(name, (place, what));
        Ok(())
    }
}
