//! `mainstay serve`: the server.

mod drills;
mod stop;
mod witness;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mainstay_actors::host::{Readiness, StartError};
use rustix::process::Signal;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use self::drills::Drills;
pub(super) use self::stop::Stop;
use self::witness::Witness;
use super::exit::Failed;
use crate::config::{Config, KeysNeeded, ServerConfig};
use crate::demo::{self, Demo};
use crate::server::{Named, ServeError, Server, check_tls};
use crate::{Mainstay, OpenError};

/// Run the server
///
/// With no configuration it works: it listens on loopback and keeps its data in ./mainstay-data.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
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
    /// Refuse a journal that does not hold what this file's checkpoints cover, and add new ones to
    /// it; keep it on another machine's disk
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// End when the process that started it does
    #[arg(long, hide = true)]
    end_with_parent: bool,
    /// Check the configuration and stop
    #[arg(long)]
    dry_run: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.end_with_parent {
            let asked = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            asked.map_err(|error| Failed::work(format!("listen to the parent: {error}")))?;
        }
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
        if self.demo && (config.server.tls.is_some() || config.access.keys == KeysNeeded::Required)
        {
            let text = "the demo's customers have no key and speak plain HTTP: leave out --demo, or \
                        [server.tls] and access.keys";
            return Err(Failed::usage(text));
        }
        let reading = config.journal.reading().map_err(|error| Failed::usage(error.to_string()))?;
        if self.dry_run {
            check(&config.server)?;
            let dependencies = config.dependency.len();
            let data = config.server.data.display();
            writeln!(
                io::stdout(),
                "the configuration is good: {} on {data}, dependencies: {dependencies}",
                config.server.listen
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(witness) = &self.witness {
            // Before anything is opened to be written.
            let unchecked = crate::witness::check(witness, &config.server.data, &reading)?;
            if unchecked > 0 {
                let text = "checkpoints of dropped months are not checked: their archive is away";
                writeln!(io::stderr(), "mainstay: {unchecked} {text}")?;
            }
        }
        logs();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| Failed::work(format!("start: {e}")))?.block_on(self.serve(&config))
    }

    async fn serve(self, config: &Config) -> Result<ExitCode, Failed> {
        let mut stop = Stop::listen();
        let stay = Mainstay::start(config, self.accept_clock)
            .map_err(|error| Failed::work(error.to_string()))?;
        // The server answers while the journal is recovered: alive, not ready.
        let named = Named { config: self.config.clone(), witness: self.witness.clone() };
        let server = match Server::start(stay.host(), &stay.beside(), config, named).await {
            Ok(server) => server,
            Err(error) => {
                stay.close().await;
                return Err(error.into());
            },
        };
        let address = server.address();
        let ready = tokio::select! {
            ready = recover(&stay) => ready,
            () = stop.asked() => Err(Failed::refused("stopped during recovery")),
        };
        let ready = ready.and_then(|()| Ok(server.check_keys(stay.host())?));
        let ready = match ready {
            Ok(()) => self.witness(&stay).await,
            Err(failed) => Err(failed),
        };
        let witness = match ready {
            Ok(witness) => witness,
            Err(failed) => {
                server.stop().await;
                stay.close().await;
                return Err(failed);
            },
        };
        if let Some(redirect) = server.redirect() {
            tracing::info!("leading http://{redirect} to https");
        }
        tracing::info!("ready on {}", server.url());
        let drills = Drills::start(config, stay.host())
            .map_err(|error| Failed::work(format!("start: {error}")))?;
        let demo = self.demo.then(|| Demo::start(address)).transpose()?;
        if demo.is_some() {
            // A server runs on when nobody reads what it says.
            drop(hints(address));
        }
        tokio::select! {
            () = stop.asked() => {},
            () = reloads(&server) => {},
            () = Witness::watch(witness.as_ref()) => {},
        }
        tracing::info!("draining");
        stay.host().drain();
        // Its customers wait for answers: they leave while the server still gives them.
        if let Some(demo) = demo {
            drop(tokio::task::spawn_blocking(move || drop(demo)).await);
        }
        if let Some(drills) = drills {
            drop(tokio::task::spawn_blocking(move || drop(drills)).await);
        }
        server.stop().await;
        if let Some(witness) = witness {
            witness.add_or_warn().await;
        }
        stay.close().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

impl Serve {
    /// The witness, if there is to be one, with its first checkpoint of this run.
    async fn witness(&self, stay: &Mainstay) -> Result<Option<Witness>, Failed> {
        let Some(path) = &self.witness else { return Ok(None) };
        let witness = Witness::new(path.clone(), stay)?;
        witness.add().await?;
        Ok(Some(witness))
    }
}

/// What can be known of the network before anything is opened.
fn check(server: &ServerConfig) -> Result<(), Failed> {
    match &server.tls {
        Some(tls) => Ok(check_tls(tls).map_err(ServeError::from)?),
        None if server.is_public() => Err(ServeError::Public(server.listen).into()),
        None => Ok(()),
    }
}

impl From<ServeError> for Failed {
    fn from(error: ServeError) -> Self {
        let text = error.to_string();
        match error {
            ServeError::Public(_) | ServeError::Keyless(_) => Self::refused(text),
            ServeError::Tls(_) => Self::usage(text),
            ServeError::Bind { .. } | ServeError::Host(_) => Self::work(text),
        }
    }
}

/// Waits for recovery, with a progress bar on a terminal.
async fn recover(stay: &Mainstay) -> Result<(), Failed> {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("recovering {bar:30} {human_pos} of {human_len} events {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut readiness = stay.host().watch();
    loop {
        // Before the first wait, too: a small journal is open before anyone watches.
        match &*readiness.borrow_and_update() {
            Readiness::Recovering { done, total } => {
                bar.set_length(*total);
                bar.set_position(*done);
            },
            Readiness::Ready | Readiness::Failed { .. } | Readiness::Draining => break,
            Readiness::Opening => {},
        }
        if readiness.changed().await.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
    stay.ready().await.map_err(|error| match error {
        OpenError::Start(StartError::Damaged(_)) => Failed::integrity(error.to_string()),
        OpenError::Start(StartError::Sealed(_)) => Failed::usage(error.to_string()),
        _ => Failed::refused(error.to_string()),
    })
}

/// Takes a new certificate in at each SIGHUP. Without one the signal ends the program, as ever.
async fn reloads(server: &Server) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = server.has_tls().then(|| signal(SignalKind::hangup())).and_then(Result::ok);
    while let Some(hangups) = &mut hangups
        && hangups.recv().await.is_some()
    {
        server.reload();
    }
    std::future::pending::<()>().await;
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
    let layer =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(false);
    // The framework's start and stop are told by ours.
    let ours = Targets::new().with_default(Level::INFO).with_target("actix_server", Level::WARN);
    tracing_subscriber::registry().with(layer.with_filter(ours)).init();
}

/// How long `status --watch` waits between two looks.
pub(super) const WATCH: Duration = Duration::from_millis(500);
