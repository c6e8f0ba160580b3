//! A real server as a child process, on a port of loopback that nobody else knows.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::DrillError;
use super::plan::Watch;
use crate::config::{AccessConfig, BackupConfig, Config, List, ServerConfig, Span};

/// How long a server may take to become ready.
const READY_WITHIN: Duration = Duration::from_mins(30);
/// How long it may take to stop.
const STOP_WITHIN: Duration = Duration::from_mins(1);
/// How often a stop is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// Lines of its log that are remembered.
const REMEMBERED: usize = 40;

/// What every server of a drill is started with.
#[derive(Debug)]
pub(super) struct Setting {
    /// The program.
    pub(super) program: PathBuf,
    /// Journal, limits and dependencies are as in it; nothing else is.
    pub(super) config: Config,
}

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
}

impl Setting {
    /// The configuration of a server that ships everything to `target`.
    fn write(&self, data: &Path, target: &Path, recipient: &str) -> Result<PathBuf, DrillError> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            server: ServerConfig { listen, data: data.to_owned(), ..ServerConfig::default() },
            access: AccessConfig::default(),
            backup: BackupConfig {
                to: Some(target.display().to_string()),
                recipients: List::from(vec![recipient.to_owned()]),
                every: Span::from_ms(86_400_000),
                ..BackupConfig::default()
            },
            ..self.config.clone()
        };
        config.drill.scheduled = false;
        // Nobody outside is asked anything by a copy.
        for it in &mut config.dependency {
            (it.probe, it.probe_ca, it.probe_query) = (None, None, None);
            (it.probe_user, it.probe_secret_file) = (None, None);
        }
        let told = |reason: String| DrillError::Here {
            doing: "write the configuration of the drill's server".to_owned(),
            reason,
        };
        let text = toml::to_string(&config).map_err(|error| told(error.to_string()))?;
        let path = data.with_extension("toml");
        fs::write(&path, text).map_err(|error| told(error.to_string()))?;
        Ok(path)
    }

    /// Starts a server on a directory and waits until it is ready.
    ///
    /// # Errors
    /// What it said, if it ended before.
    pub(super) fn serve(
        &self,
        data: &Path,
        (target, recipient): (&Path, &str),
        watch: &Watch<'_>,
    ) -> Result<Process, DrillError> {
        let config = self.write(data, target, recipient)?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            // What is configured for the real server is none of the copy's business.
            if name.to_string_lossy().starts_with("MAINSTAY") {
                command.env_remove(name);
            }
        }
        command.env("NO_COLOR", "1").arg("serve").arg("--config").arg(&config);
        command.arg("--end-with-parent");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let doing = format!("start {}", self.program.display());
        let mut child = command.spawn().map_err(DrillError::here(doing))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let ready = child.stderr.take().map(|stderr| listen(stderr, Arc::clone(&said)));
        // From here on it is ended whatever happens.
        let mut process = Process { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), said };
        let ready = ready.ok_or_else(|| DrillError::Server("it cannot be heard".to_owned()))?;
        process.address = process.wait(&ready, watch)?;
        Ok(process)
    }
}

impl Process {
    fn wait(
        &mut self,
        ready: &Receiver<SocketAddr>,
        watch: &Watch<'_>,
    ) -> Result<SocketAddr, DrillError> {
        let began = super::measure::instant();
        loop {
            match ready.recv_timeout(LOOK) {
                Ok(address) => return Ok(address),
                Err(RecvTimeoutError::Timeout) => watch.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait();
                    let code = status.ok().and_then(|status| status.code());
                    let code = code.map_or_else(String::new, |code| format!(" (exit code {code})"));
                    let said = self.last_words();
                    return Err(DrillError::Server(format!("it did not start{code}: {said}")));
                },
            }
            if began.elapsed() > READY_WITHIN {
                let said = self.last_words();
                return Err(DrillError::Server(format!("it was not ready in time: {said}")));
            }
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `kill -9`: no handler runs, nothing is flushed.
    pub(super) fn kill(mut self) {
        self.end();
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// It did not, or not well.
    pub(super) fn stop(mut self) -> Result<(), String> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or("it has no process")?;
        kill_process(id, Signal::TERM).map_err(|error| error.to_string())?;
        let began = super::measure::instant();
        loop {
            let status: Option<ExitStatus> =
                self.child.try_wait().map_err(|error| error.to_string())?;
            match status {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("{status}: {}", self.last_words())),
                None if began.elapsed() > STOP_WITHIN => {
                    return Err("it did not stop within a minute".to_owned());
                },
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// What it said last.
    fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.last().cloned().unwrap_or_else(|| "it said nothing".to_owned())
    }

    fn end(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads its log to the end, so that it never waits for a reader; tells when it is ready.
fn listen(
    stderr: impl std::io::Read + Send + 'static,
    said: Arc<Mutex<Vec<String>>>,
) -> Receiver<SocketAddr> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let address = line.split_once("ready on http://").map(|(_, address)| address.trim());
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                // Who waits no longer does not need it.
                let _ = tell.send(address);
            }
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == REMEMBERED {
                said.remove(0);
            }
            said.push(line);
        }
    });
    told
}
