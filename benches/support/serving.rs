//! The built program, serving.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::memory::{peak_bytes, rss_bytes};

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) url: String,
    /// Seconds from the start of its process.
    pub(crate) ready_after: f64,
    child: Child,
}

impl Serving {
    pub(crate) fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("ready on ")?.1.trim().to_owned()));
        let ready_after = started.elapsed().as_secs_f64();
        let Some(url) = url else { panic!("the server did not get ready") };
        // What it says later must have somewhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url, ready_after, child }
    }

    /// A client that keeps its connection.
    pub(crate) fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder();
        config.timeout_global(Some(Duration::from_mins(1))).build().into()
    }

    /// Its memory, in words.
    pub(crate) fn told(&self) -> String {
        let process = self.child.id().to_string();
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (rss, peak) = (mb(rss_bytes(&process)), mb(peak_bytes(&process)));
        format!("{rss:.0} MB, at most {peak:.0} MB so far")
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
