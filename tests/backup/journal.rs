//! A journal with a little of everything, its target, and what a test asks of both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mainstay::actors::time::Timestamp;
use mainstay::backup::{
    BackupError, Identities, Place, Recipients, Restored, Restoring, Taken, Target, restore,
    settle, take,
};
use mainstay::config::JournalConfig;
use mainstay::journal::plant::Until;
use mainstay::journal::{Keyring, Reader};
use mainstay::{Client, Config, Mainstay};
use object_store::memory::InMemory;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A data directory, the key that opens its backups, a target in memory.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) target: Target,
    pub(crate) recipients: Recipients,
    pub(crate) identities: Identities,
}

/// This moment.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a backup is made at some time")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap())
}

impl Rig {
    pub(crate) fn new() -> Self {
        let store = Arc::new(InMemory::new());
        Self::over(Target::over(store, "memory".to_owned()).unwrap())
    }

    /// A target in a directory beside the data.
    pub(crate) fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Directory(folder.path().join("target"));
        Self { folder, ..Self::over(Target::open(&place, true).unwrap()) }
    }

    fn over(target: Target) -> Self {
        let (secret, recipient) = Identities::generate();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            runtime,
            target,
            recipients: Recipients::parse([&*recipient]).unwrap(),
            identities: Identities::parse(&secret).unwrap(),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Works with the journal in a directory as a service does.
    pub(crate) fn with<T>(&self, data: &Path, work: impl AsyncFnOnce(Client) -> T) -> T {
        let mut config = Config::default();
        data.clone_into(&mut config.server.data);
        self.runtime.block_on(async {
            let stay = Mainstay::open(config).await.unwrap();
            let done = work(stay.client("test")).await;
            stay.close().await;
            done
        })
    }

    /// A few events, and the backup of them.
    pub(crate) fn grown(&self, locks: usize) -> Taken {
        self.grow(locks);
        self.back_up().unwrap()
    }

    pub(crate) fn grow(&self, locks: usize) {
        self.with(&self.data(), async |client: Client| {
            for n in 0..locks {
                let lease = client.lock(format!("lock-{n}")).acquire("anna", TTL).await.unwrap();
                lease.release().await.unwrap();
            }
        });
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(self.data()).unwrap()
    }

    pub(crate) fn back_up(&self) -> Result<Taken, BackupError> {
        self.back_up_to(&self.target)
    }

    pub(crate) fn back_up_to(&self, target: &Target) -> Result<Taken, BackupError> {
        let (data, reader) = (self.data(), self.reader());
        take(&data, &reader, target, &self.recipients, now(), &mut |_, _| {})
    }

    pub(crate) fn restoring(&self, until: Until) -> Restoring<'_> {
        Restoring {
            identities: &self.identities,
            keyring: Keyring::default(),
            backup: None,
            until,
            of_epoch: None,
            now: now(),
            claim: true,
            accept_clock: false,
        }
    }

    /// Restores into a directory of a name.
    pub(crate) fn restore(&self, name: &str, until: Until) -> Result<Restored, BackupError> {
        self.restore_as(name, &self.restoring(until))
    }

    pub(crate) fn restore_as(
        &self,
        name: &str,
        restoring: &Restoring<'_>,
    ) -> Result<Restored, BackupError> {
        let directory = self.folder.path().join(name);
        let restored = restore(&self.target, &directory, restoring, &mut |_, _| {})?;
        settle(&directory, &restored, &JournalConfig::default(), "test")?;
        Ok(restored)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub(crate) const TTL: Duration = Duration::from_hours(1);
