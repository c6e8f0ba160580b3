//! `mainstay serve`: the server.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mainstay_actors::host::{Host, Readiness};

use super::exit::Failed;
use crate::Mainstay;
use crate::config::Config;
use crate::demo::{self, Demo};
use crate::server::{ServeError, Server};

/// Run the server
///
/// With no configuration it works: it listens on loopback and keeps its data in ./mainstay-data.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory [default: ./mainstay-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port; port 0 chooses a free one [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Add a simulated retail service: four dependencies, sessions, locks, failures that come and go
    #[arg(long)]
    demo: bool,
    /// Continue a journal whose last event is more than an hour ahead of the clock
    #[arg(long)]
    accept_clock: bool,
    /// Check the configuration and stop
    #[arg(long)]
    dry_run: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let mut config = super::configuration(self.config.as_ref())?;
        if let Some(data) = &self.data {
            config.server.data.clone_from(data);
        }
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if self.demo {
            demo::add_dependencies(&mut config);
        }
        if self.dry_run {
            let dependencies = config.dependency.len();
            let data = config.server.data.display();
            writeln!(
                io::stdout(),
                "the configuration is good: {} on {data}, dependencies: {dependencies}",
                config.server.listen
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        logs();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| Failed::work(format!("start: {e}")))?.block_on(self.serve(&config))
    }

    async fn serve(self, config: &Config) -> Result<ExitCode, Failed> {
        let secret = secret(&config.server.data)?;
        let stay = Mainstay::start(config, self.accept_clock)
            .map_err(|error| Failed::work(error.to_string()))?;
        // The server answers while the journal is recovered: alive, not ready.
        let server = Server::start(stay.host(), config.server.listen, secret).await;
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                stay.close().await;
                return Err(match error {
                    ServeError::Public(_) => Failed::refused(error.to_string()),
                    _ => Failed::work(error.to_string()),
                });
            },
        };
        let address = server.address();
        let ready = tokio::select! {
            ready = recover(stay.host()) => ready,
            () = asked_to_stop() => Err("stopped during recovery".to_owned()),
        };
        if let Err(reason) = ready {
            server.stop().await;
            stay.close().await;
            return Err(Failed::refused(reason));
        }
        tracing::info!("ready on http://{address}");
        let demo = self.demo.then(|| Demo::start(address)).transpose()?;
        if demo.is_some() {
            hints(address)?;
        }
        asked_to_stop().await;
        tracing::info!("draining");
        stay.host().drain();
        // Its customers wait for answers: they leave while the server still gives them.
        if let Some(demo) = demo {
            drop(tokio::task::spawn_blocking(move || drop(demo)).await);
        }
        server.stop().await;
        stay.close().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits for recovery, with a progress bar on a terminal.
async fn recover(host: &Host) -> Result<(), String> {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("recovering {bar:30} {human_pos} of {human_len} events {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut readiness = host.watch();
    while readiness.changed().await.is_ok() {
        match &*readiness.borrow() {
            Readiness::Recovering { done, total } => {
                bar.set_length(*total);
                bar.set_position(*done);
            },
            Readiness::Ready | Readiness::Failed { .. } | Readiness::Draining => break,
            Readiness::Opening => {},
        }
    }
    bar.finish_and_clear();
    host.ready().await
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {},
        _ = tokio::signal::ctrl_c() => {},
    }
}

fn hints(address: SocketAddr) -> io::Result<()> {
    let mut stderr = io::stderr();
    writeln!(stderr, "\n  a simulated retail service is running; in another terminal:")?;
    for hint in [
        format!("mainstay status --server http://{address} --watch"),
        format!("curl -s http://{address}/api/v1/health"),
        format!("curl -s 'http://{address}/api/v1/events?type=LevelChanged'"),
        "mainstay audit --type BreakerOpened,BreakerClosed".to_owned(),
    ] {
        writeln!(stderr, "    {hint}")?;
    }
    writeln!(stderr)
}

fn logs() {
    let ansi = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .finish();
    // Fails only if a library user has set one; then theirs is used.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// The secret of a data directory, made at its first use and readable by its owner only.
fn secret(data: &Path) -> Result<[u8; 32], Failed> {
    use std::fs::{File, OpenOptions};
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let path = data.join("secret");
    let trouble = |error: io::Error| {
        let text = format!("secret of the data directory {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Failed::refused(format!("{text}; make the directory writable or choose another with --data"))
            },
            _ => Failed::work(text),
        }
    };
    let mut secret = [0; 32];
    match File::open(&path) {
        Ok(mut file) => {
            file.read_exact(&mut secret).map_err(trouble)?;
            return Ok(secret);
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {},
        Err(error) => return Err(trouble(error)),
    }
    std::fs::create_dir_all(data).map_err(trouble)?;
    File::open("/dev/urandom").and_then(|mut it| it.read_exact(&mut secret)).map_err(trouble)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(trouble)?;
    file.write_all(&secret).and_then(|()| file.sync_all()).map_err(trouble)?;
    File::open(data).and_then(|it| it.sync_all()).map_err(trouble)?;
    Ok(secret)
}

/// How long `status --watch` waits between two looks.
pub(super) const WATCH: Duration = Duration::from_millis(500);
