//! The server's own drills: a child process on a copy of the data, when one is due.
//!
//! ```text
//!   last drill in the journal, else the first event ─ + drill.every ─► mainstay drill --json ─► journal
//!                                                                      reads, records nothing itself
//! ```
//!
//! It begins with a backup of its own under a key of its own, so it needs no secret of the backups.

use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mainstay_actors::host::{Host, Meta};
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{DRILLS, DrillCompleted, Operation, System, SystemCommand};
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use rustix::process::{Pid, Signal, kill_process};

use crate::config::Config;
use crate::drill::{Outcome, Report, due, past};

/// How often it is looked whether one is due: the clock may be set meanwhile.
const LOOK: Duration = Duration::from_hours(1);
/// After the journal could not be asked.
const PAUSE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(100);
/// How long a drill may take to remove what it made.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long a record waits for the journal.
const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// What the names of a drill's copies begin with.
const COPIES: &str = "drill-";

/// The thread that runs them; it ends with this value, and so does a drill that is under way.
pub(super) struct Drills {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drills {
    /// Begins, if the configuration wants drills and there is something to recover from.
    pub(super) fn start(config: &Config, host: &Host) -> std::io::Result<Option<Self>> {
        if !config.drill.scheduled || config.backup.to.is_none() {
            return Ok(None);
        }
        let reports = config.drill.reports_of(&config.server.data);
        let (stop, stopped) = channel();
        let work = Work { config: config.clone(), host: host.clone(), reports, stopped };
        let thread = std::thread::Builder::new().name("mainstay-drills".to_owned());
        let thread = Some(thread.spawn(move || work.run())?);
        Ok(Some(Self { stop: Some(stop), thread }))
    }
}

impl Drop for Drills {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Work {
    config: Config,
    host: Host,
    reports: PathBuf,
    stopped: Receiver<()>,
}

impl Work {
    fn run(&self) {
        loop {
            let wait = match self.due_in() {
                Some(Duration::ZERO) => match self.drill() {
                    Some(outcomes) => self.record(outcomes),
                    // Stopped: there is nothing to tell.
                    None => return,
                },
                Some(wait) => wait.min(LOOK),
                None => PAUSE,
            };
            if self.stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// How long from now; `None` if the journal does not say.
    fn due_in(&self) -> Option<Duration> {
        let (log, now) = (self.host.log()?, self.host.now()?);
        let (last, first) = past(&*log).ok()?;
        let due = due(last.map(|past| past.drill.at), first, self.config.drill.every);
        Some(Duration::from_millis(due.ms_since(now)))
    }

    /// Runs one; `None` if it was stopped.
    fn drill(&self) -> Option<Vec<DrillCompleted>> {
        tracing::info!(reports = %self.reports.display(), "a drill is due");
        clear(&self.reports);
        let began = self.host.now().unwrap_or_default();
        let ended = match self.start(began) {
            Ok(child) => self.wait(child)?,
            Err(error) => Err(error.to_string()),
        };
        Some(ended.unwrap_or_else(|reason| vec![self.broken(&reason)]))
    }

    fn start(&self, began: Timestamp) -> std::io::Result<Child> {
        let Config { server, drill, journal, .. } = &self.config;
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MAINSTAY") {
                command.env_remove(name);
            }
        }
        let report = self.reports.join(began.to_string().replace(':', "-"));
        command.arg("drill").arg("--data").arg(&server.data).arg("--report").arg(report);
        command.args(["--rto", &drill.rto.to_string(), "--rpo", &drill.rpo.to_string()]);
        command.args(["--no-record", "--low-priority", "--json"]);
        for scenario in drill.scenarios.iter() {
            command.args(["--scenario", scenario]);
        }
        for (flag, path) in [("--journal-key", &journal.key_file), ("--archive", &journal.archive)]
        {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Waits for its end; `None` if the server ends before it.
    fn wait(&self, mut child: Child) -> Option<Result<Vec<DrillCompleted>, String>> {
        let (said, talked) = (heard(child.stdout.take()), heard(child.stderr.take()));
        loop {
            match child.try_wait() {
                Ok(Some(_)) => break,
                Ok(None) => {},
                Err(error) => return Some(Err(error.to_string())),
            }
            if self.stopped.recv_timeout(STEP) != Err(RecvTimeoutError::Timeout) {
                end(&mut child);
                return None;
            }
        }
        let said = said.and_then(|it| it.join().ok()).unwrap_or_default();
        let talked = talked.and_then(|it| it.join().ok()).unwrap_or_default();
        let last = talked.lines().last().unwrap_or("it said nothing").to_owned();
        let report = serde_json::from_str::<Report>(&said).map_err(|_| last);
        Some(report.map(|report| report.scenarios.iter().map(Outcome::record).collect()))
    }

    /// A drill that came to no report is a bad one, and told like one.
    fn broken(&self, reason: &str) -> DrillCompleted {
        DrillCompleted {
            scenario: "none".to_owned(),
            good: false,
            rto_ms: 0,
            rto_target_ms: self.config.drill.rto.as_ms(),
            rpo_ms: 0,
            rpo_target_ms: self.config.drill.rpo.as_ms(),
            lost_events: 0,
            compared: 0,
            different: 0,
            took_ms: 0,
            findings: vec![format!("the drill did not run: {reason}")],
            at: Timestamp::default(),
        }
    }

    /// Tells the journal; how long to wait before the next look.
    fn record(&self, outcomes: Vec<DrillCompleted>) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (Ok(runtime), Some(stream)) = (runtime, StreamId::new(System::KIND, DRILLS)) else {
            return PAUSE;
        };
        let meta = Meta::of(&Arc::from("system:drill"));
        for outcome in outcomes {
            let (scenario, good) = (outcome.scenario.clone(), outcome.good);
            let command = SystemCommand::Record(Operation::DrillCompleted(Box::new(outcome)));
            let told = runtime.block_on(async {
                let asked = self.host.ask::<System>(stream.clone(), command, meta.clone());
                tokio::time::timeout(TOLD_WITHIN, asked).await
            });
            if !matches!(told, Ok(Ok(_))) {
                tracing::warn!("what came of a drill is not in the journal");
                return PAUSE;
            }
            if good {
                tracing::info!(scenario, "the drill was good");
            } else {
                tracing::error!(scenario, "the drill was NOT good; its report says why");
            }
        }
        Duration::ZERO
    }
}

/// Everything that is said, so that nobody waits for a reader.
fn heard(from: Option<impl std::io::Read + Send + 'static>) -> Option<JoinHandle<String>> {
    let mut from = BufReader::new(from?);
    Some(std::thread::spawn(move || {
        let mut text = String::new();
        // What is no text is no report either.
        drop(from.read_to_string(&mut text));
        text
    }))
}

/// Asks it to remove what it made, and waits for it.
fn end(child: &mut Child) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(id) = id {
        let _ = kill_process(id, Signal::TERM);
    }
    let mut left = STOP_WITHIN;
    while !left.is_zero() && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(STEP);
        left = left.saturating_sub(STEP);
    }
    // It has ended already, or does not.
    drop(child.kill());
    drop(child.wait());
}

/// Removes copies that a drill has left which was killed: they hold keys of subjects.
fn clear(reports: &Path) {
    for entry in std::fs::read_dir(reports).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(COPIES)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "a drill's copy is not removed");
        }
    }
}
