//! The built program as a process: from its start until it is ready.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cache::page_cache;
use crate::memory::{peak_bytes, rss_bytes};

/// What one start took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) seconds: f64,
    pub(crate) rss_mb: f64,
    pub(crate) peak_mb: f64,
}

/// Starts a server on a data directory, waits until it is ready, and kills it.
pub(crate) fn start(data: &Path, cold: bool) -> Start {
    page_cache(data, cold);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split_once("ready on ")?.1.trim().to_owned()));
    let seconds = started.elapsed().as_secs_f64();
    let Some(address) = address else { panic!("the server did not get ready") };
    // Ready is what it says over HTTP, too.
    ureq::get(format!("{address}/readyz")).call().unwrap();
    let process = child.id().to_string();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let (rss_mb, peak_mb) = (mb(rss_bytes(&process)), mb(peak_bytes(&process)));
    child.kill().unwrap();
    child.wait().unwrap();
    Start { seconds, rss_mb, peak_mb }
}
