//! A planted journal becomes one that may be served: fenced, erasures carried out again, in its place.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use mainstay_actors::host::{Failure, Meta, Restore, record_restore};
use mainstay_actors::machine::Machine as _;
use mainstay_actors::subject::{Subject, SubjectCommand, SubjectReject};
use mainstay_journal::{LocalLog, Options, Outcome, Query, ReadLog as _, Reading, StreamId};

use super::{Restored, YOUNG};
use crate::Mainstay;
use crate::backup::error::BackupError;
use crate::backup::keys::erasures;
use crate::config::{Config, JournalConfig};

/// Makes a restored journal that of its directory. `source` names the backup in the journal, without
/// credentials.
///
/// # Errors
/// See [`BackupError`]. `directory` holds no journal then.
pub fn settle(
    directory: &Path,
    restored: &Restored,
    journal: &JournalConfig,
    source: &str,
) -> Result<(), BackupError> {
    let young = directory.join(YOUNG);
    let missing = fence(&young, restored, journal, source)?;
    erase_again(&young, journal, &missing)?;
    move_up(directory)
}

/// Records the restore before anything else happens; returns subjects whose erasure the journal does not
/// know.
fn fence(
    young: &Path,
    restored: &Restored,
    journal: &JournalConfig,
    source: &str,
) -> Result<Vec<String>, BackupError> {
    let reading = journal.reading().map_err(|error| BackupError::Usage(error.to_string()))?;
    let Reading { keyring, archive, disk: _ } = reading;
    let options =
        Options { create: false, store: false, spares: 0, keyring, archive, ..Options::default() };
    let log = LocalLog::open(young, &options, |_: u32, _: Vec<Outcome>| {})?;
    let source = source.to_owned();
    let restore = Restore { fork: restored.fork, source, floor: restored.floor };
    record_restore(&log, restore, restored.floor).map_err(BackupError::Here)?;
    let mut known = BTreeSet::new();
    if !restored.erased.is_empty() {
        // Whoever was erased in dropped months answers that, too.
        let after = log.base().map_or(0, |base| base.head().position);
        let query = Query { types: erasures(), after, ..Query::default() };
        log.find(&query, &mut |record| {
            known.insert(record.stream.to_owned());
            ControlFlow::Continue(())
        })?;
    }
    log.close();
    Ok(restored.erased.iter().filter(|stream| !known.contains(*stream)).cloned().collect())
}

/// Erases whom the history that was left had erased after the fork.
fn erase_again(
    young: &Path,
    journal: &JournalConfig,
    missing: &[String],
) -> Result<(), BackupError> {
    if missing.is_empty() {
        return Ok(());
    }
    let failed = |reason: String| BackupError::Here(format!("erase again: {reason}"));
    let mut config = Config { journal: journal.clone(), ..Config::default() };
    young.clone_into(&mut config.server.data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stay = Mainstay::open_as_it_is(config).await;
        let stay = stay.map_err(|error| failed(error.to_string()))?;
        let mut done = Ok(());
        for stream in missing {
            done = erase(&stay, stream).await.map_err(failed);
            if done.is_err() {
                break;
            }
        }
        stay.close().await;
        done
    })
}

async fn erase(stay: &Mainstay, stream: &str) -> Result<(), String> {
    let stream = StreamId::parse(stream).filter(|it| it.kind() == Subject::KIND);
    let stream = stream.ok_or("the target names what is no subject")?;
    let meta = || Meta::of(&Arc::from("system:restore"));
    let host = stay.host();
    loop {
        match host.ask::<Subject>(stream.clone(), SubjectCommand::Erase, meta()).await {
            Ok(_) | Err(Failure::Rejected { reason: SubjectReject::Erased, .. }) => break,
            // It had been lifted before they were erased.
            Err(Failure::Rejected { reason: SubjectReject::Held { .. }, .. }) => {
                let reason = "erased after the fork".to_owned();
                let lift = SubjectCommand::SetHold { held: false, reason };
                let lifted = host.ask::<Subject>(stream.clone(), lift, meta()).await;
                lifted.map_err(|failure| failure.to_string())?;
            },
            Err(failure) => return Err(failure.to_string()),
        }
    }
    let finished = host.follow_erasure(stream).await.map_err(|failure| failure.to_string())?;
    // It is over, too, when nobody tells any more.
    drop(finished.await);
    Ok(())
}

fn move_up(directory: &Path) -> Result<(), BackupError> {
    let young = directory.join(YOUNG);
    let mut names = Vec::new();
    for entry in fs::read_dir(&young)? {
        names.push(entry?.file_name());
    }
    names.sort_by_key(|name| name == "JOURNAL");
    for name in names {
        if name == "JOURNAL" {
            // Everything else has its name for good before the directory is a journal.
            fs::File::open(directory)?.sync_all()?;
        }
        fs::rename(young.join(&name), directory.join(&name))?;
    }
    fs::remove_dir(&young)?;
    Ok(fs::File::open(directory)?.sync_all()?)
}
