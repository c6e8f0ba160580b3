//! A data directory that no server has open, opened as a server opens it: to record what a verb does.

use std::path::Path;
use std::sync::Arc;

use mainstay_actors::host::{Failure, Hosted, Meta, StartError};
use mainstay_journal::StreamId;
use tokio::runtime::Runtime;

use super::exit::Failed;
use crate::config::{Config, JournalConfig};
use crate::{Mainstay, OpenError};

/// Who does what is done in a data directory.
pub(super) const PRINCIPAL: &str = "local";

/// An open data directory; closed when it is dropped.
pub(super) struct Inside {
    runtime: Runtime,
    stay: Option<Mainstay>,
}

impl Inside {
    /// `instead` is the way out while a server runs on it.
    pub(super) fn open(data: &Path, journal: JournalConfig, instead: &str) -> Result<Self, Failed> {
        let mut config = Config { journal, ..Config::default() };
        data.clone_into(&mut config.server.data);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::work(format!("start: {error}")))?;
        config.journal.reading().map_err(|error| Failed::usage(error.to_string()))?;
        let stay =
            runtime.block_on(Mainstay::open_as_it_is(config)).map_err(|error| match error {
                OpenError::Start(StartError::Damaged(_)) => Failed::integrity(error.to_string()),
                OpenError::Start(StartError::Sealed(_)) => Failed::usage(error.to_string()),
                _ => Failed::refused(format!("{error}; {instead}")),
            })?;
        Ok(Self { runtime, stay: Some(stay) })
    }

    pub(super) fn stay(&self) -> Result<&Mainstay, Failed> {
        self.stay.as_ref().ok_or_else(|| Failed::work("the data directory is closed"))
    }

    /// Gives a stream a command and waits until what follows is durable.
    pub(super) fn ask<M: Hosted>(
        &self,
        stream: StreamId,
        command: M::Command,
    ) -> Result<M::Reply, Failed> {
        let meta = Meta::of(&Arc::from(PRINCIPAL));
        let asked = self.stay()?.host().ask::<M>(stream, command, meta);
        let receipt = self.runtime.block_on(asked).map_err(|failure| match failure {
            Failure::Rejected { reason, .. } => Failed::work(reason.to_string()),
            other => Failed::refused(other.to_string()),
        })?;
        Ok(receipt.reply)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(stay) = self.stay.take() {
            self.runtime.block_on(stay.close());
        }
    }
}
