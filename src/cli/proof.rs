//! `mainstay proof`: files that show others what is in the journal.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::EXIT_CODES;
use super::exit::Failed;
use super::signing::Signing;
use super::source::{Way, Where};
use crate::proofs::{Notary, ProofError};

/// Prove that an event is in the journal, or that nothing of it was rewritten
///
/// A proof is a JSON document that stands alone: `mainstay verify --proof FILE --key KEY` checks it
/// anywhere. From a data directory it needs the server to be stopped.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Proof {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prove that an event is in the journal
    Inclusion(Inclusion),
    /// Prove that the journal at one size continues the journal at another
    Consistency(Consistency),
}

#[derive(Debug, Args)]
struct Inclusion {
    /// Of the event
    position: u64,
    /// Put the event's bytes into the proof, and not only their hash; with --data
    #[arg(long, conflicts_with = "server")]
    record: bool,
    #[command(flatten)]
    way: Way,
}

#[derive(Debug, Args)]
struct Consistency {
    /// The size of the earlier checkpoint
    #[arg(long, value_name = "SIZE")]
    from: u64,
    /// The size of the later one; all that is on the disk, if absent
    #[arg(long, value_name = "SIZE")]
    to: Option<u64>,
    #[command(flatten)]
    way: Way,
}

impl Proof {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let document = match self.verb {
            Verb::Inclusion(verb) => verb.document()?,
            Verb::Consistency(verb) => verb.document()?,
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{document:#}")?;
        stdout.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Inclusion {
    fn document(&self) -> Result<Value, Failed> {
        let Self { position, record, way } = self;
        match way.chosen()? {
            Where::Data(data) => {
                let prove = |notary: &Notary, log: &_| notary.inclusion(log, *position, *record);
                made(&Signing::open(&data, &way.reading()?, *position)?, prove)
            },
            Where::Server(online) => {
                online.get(&format!("/api/v1/proofs/inclusion/{position}"), &[])
            },
        }
    }
}

impl Consistency {
    fn document(&self) -> Result<Value, Failed> {
        let Self { from, to, way } = self;
        match way.chosen()? {
            Where::Data(data) => {
                let prove = |notary: &Notary, log: &_| notary.consistency(log, *from, *to);
                made(&Signing::open(&data, &way.reading()?, to.unwrap_or(*from))?, prove)
            },
            Where::Server(online) => {
                let mut query = vec![("from", from.to_string())];
                query.extend(to.map(|to| ("to", to.to_string())));
                online.get("/api/v1/proofs/consistency", &query)
            },
        }
    }
}

fn made<T: serde::Serialize>(
    signing: &Signing,
    prove: impl FnOnce(&Notary, &mainstay_journal::LocalLog) -> Result<T, ProofError>,
) -> Result<Value, Failed> {
    let proof = prove(&signing.notary, &signing.log)?;
    serde_json::to_value(proof).map_err(|error| Failed::work(error.to_string()))
}
