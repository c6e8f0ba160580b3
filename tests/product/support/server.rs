//! The built program as a child process.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Client, until};

/// How long a debug build may take to open a small journal, in seconds.
const START_SECONDS: u64 = 60;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MAINSTAY") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// A server in a process of its own; killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    talk: Option<JoinHandle<String>>,
    lines: Arc<Mutex<Vec<String>>>,
}

/// A free port that only this machine reaches.
const LOOPBACK: &str = "127.0.0.1:0";

impl Server {
    /// Serves a data directory on a free port and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// As [`Server::start`], with more arguments.
    pub(crate) fn start_with(data: &Path, more: &[&str]) -> Self {
        Self::start_program(program(), data, LOOPBACK, more)
    }

    /// As [`Server::start`], with variables in the environment.
    pub(crate) fn start_under(data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_at(data, LOOPBACK, variables)
    }

    /// As [`Server::start_under`], on another address.
    pub(crate) fn start_at(data: &Path, listen: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = program();
        command.envs(variables.iter().copied());
        Self::start_program(command, data, listen, &[])
    }

    /// As [`Server::start`], as the child of another program that is given these arguments before
    /// it. The error is what was said by one that ended before it was ready.
    pub(crate) fn try_start_through(around: &[&str], data: &Path) -> Result<Self, String> {
        let inner = program();
        let mut command = Command::new(around[0]);
        command.args(&around[1..]).arg(inner.get_program()).stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::try_start_program(command, data, LOOPBACK, &[])
    }

    fn start_program(command: Command, data: &Path, listen: &str, more: &[&str]) -> Self {
        let started = Self::try_start_program(command, data, listen, more);
        started.unwrap_or_else(|said| panic!("the server did not start:\n{said}"))
    }

    fn try_start_program(
        mut command: Command,
        data: &Path,
        listen: &str,
        more: &[&str],
    ) -> Result<Self, String> {
        command.arg("serve").arg("--data").arg(data).args(["--listen", listen]).args(more);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, told) = mpsc::channel();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let said = lines.clone();
        // Reads to the end, so that the server never blocks on a full pipe.
        let talk = std::thread::spawn(move || {
            let mut all = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                said.lock().unwrap().push(line.clone());
                if let Some((_, url)) = line.split_once("ready on http") {
                    let address = url.trim_start_matches('s').trim_start_matches("://");
                    drop(tell.send(address.trim().to_owned()));
                }
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        let told = told.recv_timeout(Duration::from_secs(START_SECONDS));
        let Ok(address) = told else {
            drop(child.kill());
            drop(child.wait());
            return Err(talk.join().unwrap());
        };
        Ok(Self { child, address: address.parse().unwrap(), talk: Some(talk), lines })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first line of its log that has this in it.
    pub(crate) fn says(&self, what: &str) -> Option<String> {
        self.lines.lock().unwrap().iter().find(|it| it.contains(what)).cloned()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        Client::of(self.address)
    }

    /// `kill -9`: no handler runs, nothing is flushed. Returns what it has said.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.talk.take().unwrap().join().unwrap()
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        until(30, "the server to stop", || self.child.try_wait().unwrap())
    }

    /// As [`Server::stop`]; returns what it has said, after the last process of it has ended.
    pub(crate) fn stop_and_hear(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        until(30, "the server to stop", || self.child.try_wait().unwrap());
        self.talk.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program at work, line by line; killed when dropped.
pub(crate) struct Working {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Working {
    /// Starts the program and reads what it prints.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                drop(tell.send(line));
            }
        });
        Self { child, lines }
    }

    /// The next line, which must come within 30 s.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).unwrap()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end, which must come within 30 s.
pub(crate) fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
    let mut command = program();
    command.args(arguments);
    run_command(command)
}

/// As [`run`], with a variable in the environment.
pub(crate) fn run_under(variable: (&str, &OsStr), arguments: &[&str]) -> Ended {
    let mut command = program();
    command.args(arguments).env(variable.0, variable.1);
    run_command(command)
}

/// As [`run`], with several of them.
pub(crate) fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = program();
    command.args(arguments).envs(variables.iter().copied());
    run_command(command)
}

/// As [`run_with`], of what may take two minutes.
pub(crate) fn run_long(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = program();
    command.args(arguments).envs(variables.iter().copied());
    run_within(120, command)
}

/// As [`run`], with a stdout that nobody reads: a closed pipe.
pub(crate) fn run_unread(arguments: &[&str]) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = program();
    let ended = command.args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    Ended { code: ended.status.code().unwrap_or(-1), stdout: String::new(), stderr }
}

fn run_command(command: Command) -> Ended {
    run_within(30, command)
}

fn run_within(seconds: u64, mut command: Command) -> Ended {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = all_of(child.stdout.take().unwrap());
    let stderr = all_of(child.stderr.take().unwrap());
    for _ in 0..seconds * 100 {
        if let Some(status) = child.try_wait().unwrap() {
            let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
            return Ended { code: status.code().unwrap_or(-1), stdout, stderr };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(child.kill());
    drop(child.wait());
    panic!("{command:?} did not end:\n{}", stderr.join().unwrap());
}

fn all_of(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}
