//! Where `preflight` and `gate` look.

use std::path::PathBuf;

use clap::Args;

use crate::cli::DEFAULT_DATA;
use crate::cli::exit::Failed;
use crate::cli::online::Online;
use crate::cli::source::{now, progress, telling};
use crate::preflight::gather::{Answers, Sources, config, gather, server_facts};
use crate::preflight::{Facts, ServerFacts};

/// Files, and a server.
#[derive(Debug, Args)]
pub(in crate::cli) struct Places {
    /// Configuration file, as `serve` takes it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Data directory [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// The server that runs on it; the variable `MAINSTAY_KEY_FILE` names the file with a viewer's key
    #[arg(long, value_name = "URL", env = "MAINSTAY_SERVER")]
    pub(in crate::cli) server: Option<String>,
    /// The witness that the server was started with
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
}

impl Places {
    /// Looks at everything once.
    pub(in crate::cli) fn gather(&self) -> Result<Facts, Failed> {
        let mut config = config(self.config.as_deref()).map_err(|error| error.to_string());
        if let (Ok(config), Some(data)) = (&mut config, &self.data) {
            config.config.server.data.clone_from(data);
        }
        let named = config.as_ref().map(|it| it.config.server.data.clone()).ok();
        let data = named.or_else(|| self.data.clone()).unwrap_or_else(|| DEFAULT_DATA.into());
        // A URL that cannot be is told at once; a server that does not answer is one of the facts.
        let online = self.server.as_ref().map(|server| Online::new(server, OFFLINE)).transpose()?;
        let server = online.map(|online| ask(&online).map_err(Failed::into_message));
        let sources = Sources { config, data, witness: self.witness.clone(), now: now() };
        let bar = progress("checking", 0);
        let facts = gather(sources, None, server, &mut telling(&bar));
        bar.finish_and_clear();
        Ok(facts)
    }
}

const OFFLINE: &str = "or leave --server out";

fn ask(online: &Online) -> Result<ServerFacts, Failed> {
    let (_, readiness) = online.ask("/readyz", &[("verbose", "true".to_owned())])?;
    let (_, health) = online.ask("/api/v1/health", &[])?;
    let answers = Answers {
        readiness,
        health,
        metrics: online.text("/metrics").map_err(Failed::into_message),
        document: online.get("/openapi.json", &[])?,
        date: online.date(),
    };
    server_facts(&answers, now()).map_err(Failed::work)
}
