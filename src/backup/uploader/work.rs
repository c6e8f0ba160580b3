//! The thread that ships, turn by turn.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use mainstay_actors::time::Timestamp;

use super::{News, Request, Shared};
use crate::backup::claim;
use crate::backup::error::BackupError;
use crate::backup::list;
use crate::backup::manifest::Manifest;
use crate::backup::retain::{self, Keep};
use crate::backup::ship::{Origin, Shipper};
use crate::backup::target::Target;

/// The tail is shipped at most this often.
const PACE: Duration = Duration::from_millis(400);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// The tail's small pieces become large ones when there are so many, or after so many turns.
const MOST_SMALL: usize = 256;
const JOIN_AFTER_MS: u64 = 300_000;
/// A scheduled backup that failed is tried again after this.
const AGAIN_MS: u64 = 60_000;

/// The thread that ships.
pub(super) struct Work {
    shared: Arc<Shared>,
    asked: Receiver<Request>,
    shipper: Option<Shipper>,
    joined: Option<Timestamp>,
    /// The target has been written to: one that is not there any more is not made anew.
    has_begun: bool,
    /// A backup that failed is not tried again before.
    not_before: Timestamp,
}

impl Work {
    pub(super) fn new(shared: Arc<Shared>, asked: Receiver<Request>) -> Self {
        let not_before = Timestamp::from_micros(0);
        Self { shared, asked, shipper: None, joined: None, has_begun: false, not_before }
    }

