//! Facts, gathered once: files, the journal, the machine, the certificate, the server.
//!
//! Nothing here writes, and nothing needs the data directory for itself: a server may run on it.

mod backups;
mod certificate;
mod files;
mod journal;
mod machine;
mod server;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mainstay_actors::time::Timestamp;
use mainstay_journal::{OpenError, ReadError, ReadLog, Reader, VerifyOptions, verify};

use super::RELEASE;
use super::facts::{ConfigFacts, Facts, FileFacts, JournalFacts, ServerFacts, WitnessFacts};
use crate::config::{Config, ConfigError};
use crate::witness::{self, WitnessError};

pub use journal::vouchers;
pub use server::{Answers, server_facts};

/// Where facts come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The configuration, or why it cannot be read.
    pub config: Result<ConfigFacts, String>,
    /// The data directory.
    pub data: PathBuf,
    /// The file of a witness, if one is named.
    pub witness: Option<PathBuf>,
    /// The wall clock.
    pub now: Timestamp,
}

/// Reads a configuration as `serve` does, and its file's mode.
///
/// # Errors
/// What it says that cannot be.
pub fn config(file: Option<&Path>) -> Result<ConfigFacts, ConfigError> {
    let Some(path) = file else {
        return Config::from_environment().map(|config| ConfigFacts { config, file: None });
    };
    let config = Config::from_file(path)?;
    let mode = std::fs::metadata(path).map(|it| it.mode());
    let mode = mode.map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    Ok(ConfigFacts { config, file: Some((path.to_owned(), mode)) })
}

/// Gathers all facts. `log` is the journal of a server that runs in this process; without one the
/// segments are read. `tell` is told how much of the segments was checked, and of how much.
pub fn gather(
    sources: Sources,
    log: Option<&dyn ReadLog>,
    server: Option<Result<ServerFacts, String>>,
    tell: &mut dyn FnMut(u64, u64),
) -> Facts {
    let Sources { config, data, witness, now } = sources;
    let own = config.as_ref().map(|it| &it.config).ok();
    let reading = own.map(|config| config.journal.reading()).transpose();
    let mut attestations = std::collections::BTreeMap::new();
    let mut drill = None;
    let read = || -> Result<JournalFacts, String> {
        let reading = reading.map_err(|error| error.to_string())?.unwrap_or_default();
        let opened;
        let log = if let Some(log) = log {
            log
        } else {
            opened = Reader::open_with(&data, reading.clone()).map_err(|it| it.to_string())?;
            &opened
        };
        attestations = vouchers(log).map_err(|error| error.to_string())?;
        if let Some(config) = own {
            drill = backups::of_drills(config, log).map_err(|error| error.to_string())?;
        }
        let mut facts = journal::read(log, now).map_err(|error| error.to_string())?;
        let options = VerifyOptions {
            repair: false,
            segments_only: true,
            keyring: reading.keyring.clone(),
            archive: reading.archive.clone(),
            disk: reading.disk.clone(),
        };
        check_segments(&data, &options, &mut facts, tell).map_err(|error| error.to_string())?;
        let held = witness.as_ref().map(|path| {
            witness::check(path, &data, &reading)?;
            hold(path, &data)
        });
        facts.witness = held.map(|it: Result<_, WitnessError>| it.map_err(|it| it.to_string()));
        Ok(facts)
    };
    let journal = read();
    let key_file = own.and_then(|config| config.journal.key_file.as_deref());
    let files: FileFacts = files::read(&data, key_file);
    let tls = own.and_then(|config| config.server.tls.as_ref());
    Facts {
        now,
        release: RELEASE.to_owned(),
        journal,
        files,
        machine: machine::read(&data),
        server,
        certificate: tls.map(certificate::read),
        backup: own.and_then(|config| backups::of_backups(config, &data, now)),
        drill,
        attestations,
        config,
    }
}

/// Holds every block against its hash and the chain, and sizes the records.
fn check_segments(
    data: &Path,
    options: &VerifyOptions,
    facts: &mut JournalFacts,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), OpenError> {
    let mut bytes = 0;
    let report = verify(data, options, tell, &mut |record| {
        let texts = [record.stream, record.principal, record.correlation.unwrap_or_default()];
        let texts: usize = texts.into_iter().map(str::len).sum();
        bytes += super::words::number(record.payload.len() + texts) + ENVELOPE_BYTES;
        Ok(())
    })?;
    let is_time = |kind| kind == mainstay_journal::FindingKind::Time;
    let open = || {
        let torn = mainstay_journal::FindingKind::TornTail;
        report.findings.iter().filter(move |it| it.kind != torn)
    };
    facts.falling = open().find(|it| is_time(it.kind)).map(|it| it.position);
    let others = open().filter(|it| !is_time(it.kind));
    facts.findings = others.map(|it| format!("position {}: {}", it.position, it.text)).collect();
    facts.checked = report.records;
    facts.record_bytes = bytes;
    facts.archive = (report.dropped > 0).then_some((report.dropped, report.archive_checked));
    Ok(())
}

/// What a record has beside its texts and payload, in bytes; see `docs/format.md`.
const ENVELOPE_BYTES: u64 = 64;

/// What a witness holds.
fn hold(path: &Path, data: &Path) -> Result<WitnessFacts, WitnessError> {
    let notes = witness::read(path)?;
    let device = |path: &Path| std::fs::metadata(path).map(|it| it.dev()).ok();
    Ok(WitnessFacts {
        path: path.to_owned(),
        covers: notes.iter().map(|note| note.size).max().unwrap_or(0),
        is_beside: device(path) == device(data),
    })
}

/// When a record was decided; `None` if there is none there.
fn time_of(log: &dyn ReadLog, position: u64) -> Result<Option<Timestamp>, ReadError> {
    let mut at = None;
    log.scan(position, position, &mut |record| {
        at = Some(Timestamp::from_micros(record.at_us));
        std::ops::ControlFlow::Break(())
    })?;
    Ok(at)
}
