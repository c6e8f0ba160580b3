//! Active probes: a thread per probed dependency asks its endpoint and tells the gate.
//!
//! ```text
//!   every ──► connect | GET | PING | query, at most `timeout` ──► success | failure ──► Host::report
//! ```
//!
//! A probe has a thread of its own, so that an endpoint that hangs never blocks a caller, an
//! entity or another probe. All steps of a probe share one `timeout`; looking a name up for a TCP
//! or Redis probe counts, but only the operating system ends it.

mod budget;
mod credential;
mod http;
#[cfg(feature = "postgres")]
mod postgres;
mod prober;
mod redis;
mod tcp;
mod tls;

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::host::Host;

use self::prober::Prober;
use crate::config::DependencyConfig;

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
    /// The file with the password cannot be used.
    #[error("dependency {name:?}: {reason}")]
    Secret {
        /// Whose.
        name: String,
        /// Which file, and what is wrong.
        reason: String,
    },
    /// This build has no probe of PostgreSQL.
    #[error(
        "dependency {name:?}: this build has no PostgreSQL: build it with the feature `postgres`"
    )]
    NotBuilt {
        /// Whose.
        name: String,
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
    let mut failing = false;
    loop {
        let (answer, took) = prober.probe();
        failing = tell(name, failing, &answer);
        let outcome = if answer.is_ok() { Outcome::Success } else { Outcome::Failure };
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        host.report(
            name,
            vec![Report { permit: None, outcome, duration_us, probe: true, injected: false }],
        );
        if stopped.recv_timeout(every.saturating_sub(took)) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Logs a change, not every probe; says whether it fails now.
fn tell(name: &str, failing: bool, answer: &Result<(), String>) -> bool {
    match answer {
        Err(reason) if !failing => tracing::warn!(dependency = name, %reason, "the probe fails"),
        Ok(()) if failing => tracing::info!(dependency = name, "the probe works again"),
        _ => {},
    }
    answer.is_err()
}
