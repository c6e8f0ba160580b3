//! Real servers on loopback, which end with their value; certificates of one test.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, io::Write as _};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::until;

pub(super) const PASSWORD: &str = "correct-horse-battery";

/// A port that nobody has at the moment.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running server, ended at once when dropped.
pub(super) struct Running(Child, Signal);

impl Running {
    fn start(command: &mut Command, port: u16, end: Signal) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(child.spawn().unwrap(), end);
        until(30, "a listening server", || TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), self.1).unwrap();
        self.0.wait().unwrap();
    }
}

/// A file for its owner only, replaced whole.
pub(super) fn write_secret(path: &Path, text: &str) {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    file.unwrap().write_all(text.as_bytes()).unwrap();
    fs::rename(new, path).unwrap();
}

/// `cert.pem`, `key.pem` of localhost, which vouches for itself.
pub(super) fn certify(directory: &Path) -> PathBuf {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = directory.join("cert.pem");
    fs::write(&ca, signed.cert.pem()).unwrap();
    write_secret(&directory.join("key.pem"), &signed.signing_key.serialize_pem());
    ca
}

fn there_is(program: &Path, package: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        let name = program.display();
        eprintln!("SKIPPED: there is no {name} (Debian package {package}): NOTHING WAS PROBED");
    }
    there
}

pub(super) fn there_is_redis() -> bool {
    there_is(Path::new("redis-server"), "redis-server")
}

pub(super) fn start_redis(directory: &Path, port: u16, tls: bool) -> Running {
    let mut command = Command::new("redis-server");
    let port_text = port.to_string();
    command.current_dir(directory).args(["--bind", "127.0.0.1", "--save", ""]);
    command.args(["--requirepass", PASSWORD]);
    if tls {
        command.args(["--port", "0", "--tls-port", &port_text, "--tls-auth-clients", "no"]);
        command.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
        command.args(["--tls-ca-cert-file", "cert.pem"]);
    } else {
        command.args(["--port", &port_text]);
    }
    // Any other signal is ignored where the tests run in the background of a shell.
    Running::start(&mut command, port, Signal::KILL)
}

/// The directory of PostgreSQL's programs: that of Debian, or on PATH.
fn postgres_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|it| it.path().join("bin")).max().unwrap_or_default()
}

pub(super) fn there_is_postgres() -> bool {
    there_is(&postgres_programs().join("initdb"), "postgresql")
}

/// PostgreSQL does not run as root.
fn unprivileged(program: &str) -> Command {
    let program = postgres_programs().join(program);
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn give_to_postgres(path: &Path) {
    if rustix::process::geteuid().is_root() {
        let id = Command::new("id").args(["-u", "postgres"]).output().unwrap().stdout;
        let id: u32 = String::from_utf8(id).unwrap().trim().parse().unwrap();
        chown(path, Some(id), None).unwrap();
    }
}

/// A cluster whose one user is `probe`, with [`PASSWORD`].
pub(super) fn make_postgres(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let (data, password) = (directory.join("cluster"), directory.join("pw"));
    fs::create_dir(&data).unwrap();
    write_secret(&password, PASSWORD);
    for path in [&data, &password, &directory.join("key.pem")] {
        give_to_postgres(path);
    }
    let mut command = unprivileged("initdb");
    command.current_dir("/").arg("-N").args(["-A", "scram-sha-256", "-U", "probe", "-D"]).arg(data);
    let done = command.arg("--pwfile").arg(password).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Started with the lines in its configuration, each `name=value`.
pub(super) fn start_postgres(directory: &Path, port: u16, settings: &[&str]) -> Running {
    let mut command = unprivileged("postgres");
    command.current_dir("/").arg("-D").arg(directory.join("cluster"));
    command.args(["-p", &port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "fsync=off", "-c", "ssl=on"]);
    command.arg("-c").arg(format!("ssl_cert_file={}", directory.join("cert.pem").display()));
    command.arg("-c").arg(format!("ssl_key_file={}", directory.join("key.pem").display()));
    for setting in settings {
        command.args(["-c", setting]);
    }
    // To PostgreSQL: end without a checkpoint, with all children.
    Running::start(&mut command, port, Signal::QUIT)
}
