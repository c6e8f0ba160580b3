//! The door of the library: a journal in a data directory and the host over it.

use std::sync::Arc;

use mainstay_actors::host::{Host, HostOptions, OpenLog, StartError};
use mainstay_journal::{EventLog, LocalLog, Options, Reading};

use crate::config::Config;
use crate::guard::Guards;
#[cfg(feature = "server")]
use crate::proofs::Notary;
use crate::vault::Vault;

/// An open mainstay: journal, entities, supervisor, probes.
#[derive(Debug)]
pub struct Mainstay {
    host: Host,
    vault: Arc<Vault>,
    guards: Guards,
    #[cfg(feature = "server")]
    notary: Arc<Notary>,
    #[cfg(feature = "probes")]
    probes: crate::probe::Probes,
    #[cfg(feature = "backup")]
    backups: Arc<crate::backup::Backups>,
}

/// Why a mainstay cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The host's thread cannot be started.
    #[error("start: {0}")]
    Thread(#[from] std::io::Error),
    /// The journal, its recovery or the clock said no; the text says what to do.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Backups cannot be set up.
    #[cfg(feature = "backup")]
    #[error("backup: {0}")]
    Backup(String),
    /// A probe cannot be set up.
    #[cfg(feature = "probes")]
    #[error(transparent)]
    Probe(#[from] crate::probe::ProbeError),
}

impl Mainstay {
    /// Opens the configured data directory and waits until recovery is over.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        Self::start(&config, false)?.once_ready().await
    }

    /// As [`Mainstay::open`], and leaves the dependencies as they are: for who comes to change
    /// something else.
    #[cfg(any(feature = "cli", feature = "backup"))]
    pub(crate) async fn open_as_it_is(config: Config) -> Result<Self, OpenError> {
        let options = HostOptions { retire: false, ..options(&config, false) };
        Self::start_with(&config, options)?.once_ready().await
    }

    async fn once_ready(self) -> Result<Self, OpenError> {
        let stay = self;
        match stay.ready().await {
            Ok(()) => Ok(stay),
            Err(error) => {
                stay.close().await;
                Err(error)
            },
        }
    }

    /// Starts opening and returns at once: [`Mainstay::ready`] tells when commands are taken.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn start(config: &Config, accept_clock: bool) -> Result<Self, OpenError> {
        Self::start_with(config, options(config, accept_clock))
    }

    fn start_with(config: &Config, options: HostOptions) -> Result<Self, OpenError> {
        let vault = Vault::at(&config.server.data);
        #[cfg(not(feature = "backup"))]
        let options = HostOptions { subject_keys: vault.clone(), ..options };
        #[cfg(feature = "backup")]
        let backups = crate::backup::Backups::of(config).map_err(OpenError::Backup)?;
        #[cfg(feature = "backup")]
        let options = {
            let (vault, backups) = (vault.clone(), backups.clone());
            let subject_keys = Arc::new(crate::backup::Everywhere { vault, backups });
            HostOptions { subject_keys, ..options }
        };
        #[cfg(feature = "server")]
        let notary = Notary::at(&config.server.data);
        #[cfg(feature = "server")]
        let open = open_local(config, vault.clone(), notary.clone());
        #[cfg(not(feature = "server"))]
        let open = open_local(config, vault.clone());
        let host = Host::open(open, options)?;
        #[cfg(feature = "probes")]
        let probes = crate::probe::Probes::start(&host, &config.dependency)?;
        #[cfg(feature = "backup")]
        backups.start(&host)?;
        Ok(Self {
            host,
            vault,
            guards: Guards::new(config.layers()),
            #[cfg(feature = "server")]
            notary,
            #[cfg(feature = "probes")]
            probes,
            #[cfg(feature = "backup")]
            backups,
        })
    }

    /// Waits until recovery is over and commands are taken.
    ///
    /// # Errors
    /// [`OpenError::Start`].
    pub async fn ready(&self) -> Result<(), OpenError> {
        Ok(self.host.ready().await?)
    }

    /// The handle to the actors: commands, permits, health. Clone it freely.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The keys under which attributes are sealed.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    pub(crate) const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// Who signs checkpoints of the journal.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn notary(&self) -> &Arc<Notary> {
        &self.notary
    }

    /// What a server needs beside the host.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn beside(&self) -> crate::server::Beside {
        let (vault, notary) = (self.vault.clone(), self.notary.clone());
        let (guards, backups) = (self.guards.clone(), self.backups.clone());
        crate::server::Beside { vault, notary, guards, backups }
    }

    /// Its own backups.
    #[cfg(feature = "backup")]
    #[must_use]
    pub fn backups(&self) -> &Arc<crate::backup::Backups> {
        &self.backups
    }

    /// Drains, closes the journal and ends every thread.
    pub async fn close(self) {
        #[cfg(feature = "probes")]
        end(move || drop(self.probes)).await;
        // While the journal is still ours nobody else opens the files of keys.
        self.host.drain();
        #[cfg(feature = "backup")]
        end(move || self.backups.end()).await;
        self.vault.close();
        self.host.close().await;
    }
}

/// Waits for what is under way without blocking the executor, of whatever kind it is.
#[cfg(any(feature = "probes", feature = "backup"))]
async fn end(what: impl FnOnce() + Send + 'static) {
    let (ended, end) = tokio::sync::oneshot::channel();
    let work = move || {
        what();
        // Nobody waits any more: nothing to tell.
        let _ = ended.send(());
    };
    // If there is no thread to be had, it ends here.
    drop(std::thread::Builder::new().name("mainstay-closing".to_owned()).spawn(work));
    drop(end.await);
}

fn options(config: &Config, accept_clock: bool) -> HostOptions {
    HostOptions {
        dependencies: config.settings(),
        recover_after_ms: config.health.recover_after.as_ms(),
        accept_clock,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: u64::from(std::process::id()),
        limits: config.limits.host(),
        ..HostOptions::default()
    }
}

/// Opens the journal of a data directory, and then the vault and the keys that sign: the directory
/// is ours by then.
fn open_local(
    config: &Config,
    vault: Arc<Vault>,
    #[cfg(feature = "server")] notary: Arc<Notary>,
) -> OpenLog {
    let (data, journal) = (config.server.data.clone(), config.journal.clone());
    let options = config.limits.journal();
    Box::new(move |mut sink| {
        let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
        let reading = journal.reading().map_err(|error| StartError::Refused(error.to_string()))?;
        let Reading { keyring, archive, disk: _ } = reading;
        let options = Options { keyring, archive, ..options };
        let log = LocalLog::open(&data, &options, sink)?;
        vault.open().map_err(|error| StartError::Refused(error.to_string()))?;
        #[cfg(feature = "server")]
        let signs = notary.open(&log.identity().journal);
        #[cfg(feature = "server")]
        signs.map_err(|error| StartError::Refused(error.to_string()))?;
        Ok(Arc::new(log) as Arc<dyn EventLog>)
    })
}
