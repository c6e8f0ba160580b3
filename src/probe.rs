//! Active probes: a thread per probed dependency asks its endpoint and tells the gate.
//!
//! ```text
//!   every ──► connect | GET, at most `timeout` ──► success | failure ──► Host::report
//! ```
//!
//! A probe has a thread of its own, so that an endpoint that hangs never blocks a caller, an
//! entity or another probe. All addresses of a name share one `timeout`; looking a name up for a
//! TCP probe counts, but only the operating system ends it.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::host::Host;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::config::{DependencyConfig, ProbeTarget};

/// Running probes; they end with this value, which waits for those under way.
#[derive(Debug)]
pub struct Probes {
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why probes cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The certificate authority cannot be used.
    #[error("dependency {name:?}: probe_ca {path}: {reason}")]
    Ca {
        /// Whose.
        name: String,
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("start probe: {0}")]
    Thread(#[from] std::io::Error),
}

impl Probes {
    /// Starts a probe for every dependency that names one.
    ///
    /// # Errors
    /// See [`ProbeError`].
    pub fn start(host: &Host, dependencies: &[DependencyConfig]) -> Result<Self, ProbeError> {
        let (stop, stopped) = bounded(0);
        let mut probes = Self { stop: Some(stop), threads: Vec::new() };
        for dependency in dependencies {
            let Some(target) = &dependency.probe else { continue };
            let endpoint = Prober::new(dependency, target)?;
            let (host, stopped, every) = (host.clone(), stopped.clone(), dependency.every);
            let name = dependency.name.clone();
            let run = move || probe_until(&stopped, every.as_duration(), &endpoint, &host, &name);
            let thread = std::thread::Builder::new().name("mainstay-probe".to_owned());
            probes.threads.push(thread.spawn(run)?);
        }
        Ok(probes)
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            // A probe that panicked has said so on its own thread.
            drop(thread.join());
        }
    }
}

fn probe_until(stopped: &Receiver<()>, every: Duration, prober: &Prober, host: &Host, name: &str) {
    loop {
        let (worked, took) = prober.probe();
        let outcome = if worked { Outcome::Success } else { Outcome::Failure };
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        host.report(name, vec![Report { permit: None, outcome, duration_us, probe: true }]);
        if stopped.recv_timeout(every.saturating_sub(took)) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// How one endpoint is asked.
enum Prober {
    Tcp { address: String, timeout: Duration },
    Http { url: String, agent: ureq::Agent },
}

impl Prober {
    fn new(dependency: &DependencyConfig, target: &ProbeTarget) -> Result<Self, ProbeError> {
        let timeout = dependency.timeout.as_duration();
        Ok(match target {
            ProbeTarget::Tcp(address) => Self::Tcp { address: address.clone(), timeout },
            ProbeTarget::Http(url) => {
                let mut tls = TlsConfig::builder();
                if let Some(path) = &dependency.probe_ca {
                    let roots = read_ca(path).map_err(|reason| ProbeError::Ca {
                        name: dependency.name.clone(),
                        path: path.display().to_string(),
                        reason,
                    })?;
                    tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
                }
                let config = ureq::Agent::config_builder()
                    .timeout_global(Some(timeout))
                    .max_redirects(0)
                    .http_status_as_error(false)
                    // Each probe asks whether a connection can be made, too.
                    .max_idle_connections(0)
                    .tls_config(tls.build())
                    .build();
                Self::Http { url: url.clone(), agent: config.into() }
            },
        })
    }

    /// Whether it worked, and how long it took.
    fn probe(&self) -> (bool, Duration) {
        #[expect(clippy::disallowed_methods, reason = "measures a call, decides nothing by it")]
        let started = Instant::now();
        let worked = match self {
            Self::Tcp { address, timeout } => address.to_socket_addrs().is_ok_and(|found| {
                let left = || timeout.saturating_sub(started.elapsed());
                any_in_time(found, left, |it, left| TcpStream::connect_timeout(it, left).is_ok())
            }),
            Self::Http { url, agent } => {
                agent.get(url).call().is_ok_and(|response| response.status().as_u16() < 400)
            },
        };
        (worked, started.elapsed())
    }
}

/// Whether any of the name's addresses takes a connection in the time that is left for all.
fn any_in_time(
    mut addresses: impl Iterator<Item = SocketAddr>,
    left: impl Fn() -> Duration,
    connects: impl Fn(&SocketAddr, Duration) -> bool,
) -> bool {
    addresses.any(|it| Some(left()).filter(|it| !it.is_zero()).is_some_and(|t| connects(&it, t)))
}

fn read_ca(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let roots: Result<Vec<_>, _> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error.to_string())),
        })
        .collect();
    match roots {
        Ok(roots) if roots.is_empty() => Err("holds no certificate in PEM".to_owned()),
        roots => roots,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn all_addresses_of_a_name_share_one_timeout() {
        // Each address had the whole timeout: a name with five took five times as long.
        let addresses = (1..=5).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let spent = Cell::new(Duration::ZERO);
        let left = || Duration::from_secs(2).saturating_sub(spent.get());
        let hangs_at_first = |it: &SocketAddr, left: Duration| {
            assert!(!left.is_zero(), "the operating system refuses to wait for nothing");
            spent.set(spent.get() + left.min(Duration::from_millis(1_500)));
            it.port() == 3
        };
        assert!(!any_in_time(addresses, left, hangs_at_first));
        assert_eq!(spent.get(), Duration::from_secs(2));
    }
}
