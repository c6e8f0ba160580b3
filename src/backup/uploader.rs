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
mod work;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use mainstay_actors::time::Timestamp;
use mainstay_journal::EventLog;

use self::work::Work;
use super::error::BackupError;
use super::manifest::Manifest;
use super::place::Place;
use super::retain::Keep;
use super::schedule::Schedule;
use super::seal::Recipients;

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
        // Until the target has been asked, a backup is due.
        let status = Mutex::new(Status { due: Some(now()), ..Status::default() });
        let shared = Arc::new(Shared { duty, log, status, tell, now });
        let (requests, asked) = bounded(16);
        let work = Work::new(Arc::clone(&shared), asked);
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
        let busy = |_| BackupError::Here("the uploader is busy: try again".to_owned());
        requests.try_send(Request::Backup(answer)).map_err(busy)?;
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
            .map_err(|_| "the uploader is busy, or has ended")?;
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