    pub(super) fn run(mut self) {
        loop {
            let failed = self.turn();
            let pause = match &failed {
                Ok(()) => PACE,
                Err(error) => {
                    self.trouble(error);
                    PAUSE
                },
            };
            match self.asked.recv_timeout(pause) {
                Ok(request) => self.answer(request),
                Err(RecvTimeoutError::Timeout) => {},
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // What is durable by now goes along, if the target takes it at once.
        if self.shared.duty.continuous && self.shipper.is_some() {
            drop(self.ship());
        }
    }

    fn trouble(&mut self, error: &BackupError) {
        let reason = error.to_string();
        let mut status = self.shared.status();
        if status.trouble.as_ref() != Some(&reason) {
            tracing::warn!(target = %self.shared.duty.place, reason, "backups do not get on");
        }
        status.trouble = Some(reason);
        drop(status);
        // Whatever it knew of the target is read anew.
        self.shipper = None;
    }

    fn turn(&mut self) -> Result<(), BackupError> {
        if self.shared.log.head().position == 0 {
            return Ok(());
        }
        self.shipper()?;
        if self.shared.duty.continuous {
            self.ship()?;
            self.join()?;
        }
        let due = self.shared.status().due;
        if due.is_some_and(|due| due.max(self.not_before) <= self.shared.now()) {
            self.scheduled()?;
        }
        self.shared.status().trouble = None;
        Ok(())
    }

    fn shipper(&mut self) -> Result<&mut Shipper, BackupError> {
        if self.shipper.is_none() {
            let Shared { duty, log, .. } = &*self.shared;
            let target = Target::open(&duty.place, !self.has_begun)?;
            if self.has_begun && claim::journal_of(&target)?.is_none() {
                return Err(BackupError::NotATarget { target: target.shown().to_owned() });
            }
            let head = log.head();
            let mut journal = None;
            log.blocks(head.position, head.position, &mut |block| {
                journal = Some(block.journal);
                ControlFlow::Break(())
            })?;
            let nothing = || BackupError::Here("the journal has no blocks".to_owned());
            let journal = journal.ok_or_else(nothing)?;
            let from = Origin { log: &**log, data: &duty.data, journal, epoch: head.epoch };
            let shipper = Shipper::begin(&from, &target, &duty.recipients, "serve")?;
            let newest = list::all(&target)?.into_iter().next();
            let mut status = self.shared.status();
            status.shipped = Some(shipper.shipped());
            let now = self.shared.now();
            // The first one is due at once. A time to come is a clock's mistake.
            let next = |last: Timestamp| duty.schedule.next(last.min(now));
            status.due = newest.as_ref().map_or(Some(now), |it| next(it.made_at));
            status.newest = newest.map(|it| (it.id, it.made_at));
            drop(status);
            self.has_begun = true;
            self.shipper = Some(shipper);
            // An erasure may wait for it.
            let log = Arc::clone(&self.shared.log);
            if let Some(shipper) = &mut self.shipper {
                shipper.ship_keys(&*log)?;
            }
        }
        self.shipper.as_mut().ok_or_else(|| BackupError::Here("no target".to_owned()))
    }

    fn ship(&mut self) -> Result<(), BackupError> {
        let shared = Arc::clone(&self.shared);
        let shipped = self.shipper()?.ship(&*shared.log, &mut |_, _| {})?;
        shared.status().shipped = Some(shipped);
        Ok(())
    }

    /// Many small pieces become one.
    fn join(&mut self) -> Result<(), BackupError> {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        let since = *self.joined.get_or_insert(now);
        let shipper = self.shipper()?;
        let (_, pieces) = shipper.tail();
        let old = pieces > 1 && now.ms_since(since) >= JOIN_AFTER_MS;
        if pieces >= MOST_SMALL || old {
            shipper.join_only(&*shared.log)?;
            self.joined = Some(now);
        }
        Ok(())
    }

    /// The backup that is due; what comes of it is told.
    fn scheduled(&mut self) -> Result<(), BackupError> {
        self.not_before = self.shared.now().plus_ms(AGAIN_MS);
        self.back_up()?;
        let next = self.shared.duty.schedule.next(self.shared.now());
        self.shared.status().due = next;
        Ok(())
    }

    fn back_up(&mut self) -> Result<Manifest, BackupError> {
        let began = self.shared.now();
        match self.make() {
            Ok(manifest) => {
                let now = self.shared.now();
                let mut status = self.shared.status();
                status.made += 1;
                status.newest = Some((manifest.id.clone(), manifest.made_at));
                status.trouble = None;
                drop(status);
                let took_ms = now.ms_since(began);
                (self.shared.tell)(News::Made { manifest: Box::new(manifest.clone()), took_ms });
                Ok(manifest)
            },
            Err(error) => {
                self.shared.status().failed += 1;
                (self.shared.tell)(News::Failed { reason: error.to_string() });
                Err(error)
            },
        }
    }

    fn make(&mut self) -> Result<Manifest, BackupError> {
        let shared = Arc::clone(&self.shared);
        self.ship()?;
        let keep = shared.duty.keep;
        let shipper = self.shipper()?;
        let manifest = shipper.seal(&*shared.log, shared.now())?;
        // It is made, whatever becomes of the older ones.
        if let Err(error) = shipper.prune(&keep, shared.now()) {
            tracing::warn!(%error, "older backups are not pruned");
        }
        Ok(manifest)
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Keys(answer) => {
                let log = Arc::clone(&self.shared.log);
                let shipped = self.shipper().and_then(|shipper| shipper.ship_keys(&*log));
                if let Err(error) = &shipped {
                    self.trouble(error);
                }
                // Who waits no longer asks again.
                let _ = answer.send(shipped.map_err(|error| error.to_string()));
            },
            Request::Backup(answer) => {
                let made = self.back_up();
                if let Err(error) = &made {
                    self.trouble(error);
                }
                let _ = answer.send(made);
            },
        }
    }
}

impl Shipper {
    /// Removes what retention does not keep.
    fn prune(&self, keep: &Keep, now: Timestamp) -> Result<(), BackupError> {
        let pruning = retain::plan(self.target(), keep, now)?;
        retain::carry_out(self.target(), &pruning, self.claim(), &mut |_, _| {})
    }
}
