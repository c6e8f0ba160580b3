//! A mainstay's own backups, as its configuration says: they begin when it is ready.
//!
//! ```text
//!   [backup] ─► Backups ── once ready ─► Uploader ─► news ─► system/backups in the journal
//!                  ▲
//!   erasure ─► the key is destroyed here, then over there: it is finished after both
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_actors::host::{Host, Meta, SubjectKeys};
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{BACKUPS, Operation, System, SystemCommand};
use mainstay_journal::StreamId;

use super::error::BackupError;
use super::list::{self, Held};
use super::manifest::Manifest;
use super::place::Place;
use super::retain::Keep;
use super::schedule::Schedule;
use super::seal::Recipients;
use super::target::Target;
use super::uploader::{Duty, News, Status, Uploader};
use crate::config::Config;
use crate::vault::Vault;

/// Events that have waited for longer are an alarm.
const ALARM_AFTER_MS: u64 = 7_500;
/// How long an erasure waits for the target each time.
const KEYS_WITHIN: Duration = Duration::from_secs(10);
/// How long news waits for the journal.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// The backups of a mainstay.
#[derive(Debug, Default)]
pub struct Backups {
    duty: Option<Duty>,
    uploader: Mutex<Option<Arc<Uploader>>>,
    ended: AtomicBool,
}

impl Backups {
    /// As the configuration says; none, if it names no target.
    ///
    /// # Errors
    /// What is wrong with it; a configuration that was read has been checked.
    pub fn of(config: &Config) -> Result<Arc<Self>, String> {
        let backup = &config.backup;
        let duty = backup.to.as_deref().map(|to| {
            Ok::<_, String>(Duty {
                data: config.server.data.clone(),
                place: Place::parse(to, backup.secret_file.as_deref())?,
                recipients: Recipients::parse(backup.recipients.iter())?,
                continuous: backup.continuous,
                schedule: Schedule::of(backup.every, backup.at.as_deref())?,
                keep: Keep::from(backup.keep),
                alarm_after_ms: ALARM_AFTER_MS,
            })
        });
        Ok(Arc::new(Self { duty: duty.transpose()?, ..Self::default() }))
    }

    /// Begins once the host is ready; returns at once.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(self: &Arc<Self>, host: &Host) -> std::io::Result<()> {
        let Some(duty) = self.duty.clone() else { return Ok(()) };
        let (backups, host) = (Arc::clone(self), host.clone());
        let thread = std::thread::Builder::new().name("mainstay-backup-start".to_owned());
        thread.spawn(move || backups.begin(duty, &host)).map(drop)
    }

    fn begin(&self, duty: Duty, host: &Host) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(host.ready()).is_err() {
            return;
        }
        let Some(log) = host.log() else { return };
        let clock = host.clone();
        let now = Arc::new(move || clock.now().unwrap_or_default());
        let mut held = self.held();
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        match Uploader::start(duty, log, Box::new(teller(host)), now) {
            Ok(uploader) => *held = Some(Arc::new(uploader)),
            Err(error) => tracing::error!(%error, "backups cannot be started"),
        }
    }

    /// Whether a target is configured.
    #[must_use]
    pub fn are_configured(&self) -> bool {
        self.duty.is_some()
    }

    /// What is configured.
    #[must_use]
    pub fn duty(&self) -> Option<&Duty> {
        self.duty.as_ref()
    }

    /// How they stand; `None` before they have begun.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.held().as_ref().map(|uploader| uploader.status())
    }

    /// Makes a backup now, and waits for it: not for a thread that runs futures.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn back_up(&self) -> Result<Manifest, BackupError> {
        let uploader = self.held().clone();
        uploader.ok_or_else(|| BackupError::Usage(NONE.to_owned()))?.back_up()
    }

    /// What the target holds; waits for it.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn list(&self) -> Result<Held, BackupError> {
        let duty = self.duty.as_ref().ok_or_else(|| BackupError::Usage(NONE.to_owned()))?;
        list::list(&Target::open(&duty.place, false)?)
    }

    /// Ends them, and waits for what is under way.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let uploader = self.held().take();
        drop(uploader);
    }

    /// The target's keys of subjects are as they are here.
    fn ship_keys(&self) -> Result<(), String> {
        if self.duty.is_none() {
            return Ok(());
        }
        let uploader = self.held().clone();
        uploader.ok_or("backups have not begun, or have ended")?.ship_keys(KEYS_WITHIN)
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Uploader>>> {
        self.uploader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NONE: &str = "no target is configured, or the server is not ready: set backup.to";

/// Puts news into the journal. Backups go on if it does not take it.
fn teller(host: &Host) -> impl Fn(News) + Send + Sync + 'static {
    let host = host.clone();
    move |news| {
        let operation = match news {
            News::Made { manifest, took_ms } => Operation::BackupMade {
                id: manifest.id.clone(),
                position: manifest.position,
                objects: manifest.pieces.len() as u64,
                size_bytes: manifest.size_bytes(),
                took_ms,
            },
            News::Failed { reason } => Operation::BackupFailed { reason },
            News::Alarm { reason, behind } => Operation::BackupsStalled { reason, behind },
            News::Over { lasted_ms } => Operation::BackupsResumed { lasted_ms },
        };
        let Some(stream) = StreamId::new(System::KIND, BACKUPS) else { return };
        let meta = Meta::of(&Arc::from("system:backup"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        let told = runtime.block_on(async {
            let asked = host.ask::<System>(stream, SystemCommand::Record(operation), meta);
            tokio::time::timeout(TOLD_WITHIN, asked).await
        });
        if !matches!(told, Ok(Ok(_))) {
            tracing::warn!("what became of backups is not in the journal");
        }
    }
}

/// The keys of subjects, here and in the target.
#[derive(Debug)]
pub(crate) struct Everywhere {
    pub(crate) vault: Arc<Vault>,
    pub(crate) backups: Arc<Backups>,
}

impl SubjectKeys for Everywhere {
    fn destroy(&self, tenant: &str, subject: &str) -> Result<(), String> {
        SubjectKeys::destroy(&*self.vault, tenant, subject)
    }

    fn gone_elsewhere(&self) -> Result<(), String> {
        self.backups.ship_keys().map_err(|reason| format!("in the backup target: {reason}"))
    }
}
