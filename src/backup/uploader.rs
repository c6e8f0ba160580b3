//! The server's own backups: a thread that ships, and one that raises the alarm when it does not.
//!
//! ```text
//!   journal ─► wait ─► ship the tail ──► large enough, old enough: join it ──► due: a backup, prune
//!               ▲          │ within a second, if continuous                        │
//!            requests      └───────────── shared: how far it is ──────────────────┘
//!                                                 │
//!                        watch, each second: behind for too long? late? ended? ─► alarm, event
//! ```
//!
//! What fails is tried again after a pause; the journal keeps what was not shipped.

mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use mainstay_actors::time::Timestamp;
use mainstay_journal::EventLog;

use super::error::BackupError;
use super::list;
use super::manifest::Manifest;
use super::place::Place;
use super::retain::{self, Keep};
use super::schedule::Schedule;
use super::seal::Recipients;
use super::ship::{Origin, Shipper};
use super::target::Target;

/// The tail is shipped at most this often.
const PACE: Duration = Duration::from_millis(400);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// The tail's small pieces become large ones when there are so many, or after so many turns.
const MOST_SMALL: usize = 256;
const JOIN_AFTER_MS: u64 = 300_000;

/// What is shipped, whereto, how often.
#[derive(Debug, Clone)]
pub struct Duty {
    /// The data directory.
    pub data: PathBuf,
    /// The target.
    pub place: Place,
    /// Who can open it.
    pub recipients: Recipients,
    /// Whether every event is shipped at once.
    pub continuous: bool,
    /// When a backup is made.
    pub schedule: Schedule,
    /// Which ones stay.
    pub keep: Keep,
    /// Behind for so long, it is an alarm.
    pub alarm_after_ms: u64,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Every event up to here is in the target; `None` before that is known.
    pub shipped: Option<u64>,
    /// Durable events that are not there yet.
    pub behind: u64,
    /// For how long the oldest of them has waited, in milliseconds.
    pub behind_ms: u64,
    /// The newest backup.
    pub newest: Option<(String, Timestamp)>,
    /// When the next one is due.
    pub due: Option<Timestamp>,
    /// Backups that were made, and that failed, since the start.
    pub made: u64,
    /// See `made`.
    pub failed: u64,
    /// What went wrong last, until something goes well.
    pub trouble: Option<String>,
    /// Why the alarm is raised.
    pub alarm: Option<String>,
}

/// What is worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A backup was made.
    Made {
        /// It.
        manifest: Box<Manifest>,
        /// How long that took.
        took_ms: u64,
    },
    /// One was due, and was not made.
    Failed {
        /// Why.
        reason: String,
    },
    /// Events are not shipped, or a backup is late.
    Alarm {
        /// Why.
        reason: String,
        /// Events that are not shipped.
        behind: u64,
    },
    /// The alarm is over.
    Over {
        /// How long it was raised.
        lasted_ms: u64,
    },
}

/// Takes news; returns when it is told.
pub type Tell = Box<dyn Fn(News) + Send + Sync>;
/// What time it is.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What somebody waits for.
enum Request {
    Keys(Sender<Result<(), String>>),
    Backup(Sender<Result<Manifest, BackupError>>),
}

/// A running uploader; it ends with this value, which waits for what is under way.
#[derive(Debug)]
pub struct Uploader {
    shared: Arc<Shared>,
    requests: Option<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
    stop: Option<Sender<()>>,
}

struct Shared {
    duty: Duty,
    log: Arc<dyn EventLog>,
    status: Mutex<Status>,
    tell: Tell,
    now: Now,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("duty", &self.duty).finish_non_exhaustive()
    }
}

