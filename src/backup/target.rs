//! Where backups lie: a directory or a bucket, as a few verbs that wait.
//!
//! ```text
//!   put      over what is there        create   unless something is there
//!   get      all of it                 list     names behind a prefix, with sizes and times
//! ```
//!
//! What [`Target::put`] and [`Target::create`] have returned of is durable there: a directory is synced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mainstay_actors::time::Timestamp;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use tokio::runtime::Runtime;

use super::place::Place;

/// A target, opened. Clones are the same. Not for a thread that runs futures: every verb waits.
#[derive(Debug, Clone)]
pub struct Target {
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
    /// As it may be shown: without credentials.
    shown: String,
    /// Who writes to it shows so often that it lives.
    beat: Duration,
    /// Where it lies, if it is a directory.
    directory: Option<PathBuf>,
}

/// How often who writes to a target shows that it lives.
const BEAT: Duration = Duration::from_millis(1_500);

/// Why a target did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is nothing at that place.
    #[error("{target}: {reason}")]
    NotThere {
        /// The target.
        target: String,
        /// What is missing.
        reason: String,
    },
    /// It has no room.
    #[error("{doing} {object} in {target}: there is no room left")]
    NoRoom {
        /// What was being done.
        doing: &'static str,
        /// To which object.
        object: String,
        /// The target.
        target: String,
    },
    /// It cannot be reached, or says no.
    #[error("{doing} {object} in {target}: {reason}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// To which object.
        object: String,
        /// The target.
        target: String,
        /// What it answered.
        reason: String,
    },
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its whole name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was written last, by the target's clock.
    pub modified: Timestamp,
}

impl Target {
    /// Opens a place; a directory is made if `create`.
    ///
    /// # Errors
    /// [`TargetError::NotThere`], or what the place says.
    pub fn open(place: &Place, create: bool) -> Result<Self, TargetError> {
        let target = Self::over(place.store(create)?, place.to_string())?;
        Ok(Self { directory: place.directory().map(Path::to_path_buf), ..target })
    }

    /// Removes what a writer that was killed has left half-written in a directory. Only who has the
    /// claim may.
    pub(super) fn sweep(&self) -> std::io::Result<()> {
        let mut folders: Vec<PathBuf> = self.directory.iter().cloned().collect();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let half = name.to_str().and_then(|name| name.rsplit_once('#'));
                let half = half.is_some_and(|(_, number)| number.parse::<u64>().is_ok());
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if half {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Over any store: for tests.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn over(store: Arc<dyn ObjectStore>, shown: String) -> Result<Self, TargetError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).max_blocking_threads(4).enable_all();
        let runtime = builder.thread_name("mainstay-target").build();
        let runtime = runtime.map_err(|error| TargetError::Failed {
            doing: "open",
            object: "a runtime".to_owned(),
            target: shown.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self { store, runtime: Arc::new(runtime), shown, beat: BEAT, directory: None })
    }

    /// Who writes to it shows that it lives so often, instead of every second and a half; four times as long
    /// without that, and it counts as gone. All who share a target must agree.
    #[must_use]
    pub fn with_beat(self, beat: Duration) -> Self {
        Self { beat, ..self }
    }

    pub(super) fn beat(&self) -> Duration {
        self.beat
    }

    /// Writes an object, over the one that is there.
    ///
    /// # Errors
    /// See [`TargetError`]; what was there is there.
    pub fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), TargetError> {
        let done = self.runtime.block_on(self.store.put(&Name::from(name), bytes.into()));
        done.map(drop).map_err(|error| self.failed("write", name, &error))
    }

    /// Writes an object unless there is one; says whether it did.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, TargetError> {
        let payload = PutPayload::from(bytes);
        let name_ = Name::from(name);
        let put = self.store.put_opts(&name_, payload, PutMode::Create.into());
        match self.runtime.block_on(put) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("create", name, &error)),
        }
    }

    /// All of an object; `None` if there is none.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let name_ = Name::from(name);
        let got = self.runtime.block_on(async { self.store.get(&name_).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", name, &error)),
        }
    }

    /// As [`Target::get`], of an object that must be there.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>, TargetError> {
        let missing = || TargetError::NotThere {
            target: self.shown.clone(),
            reason: format!("{name} is gone"),
        };
        self.get(name)?.ok_or_else(missing)
    }

    /// Every object below a folder, by name.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn list(&self, folder: &str) -> Result<Vec<Entry>, TargetError> {
        let prefix = Name::from(folder);
        let listed = self.runtime.block_on(self.store.list(Some(&prefix)).try_collect::<Vec<_>>());
        let listed = listed.map_err(|error| self.failed("list", folder, &error))?;
        let entry = |meta: object_store::ObjectMeta| Entry {
            name: meta.location.to_string(),
            size_bytes: meta.size,
            modified: Timestamp::from_micros(
                u64::try_from(meta.last_modified.timestamp_micros()).unwrap_or(0),
            ),
        };
        let mut entries: Vec<Entry> = listed.into_iter().map(entry).collect();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Removes an object; one that is gone already is no error.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn delete(&self, name: &str) -> Result<(), TargetError> {
        match self.runtime.block_on(self.store.delete(&Name::from(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", name, &error)),
        }
    }

    /// How it may be shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn failed(
        &self,
        doing: &'static str,
        object: &str,
        error: &object_store::Error,
    ) -> TargetError {
        let (object, target) = (object.to_owned(), self.shown.clone());
        if is_full(error) {
            return TargetError::NoRoom { doing, object, target };
        }
        TargetError::Failed { doing, object, target, reason: told(error) }
    }
}

/// How long one request may take, and how long it is tried again: an alarm must not wait for it.
#[cfg(feature = "s3")]
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// Whether a disk has no room, however deep the cause lies.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut kinds = causes.filter_map(|error| error.downcast_ref::<std::io::Error>());
    let full = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
    kinds.any(|error| full.contains(&error.kind()))
}

/// The innermost cause says what happened; those around it repeat where.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last();
    innermost.map_or_else(String::new, ToString::to_string)
}

/// A directory that is not there.
pub(super) fn no_directory(path: &Path) -> TargetError {
    let target = path.display().to_string();
    TargetError::NotThere { target, reason: "there is no such directory".to_owned() }
}

/// A directory that cannot be used.
pub(super) fn bad_directory(path: &Path, error: &dyn std::fmt::Display) -> TargetError {
    TargetError::Failed {
        doing: "open",
        object: "the directory".to_owned(),
        target: path.display().to_string(),
        reason: error.to_string(),
    }
}