impl Uploader {
    /// Starts both threads.
    ///
    /// # Errors
    /// There are none to be had.
    pub fn start(
        duty: Duty,
        log: Arc<dyn EventLog>,
        tell: Tell,
        now: Now,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { duty, log, status: Mutex::default(), tell, now });
        let (requests, asked) = bounded(16);
        let work = Work {
            shared: Arc::clone(&shared),
            asked,
            shipper: None,
            last_ship: None,
            joined: None,
        };
        let uploader = std::thread::Builder::new().name("mainstay-backup".to_owned());
        let uploader = uploader.spawn(move || work.run())?;
        let (stop, stopped) = bounded(0);
        let watched = Arc::clone(&shared);
        let watcher = std::thread::Builder::new().name("mainstay-backup-watch".to_owned());
        let watcher = watcher.spawn(move || {
            watch::run(&watched, &uploader, &stopped);
            // Nobody asks any more: it ends by itself.
            drop(uploader.join());
        })?;
        Ok(Self { shared, requests: Some(requests), threads: vec![watcher], stop: Some(stop) })
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }

    /// Where it ships to, as it may be shown.
    #[must_use]
    pub fn target(&self) -> String {
        self.shared.duty.place.to_string()
    }

    /// Whether every event is shipped at once.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        self.shared.duty.continuous
    }

    /// Makes a backup now, and waits for it.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn back_up(&self) -> Result<Manifest, BackupError> {
        let ended = || BackupError::Here("the uploader has ended".to_owned());
        let (answer, answered) = bounded(1);
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.try_send(Request::Backup(answer)).map_err(|_| ended())?;
        answered.recv().map_err(|_| ended())?
    }

    /// Writes the keys of subjects over there as they are here, and waits for it, at most `limit`.
    ///
    /// # Errors
    /// Why they are not there yet.
    pub fn ship_keys(&self, limit: Duration) -> Result<(), String> {
        let (answer, answered) = bounded(1);
        let requests = self.requests.as_ref().ok_or("the uploader has ended")?;
        requests
            .try_send(Request::Keys(answer))
            .map_err(|_| "the uploader has ended or is busy")?;
        answered.recv_timeout(limit).map_err(|_| "the target has not answered yet")?
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        drop(self.requests.take());
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        (self.now)()
    }
}

/// The thread that ships.
struct Work {
    shared: Arc<Shared>,
    asked: Receiver<Request>,
    shipper: Option<Shipper>,
    last_ship: Option<Timestamp>,
    joined: Option<Timestamp>,
}

impl Work {
    fn run(mut self) {
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
        if due.is_some_and(|due| due <= self.shared.now()) {
            self.scheduled()?;
        }
        self.shared.status().trouble = None;
        Ok(())
    }

    fn shipper(&mut self) -> Result<&mut Shipper, BackupError> {
        if self.shipper.is_none() {
            let Shared { duty, log, .. } = &*self.shared;
            let target = Target::open(&duty.place, true)?;
            let head = log.head();
            let mut journal = None;
            log.blocks(head.position, head.position, &mut |block| {
                journal = Some(block.journal);
                std::ops::ControlFlow::Break(())
            })?;
            let nothing = || BackupError::Here("the journal has no blocks".to_owned());
            let journal = journal.ok_or_else(nothing)?;
            let from = Origin { log: &**log, data: &duty.data, journal, epoch: head.epoch };
            let shipper = Shipper::begin(&from, &target, &duty.recipients, "serve")?;
            let newest = list::newest(&target, |_| true)?;
            let mut status = self.shared.status();
            status.shipped = Some(shipper.shipped());
            let last = newest.as_ref().map_or(Timestamp::from_micros(0), |it| it.made_at);
            // A time to come is a clock's mistake: the next one is counted from now.
            status.due = duty.schedule.next(last.min(self.shared.now()));
            status.newest = newest.map(|it| (it.id, it.made_at));
            drop(status);
            self.shipper = Some(shipper);
        }
        self.shipper.as_mut().ok_or_else(|| BackupError::Here("no target".to_owned()))
    }

    fn ship(&mut self) -> Result<(), BackupError> {
        let shared = Arc::clone(&self.shared);
        let shipped = self.shipper()?.ship(&*shared.log, &mut |_, _| {})?;
        shared.status().shipped = Some(shipped);
        self.last_ship = Some(shared.now());
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
        let made = self.back_up().map(drop);
        let now = self.shared.now();
        let next = self.shared.duty.schedule.next(now);
        self.shared.status().due = next;
        made
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
        shipper.prune(&keep, shared.now())?;
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

impl super::ship::Shipper {
    /// Removes what retention does not keep.
    fn prune(&self, keep: &Keep, now: Timestamp) -> Result<(), BackupError> {
        let pruning = retain::plan(self.target(), keep, now)?;
        retain::carry_out(self.target(), &pruning, self.claim(), &mut |_, _| {})
    }
}
